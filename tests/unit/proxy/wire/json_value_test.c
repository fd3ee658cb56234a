/* json_value_test.c -- looking things up in a tape: members, strings and numbers. */
#include "tests/unit/proxy/wire/json_fixture.h"

/* Parses [text] and gives token 1. */
static struct json
value_of(const char *text)
{
	struct json j;
	char whole[2048];

	snprintf(whole, sizeof(whole), "[%s]", text);
	if (parse(&j, whole) == -1)
		fail_msg("%s: %s", text, message);
	return j;
}

/* goal: members are found by their unescaped name, at their own level only, and twice is told */
static void
test_members(void **state)
{
	struct json j;
	size_t v;

	(void)state;
	assert_int_equal(parse(&j,
			     "{\"x\":{\"user\":1},\"us\\u0065r\":\"u\",\"a\":[\"user\"],\"a\":2,"
			     "\"\":3,\"user\\u0000\":4,\"userx\":5,\"use\":6}"),
	    0);
	v = json_member(&j, 0, "user");
	assert_true(json_equals(&j, v, "u"));
	assert_int_equal(json_member(&j, 0, "a"), JSON_DUPLICATE);
	assert_int_equal(json_member(&j, 0, "none"), JSON_NONE);
	assert_true(json_is(&j, json_member(&j, 0, ""), JSON_NUMBER));
	assert_true(json_is(&j, json_member(&j, json_member(&j, 0, "x"), "user"), JSON_NUMBER));
	assert_int_equal(json_member(&j, v, "user"), JSON_NONE); /* no object */
	assert_int_equal(json_member(&j, JSON_NONE, "user"), JSON_NONE);
	assert_int_equal(json_member(&j, JSON_DUPLICATE, "user"), JSON_NONE);
	assert_int_equal(parse(&j, "[1]"), 0);
	assert_int_equal(json_member(&j, 0, "user"), JSON_NONE);
	assert_int_equal(parse(&j, "{\"n\":{\"a\":1,\"a\":2}}"), 0);
	assert_true(json_is(&j, json_member(&j, 0, "n"), JSON_OBJECT));
}

/* goal: walking an array gives its values, walking an object its names, both step over what is inside */
static void
test_walk(void **state)
{
	struct json j;
	size_t at[8], n = 0, names = 0;

	(void)state;
	assert_int_equal(parse(&j, "[1,[2,3,[4]],{\"a\":{\"b\":5}},6,[]]"), 0);
	for (size_t i = json_first(&j, 0); i != JSON_NONE; i = json_next(&j, 0, i))
		at[n++] = i;
	assert_int_equal(n, 5);
	assert_true(json_is(&j, at[0], JSON_NUMBER));
	assert_true(json_is(&j, at[1], JSON_ARRAY));
	assert_true(json_is(&j, at[2], JSON_OBJECT));
	assert_true(json_is(&j, at[3], JSON_NUMBER));
	assert_int_equal(json_first(&j, at[4]), JSON_NONE);
	assert_int_equal(json_first(&j, at[0]), JSON_NONE);
	assert_int_equal(json_first(&j, JSON_NONE), JSON_NONE);

	assert_int_equal(parse(&j, "{\"a\":[1,2],\"b\":\"c\",\"d\":{\"e\":0},\"f\":null}"), 0);
	for (size_t i = json_first(&j, 0); i != JSON_NONE; i = json_next(&j, 0, i)) {
		char name[2] = { "abdf"[names++], '\0' };

		assert_true(json_equals(&j, i, name));
	}
	assert_int_equal(names, 4);
}

/* goal: strings are unescaped; what does not fit, a lone surrogate and U+0000 are refused */
static void
test_strings(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "\"\"", "" },
		{ "\"plain\"", "plain" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
		{ "\"a\\u0041\\u00e9\\u20ac\\uFFFDz\"", "aA\xc3\xa9\xe2\x82\xac\xef\xbf\xbdz" },
		{ "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80" },
		{ "\"\\uD800\\uDC00\\udbff\\udfff\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
		{ "\"\\ud800\"", NULL },
		{ "\"\\ud800x\"", NULL },
		{ "\"\\ud800\\n\"", NULL },
		{ "\"\\ud800\\u0041\"", NULL },
		{ "\"\\ud800\\ud800\"", NULL },
		{ "\"\\udc00\"", NULL },
		{ "\"\\udc00\\ud800\"", NULL },
		{ "\"a\\u0000b\"", NULL },
		{ "1", NULL },
		{ "[]", NULL },
	};
	char out[64], tight[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json j = value_of(cases[i].text);
		const char *want = cases[i].want;

		if (want == NULL) {
			assert_int_equal(json_string(&j, 1, out, sizeof(out)), -1);
			assert_false(json_equals(&j, 1, "a"));
			assert_false(json_equals(&j, 1, ""));
			continue;
		}
		assert_int_equal(json_string(&j, 1, out, sizeof(out)), strlen(want));
		assert_string_equal(out, want);
		assert_true(json_equals(&j, 1, want));
		assert_false(json_equals(&j, 1, "plai"));
		assert_false(json_equals(&j, 1, "plainx"));
		assert_int_equal(json_string(&j, 1, tight, strlen(want) + 1), strlen(want));
		for (size_t size = 0; size <= strlen(want); size++) {
			memset(tight, '#', sizeof(tight));
			assert_int_equal(json_string(&j, 1, tight, size), -1);
			assert_int_equal(tight[size], '#');
		}
	}
}

/* goal: integers are exact up to both bounds, in whatever way they are written */
static void
test_integers(void **state)
{
	static const struct {
		const char *text;
		int ok;
		int64_t want;
	} cases[] = {
		{ "0", 1, 0 },
		{ "-0", 1, 0 },
		{ "0.000", 1, 0 },
		{ "0e999999999999999999999", 1, 0 },
		{ "5432", 1, 5432 },
		{ "1.5E2", 1, 150 },
		{ "1.50e+2", 1, 150 },
		{ "1500e-1", 1, 150 },
		{ "-12.0", 1, -12 },
		{ "0.00012e5", 1, 12 },
		{ "1e18", 1, 1000000000000000000 },
		{ "9223372036854775807", 1, INT64_MAX },
		{ "-9223372036854775808", 1, INT64_MIN },
		{ "92233720368547758.07e2", 1, INT64_MAX },
		{ "9223372036854775808", 0, 0 },
		{ "-9223372036854775809", 0, 0 },
		{ "10000000000000000000", 0, 0 },
		{ "18446744073709551617", 0, 0 },
		{ "1e19", 0, 0 },
		{ "1e999999999999999999999", 0, 0 },
		{ "1e-999999999999999999999", 0, 0 },
		{ "1.5", 0, 0 },
		{ "1.523477145713E9", 0, 0 },
		{ "1e-1", 0, 0 },
		{ "\"1\"", 0, 0 },
		{ "true", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json j = value_of(cases[i].text);
		int64_t got = 77;

		if (json_int(&j, 1, &got) != cases[i].ok - 1)
			fail_msg("%s", cases[i].text);
		assert_true(got == (cases[i].ok ? cases[i].want : 77));
	}
}

static void
add_text(char *text, size_t size, const char *more, int times)
{
	size_t n = strlen(text);

	for (int i = 0; i < times; i++)
		n += (size_t)snprintf(text + n, size - n, "%s", more);
	assert_true(n < size);
}

/* goal: doubles are the nearest ones, however long the number; one out of range is refused */
static void
test_doubles(void **state)
{
	static const char *const texts[] = { "0", "-0.0", "1.523477145713E9", "0.1", "1e22", "1e23",
		"4.9e-324", "1e-400", "1.7976931348623157e308", "123456789012345678901234567890",
		"9007199254740993", "2.2250738585072011e-308", "0.30000000000000004e0" };
	char text[2000] = "1";
	double got;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json j = value_of(texts[i]);
		double want = strtod(texts[i], NULL);

		assert_int_equal(json_double(&j, 1, &got), 0);
		assert_memory_equal(&got, &want, sizeof(got));
	}
	assert_int_equal(json_double(&(struct json){ 0 }, 0, &got), -1);
	for (int i = 0; i < 3; i++) {
		static const char *const none[] = { "1e309", "-1e99999999999999999999", "\"1\"" };
		struct json j = value_of(none[i]);

		assert_int_equal(json_double(&j, 1, &got), -1);
	}
	/* half way between two doubles but for a digit that stands 900 places behind */
	snprintf(text, sizeof(text), "9007199254740993.");
	add_text(text, sizeof(text), "0", 900);
	for (int i = 0; i < 2; i++) {
		struct json j = value_of(text);

		assert_int_equal(json_double(&j, 1, &got), 0);
		assert_true(got == (i == 0 ? 9007199254740992.0 : 9007199254740994.0));
		add_text(text, sizeof(text), "1", 1);
	}
	/* many digits that the exponent takes back */
	snprintf(text, sizeof(text), "1");
	add_text(text, sizeof(text), "0", 1000);
	add_text(text, sizeof(text), "e-1000", 1);
	{
		struct json j = value_of(text);
		int64_t one;

		assert_int_equal(json_double(&j, 1, &got), 0);
		assert_true(got == 1.0);
		assert_int_equal(json_int(&j, 1, &one), 0);
		assert_int_equal(one, 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_doubles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
