/* json_test.c -- what is JSON and what is not, and the tape that it gives. */
#include "tests/unit/proxy/wire/json_fixture.h"

/* goal: every kind of value is taken, with any blanks, and the tape says what it is */
static void
test_accepted(void **state)
{
	static const char *const texts[] = { "null", " true\n", "\tfalse\r", "0", "-0", "-1.5e+3",
		"1E9", "1.523477145713E9", "0.0e-0", "\"\"", "\"a\\u00e9\\\\\\/\\b\"", "[]", "{}",
		" [ ] ", "{ \"a\" : [ 1 , { } ] , \"a\" : null } ", "\"\x7f\"", "\"\xc3\xa9\"",
		"\"\xe2\x82\xac\"", "\"\xed\x9f\xbf\xee\x80\x80\"", "\"\xf0\x90\x80\x80\"",
		"\"\xf4\x8f\xbf\xbf\"", "\"\\ud800\"" };
	struct json j;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (parse(&j, texts[i]) == -1)
			fail_msg("%s: %s", texts[i], message);
}

/* goal: what is no JSON is refused with the byte where it goes wrong */
static void
test_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "the text ends too early, at byte 1" },
		{ "  ", "ends too early, at byte 3" },
		{ "\xef\xbb\xbf{}", "byte order mark" },
		{ "{} x", "more text after the value, at byte 4" },
		{ "1 2", "more text after the value" },
		{ "[1,]", "a value is expected here, at byte 4" },
		{ "[,1]", "a value is expected here, at byte 2" },
		{ "[1 2]", "a comma or ] is expected here, at byte 4" },
		{ "[1}", "a comma or ] is expected here" },
		{ "{\"a\":1]", "a comma or } is expected here" },
		{ "{\"a\":1,}", "the name of a member is expected here" },
		{ "{a:1}", "the name of a member is expected here" },
		{ "{'a':1}", "the name of a member is expected here" },
		{ "{\"a\" 1}", "a colon is missing, at byte 6" },
		{ "{\"a\":}", "a value is expected here" },
		{ "]", "a value is expected here" },
		{ "tru", "ends too early" },
		{ "trup", "a value is expected here" },
		{ "truee", "more text after the value" },
		{ "TRUE", "a value is expected here" },
		{ "NaN", "a value is expected here" },
		{ "Infinity", "a value is expected here" },
		{ "-Infinity", "a number lacks a digit" },
		{ "+1", "a value is expected here" },
		{ "01", "a number has a leading zero" },
		{ "-01", "a number has a leading zero" },
		{ "[1.]", "a number lacks a digit" },
		{ "[.5]", "a value is expected here" },
		{ "[1e]", "a number lacks a digit" },
		{ "[1e+]", "a number lacks a digit" },
		{ "[-]", "a number lacks a digit" },
		{ "1.", "ends too early" },
		{ "0x10", "more text after the value" },
		{ "[1]//", "more text after the value" },
		{ "[\v1]", "a value is expected here" },
		{ "\"a", "ends too early" },
		{ "\"a\\", "ends too early" },
		{ "\"a\\\"", "ends too early" },
		{ "\"\\x41\"", "no such escape, at byte 3" },
		{ "\"\\u12g4\"", "\\u needs four hex digits, at byte 6" },
		{ "\"\\u12\"", "\\u needs four hex digits" },
		{ "\"\\U0041\"", "no such escape" },
		{ "\"a\nb\"", "control character in a string must be escaped, at byte 3" },
		{ "\"\x1f\"", "control character" },
		{ "\"abcdefghijk\x01\"",
		    "control character in a string must be escaped, at byte 13" },
		{ "\"\x80\"", "not UTF-8, at byte 2" },
		{ "\"\xc0\x80\"", "not UTF-8" },
		{ "\"\xc1\xbf\"", "not UTF-8" },
		{ "\"\xc3\"", "not UTF-8" },
		{ "\"\xe0\x9f\xbf\"", "not UTF-8" },
		{ "\"\xed\xa0\x80\"", "not UTF-8" },
		{ "\"\xe2\x82\"", "not UTF-8" },
		{ "\"\xf0\x8f\xbf\xbf\"", "not UTF-8" },
		{ "\"\xf4\x90\x80\x80\"", "not UTF-8" },
		{ "\"\xf5\x80\x80\x80\"", "not UTF-8" },
		{ "\"\xff\"", "not UTF-8" },
		{ "\"\xf0\x9f\x98", "not UTF-8" },
		{ "\xc3\xa9", "a value is expected here" },
	};
	struct json j;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (parse(&j, cases[i].text) == 0)
			fail_msg("%s: taken", cases[i].text);
		if (strstr(message, cases[i].says) == NULL)
			fail_msg("%s: %s", cases[i].text, message);
		assert_int_equal(j.n, 0);
	}
	assert_int_equal(parse_bytes(&j, "1\0", 2), -1);
	assert_int_equal(parse_bytes(&j, "\"\0\"", 3), -1);
	assert_int_equal(parse_bytes(&j, "\"\\\0\"", 4), -1);
}

/* goal: no message quotes a byte of the text */
static void
test_message_quotes_nothing(void **state)
{
	static const char text[] = "{\"password\":\"hunter2Q\"Zzyzx";
	struct json j;

	(void)state;
	assert_int_equal(parse(&j, text), -1);
	assert_null(strstr(message, "hunter2Q"));
	assert_null(strstr(message, "Zzy"));
	assert_null(strchr(message, 'Z'));
}

/* goal: a document cut anywhere is refused, and none of its bytes may become NUL, FF or a quote without
 * the parser staying inside the text */
static void
test_cut_and_changed(void **state)
{
	static const char text[] =
	    "{\"user\\u006e\":\"w\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\",\"p\":[1.5E+3,-0,true,"
	    "false,null,{},[]],\"q\":{\"r\":{\"s\":\"\\ud83d\\ude00 a longer plain text\"}}}";
	static const char bad[] = { '\0', '\xff', '"', '\\', '}', '9', '\xe2' };
	const size_t len = sizeof(text) - 1;
	char changed[sizeof(text)];
	struct json j;

	(void)state;
	assert_int_equal(parse_bytes(&j, text, len), 0);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(parse_bytes(&j, text, n), -1);
	for (size_t n = 0; n < len; n++) {
		for (size_t k = 0; k < sizeof(bad); k++) {
			memcpy(changed, text, sizeof(text));
			changed[n] = bad[k];
			(void)parse_bytes(&j, changed, len);
			if (k < 2)
				assert_int_equal(j.n, 0);
		}
	}
}

/* goal: 32 containers in each other are taken, 33 are not, whatever they are */
static void
test_depth(void **state)
{
	char text[8 * (JSON_DEPTH_MAX + 1) + 8];
	struct json j;

	(void)state;
	for (int object = 0; object < 2; object++) {
		for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
			size_t n = 0;

			for (int i = 0; i < depth; i++)
				n += (size_t)snprintf(text + n, sizeof(text) - n, "%s",
				    object ? i + 1 < depth ? "{\"a\":" : "{" : "[");
			for (int i = 0; i < depth; i++)
				text[n++] = object ? '}' : ']';
			assert_int_equal(parse_bytes(&j, text, n), depth > JSON_DEPTH_MAX ? -1 : 0);
			if (depth > JSON_DEPTH_MAX)
				assert_non_null(strstr(message, "nested too deeply"));
			else
				assert_int_equal(j.tok[j.n - 1].depth, JSON_DEPTH_MAX - 1);
		}
	}
}

/* goal: a tape that is full refuses the document; len / 2 + 1 tokens suffice for any text */
static void
test_tape(void **state)
{
	static const char *const densest[] = { "1", "[]", "[1]", "[1,1,1]", "{\"\":1}",
		"{\"\":1,\"\":[]}", "[[],[[1]]]" };
	struct json_token small[8];
	struct json j;
	char err[64];

	(void)state;
	for (size_t i = 0; i < sizeof(densest) / sizeof(densest[0]); i++) {
		size_t len = strlen(densest[i]), need;

		assert_int_equal(parse(&j, densest[i]), 0);
		need = j.n;
		assert_true(need <= len / 2 + 1);
		assert_int_equal(json_parse(&j, densest[i], len, small, need, err, sizeof(err)), 0);
		for (size_t max = 0; max < need; max++) {
			assert_int_equal(
			    json_parse(&j, densest[i], len, small, max, err, sizeof(err)), -1);
			assert_non_null(strstr(err, "too many values"));
		}
	}
}

/* goal: tokens say where they are, how long, how deep, and what comes after them */
static void
test_tokens(void **state)
{
	static const char text[] = " {\"a\": [1, \"\\n\"], \"b\": {}}";
	static const struct json_token want[] = {
		{ 1, 26, 8, JSON_OBJECT, false, 0 },
		{ 3, 1, 2, JSON_STRING, false, 1 },
		{ 7, 9, 5, JSON_ARRAY, false, 1 },
		{ 8, 1, 4, JSON_NUMBER, false, 2 },
		{ 12, 2, 5, JSON_STRING, true, 2 },
		{ 19, 1, 6, JSON_STRING, false, 1 },
		{ 23, 2, 7, JSON_OBJECT, false, 1 },
	};
	struct json j;

	(void)state;
	assert_int_equal(parse(&j, text), 0);
	assert_int_equal(j.n, 7);
	for (size_t i = 0; i < j.n; i++) {
		assert_int_equal(j.tok[i].at, want[i].at);
		assert_int_equal(j.tok[i].len, i == 0 ? strlen(text) - 1 : want[i].len);
		assert_int_equal(j.tok[i].next, i == 0 ? 7 : want[i].next);
		assert_int_equal(j.tok[i].type, want[i].type);
		assert_int_equal(j.tok[i].escaped, want[i].escaped);
		assert_int_equal(j.tok[i].depth, want[i].depth);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_message_quotes_nothing),
		cmocka_unit_test(test_cut_and_changed),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_tape),
		cmocka_unit_test(test_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
