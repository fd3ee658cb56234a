/* json_write_test.c -- what the writer makes of any bytes. */
#include "tests/unit/proxy/wire/json_fixture.h"

#include "proxy/base/buf.h"

static const char *
written(const char *text, size_t len)
{
	static char out[256];
	struct buf b;

	buf_init(&b, 4096);
	json_put_string(&b, text, len);
	assert_false(buf_failed(&b));
	assert_true(buf_len(&b) < sizeof(out));
	memcpy(out, buf_data(&b), buf_len(&b));
	out[buf_len(&b)] = '\0';
	buf_release(&b);
	return out;
}

/* goal: what must be escaped is, bad UTF-8 is replaced, and everything else stays as it is */
static void
test_writer(void **state)
{
	(void)state;
	assert_string_equal(written("", 0), "\"\"");
	assert_string_equal(written("a/b", 3), "\"a/b\"");
	assert_string_equal(written("\"\\\b\f\n\r\t\x01\x1f", 9),
	    "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\"");
	assert_string_equal(written("a\0b", 3), "\"a\\u0000b\"");
	assert_string_equal(written("\xc3\xa9\xf0\x9f\x98\x80", 6), "\"\xc3\xa9\xf0\x9f\x98\x80\"");
	assert_string_equal(written("a\xff"
				    "b",
				3),
	    "\"a\xef\xbf\xbd"
	    "b\"");
	assert_string_equal(written("\xc3", 1), "\"\xef\xbf\xbd\"");
	assert_string_equal(written("\xed\xa0\x80", 3), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

/* goal: every byte and pair of bytes, written, is JSON again, and the same text if it was UTF-8 */
static void
test_round_trip(void **state)
{
	char back[16];
	struct json j;

	(void)state;
	for (unsigned v = 0; v < 0x10000; v++) {
		char pair[2] = { (char)(v >> 8), (char)v };
		const char *out = written(pair, 2);

		assert_int_equal(
		    json_parse(&j, out, strlen(out), tape, TOKENS, message, sizeof(message)), 0);
		if (v >> 8 == 0 || (v & 0xff) == 0)
			continue;
		assert_true(json_string(&j, 0, back, sizeof(back)) >= 2);
		if (v >> 8 < 0x80 && (v & 0xff) < 0x80)
			assert_memory_equal(back, pair, 2);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
