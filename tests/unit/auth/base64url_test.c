#include "auth/base64url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void
is(const char *text, const char *want)
{
	char out[16];

	assert_int_equal(base64url_decode(out, strlen(want), text, strlen(text)), strlen(want));
	assert_memory_equal(out, want, strlen(want));
}

/* goal: RFC 4648's examples without padding, and the two characters that differ */
static void
test_good(void **state)
{
	(void)state;
	is("", "");
	is("Zg", "f");
	is("Zm8", "fo");
	is("Zm9v", "foo");
	is("Zm9vYmE", "fooba");
	is("-_8", "\xfb\xff");
}

/* goal: each value has one spelling: padding, blanks, the other alphabet, unused bits and impossible
 * lengths are refused, and so is what does not fit */
static void
test_refused(void **state)
{
	static const char *const texts[] = { "Zg==", "Z", "Zm9vY", "Zh", "Zm9=", "Zm 9v", "+/8",
		"Zm9v\n", "Zm8.", "Z\xc3\xa9" };
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(base64url_decode(out, sizeof(out), texts[i], strlen(texts[i])),
		    -1);
	assert_int_equal(base64url_decode(out, sizeof(out), "Zm9\0", 4), -1);
	assert_int_equal(base64url_decode(out, 2, "Zm9v", 4), -1);
	assert_int_equal(base64url_decode(out, 3, "Zm9v", 4), 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
