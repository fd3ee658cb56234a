#include "pool/connector_scram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool
asks(const char *text, uint8_t kind, uint8_t code)
{
	uint8_t m[300] = { kind };
	size_t n = strlen(text);

	m[3] = (uint8_t)((n + 8) >> 8);
	m[4] = (uint8_t)(n + 8);
	m[8] = code;
	memcpy(m + 9, text, n);
	return connector_scram_asks_too_much(m, n + 9);
}

/* Goal: only a server-first message with more than a million rounds is refused. */
static void
test_rounds(void **state)
{
	(void)state;
	assert_false(asks("r=abc,s=AAAA,i=4096", 'R', 11));
	assert_false(asks("r=abc,s=AAAA,i=1000000", 'R', 11));
	assert_true(asks("r=abc,s=AAAA,i=1000001", 'R', 11));
	assert_true(asks("r=abc,s=AAAA,i=1000000000", 'R', 11));
	assert_true(asks("r=abc,s=AAAA,i=99999999999999999999999999999", 'R', 11));
	assert_false(asks("r=abc,s=AAAA,i=1000000000", 'R', 12));
	assert_false(asks("r=abc,s=AAAA,i=1000000000", 'E', 11));
	assert_false(asks("r=abc,s=AAAA", 'R', 11));
	assert_false(asks("", 'R', 11));
}

/* Goal: any beginning of a message is read without looking behind it. */
static void
test_short(void **state)
{
	static const uint8_t m[] = { 'R', 0, 0, 0, 30, 0, 0, 0, 11, 'r', ',', 'i', '=', '9', '9',
		'9', '9', '9', '9', '9', '9' };

	(void)state;
	for (size_t n = 0; n < sizeof(m) - 1; n++)
		assert_int_equal(connector_scram_asks_too_much(m, n), n >= 20);
	assert_true(connector_scram_asks_too_much(m, sizeof(m)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
