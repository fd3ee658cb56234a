/* secret_value_test.c -- what is taken from a secret's text, and what is refused with which words. */
#include "auth/secret_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct secret_value v;
static char message[256];

/* The text is copied into a block of its size, so that ASan sees a byte read behind its end. */
static int
parse_bytes(const char *text, size_t len, const struct secret_names *names, bool plain_ok)
{
	char *copy = malloc(len > 0 ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(&v, 0x5a, sizeof(v));
	message[0] = '\0';
	rc = secret_value_parse(&v, copy, len, names, plain_ok, message, sizeof(message));
	free(copy);
	assert_true((rc == 0) == (message[0] == '\0'));
	assert_null(strchr(message, '\n'));
	return rc;
}

static int
parse(const char *text)
{
	return parse_bytes(text, strlen(text), NULL, false);
}

static void
expect_refused(int rc, const char *says)
{
	static const struct secret_value zero;

	assert_int_equal(rc, -1);
	if (strstr(message, says) == NULL)
		fail_msg("%s, expected: %s", message, says);
	assert_memory_equal(&v, &zero, sizeof(v)); /* nothing is left of what was read */
}

/* goal: the secret that RDS makes gives everything; what else it holds does not matter */
static void
test_rds(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"engine\":\"postgres\",\"host\":\"db.example.com\",\"username\":"
			       "\"web\",\"password\":\"p\\u00e4ss\\\"\\\\\",\"dbname\":\"shop\","
			       "\"port\":5433,\"masterarn\":\"arn:aws\",\"ssl\":true,\"x\":[{}]}"),
	    0);
	assert_string_equal(v.user, "web");
	assert_string_equal(v.password, "p\xc3\xa4ss\"\\");
	assert_int_equal(v.password_len, strlen(v.password));
	assert_string_equal(v.host, "db.example.com");
	assert_string_equal(v.dbname, "shop");
	assert_int_equal(v.port, 5433);
	assert_true(v.expires_unix_ms == 0);
	assert_string_equal(v.version, "");
}

/* goal: a password alone suffices; null and missing are the same */
static void
test_least(void **state)
{
	(void)state;
	assert_int_equal(parse(" {\"password\":\"x\",\"username\":null,\"port\":null,\"host\":null,"
			       "\"Expiration\":null}\n"),
	    0);
	assert_string_equal(v.password, "x");
	assert_string_equal(v.user, "");
	assert_string_equal(v.host, "");
	assert_string_equal(v.dbname, "");
	assert_int_equal(v.port, 0);
}

/* goal: the output of a credential_process is taken, with the end and the version it names */
static void
test_process(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"Version\":1,\"Username\":\"u\",\"Password\":\"p\","
			       "\"Expiration\":\"2026-03-14T02:59:26Z\",\"VersionId\":\"v-7\"}"),
	    0);
	assert_string_equal(v.user, "u");
	assert_string_equal(v.password, "p");
	assert_string_equal(v.version, "v-7");
	assert_true(v.expires_unix_ms == INT64_C(1773457166000));
	/* the usual spelling counts before the second one */
	assert_int_equal(parse("{\"Password\":\"second\",\"password\":\"first\"}"), 0);
	assert_string_equal(v.password, "first");
}

/* goal: members may have other names, which then count alone */
static void
test_names(void **state)
{
	static const char text[] = "{\"u\":\"one\",\"p\":\"two\",\"h\":\"three\",\"n\":\"6543\","
				   "\"d\":\"four\",\"username\":\"no\",\"password\":\"no\","
				   "\"host\":\"no\",\"port\":1,\"dbname\":\"no\"}";
	static const struct secret_names names = { "u", "p", "h", "n", "d" },
					 some = { .password = "secret" };

	(void)state;
	assert_int_equal(parse_bytes(text, sizeof(text) - 1, &names, false), 0);
	assert_string_equal(v.user, "one");
	assert_string_equal(v.password, "two");
	assert_string_equal(v.host, "three");
	assert_int_equal(v.port, 6543);
	assert_string_equal(v.dbname, "four");
	expect_refused(parse_bytes(text, sizeof(text) - 1, &some, false),
	    "no member \"secret\" (password_key= may name another one)");
	expect_refused(parse_bytes("{\"secret\":\"\",\"Password\":\"x\"}", 28, &some, false),
	    "\"secret\" is empty");
}

/* goal: a port is a number or a string of digits between 1 and 65535; nothing else is guessed */
static void
test_port(void **state)
{
	static const struct {
		const char *text;
		int port; /* -1 = refused */
	} cases[] = { { "5432", 5432 }, { "\"5432\"", 5432 }, { "1", 1 }, { "65535", 65535 },
		{ "\"65535\"", 65535 }, { "5.432e3", 5432 }, { "\"\"", 0 }, { "null", 0 },
		{ "\"005432\"", 5432 }, { "0", -1 }, { "\"0\"", -1 }, { "65536", -1 },
		{ "\"65536\"", -1 }, { "-1", -1 }, { "\"-1\"", -1 }, { "5432.5", -1 },
		{ "\"5432 \"", -1 }, { "\" 5432\"", -1 }, { "\"0x10\"", -1 }, { "\"1e3\"", -1 },
		{ "\"54321000000000\"", -1 }, { "1e99", -1 }, { "true", -1 }, { "[5432]", -1 },
		{ "{}", -1 }, { "\"\\u0000\"", -1 } };
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "{\"password\":\"x\",\"port\":%s}", cases[i].text);
		if (cases[i].port == -1) {
			expect_refused(parse(text), "\"port\" must be a port, 1 to 65535");
			continue;
		}
		if (parse(text) == -1)
			fail_msg("%s: %s", cases[i].text, message);
		assert_int_equal(v.port, cases[i].port);
	}
}

/* goal: a time says its zone, exists, and is exact to the millisecond */
static void
test_expiration(void **state)
{
	static const struct {
		const char *text;
		int64_t unix_ms; /* -1 = refused */
	} cases[] = { { "2026-03-14T02:59:26Z", 1773457166000 },
		{ "2026-03-14t02:59:26z", 1773457166000 },
		{ "2026-03-14 02:59:26Z", 1773457166000 },
		{ "2026-03-14T02:59:26.5Z", 1773457166500 },
		{ "2026-03-14T02:59:26.123456789Z", 1773457166123 },
		{ "2026-03-14T04:29:26+01:30", 1773457166000 },
		{ "2026-03-13T18:59:26-08:00", 1773457166000 },
		{ "2024-02-29T00:00:00Z", 1709164800000 },
		{ "2016-12-31T23:59:60Z", 1483228800000 },
		{ "9999-12-31T23:59:59Z", 253402300799000 }, { "", 0 },
		{ "2026-03-14T02:59:26", -1 }, { "2026-03-14", -1 }, { "1773457166", -1 },
		{ "2023-02-29T00:00:00Z", -1 }, { "2100-02-29T00:00:00Z", -1 },
		{ "2026-13-01T00:00:00Z", -1 }, { "2026-00-01T00:00:00Z", -1 },
		{ "2026-04-31T00:00:00Z", -1 }, { "2026-03-14T24:00:00Z", -1 },
		{ "2026-03-14T02:60:00Z", -1 }, { "2026-03-14T02:59:61Z", -1 },
		{ "2026-03-14T02:59:26.Z", -1 }, { "2026-03-14T02:59:26+0100", -1 },
		{ "2026-03-14T02:59:26+24:00", -1 }, { "2026-03-14T02:59:26Zx", -1 },
		{ " 2026-03-14T02:59:26Z", -1 }, { "26-03-14T02:59:26Z", -1 },
		{ "1969-12-31T23:59:59Z", -1 }, { "1970-01-01T00:30:00+01:00", -1 },
		{ "never", -1 }, { "-", -1 } };
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "{\"password\":\"x\",\"Expiration\":\"%s\"}",
		    cases[i].text);
		if (cases[i].unix_ms == -1) {
			expect_refused(parse(text), "\"Expiration\" must be a time like");
			continue;
		}
		if (parse(text) == -1)
			fail_msg("%s: %s", cases[i].text, message);
		assert_true(v.expires_unix_ms == cases[i].unix_ms);
	}
	expect_refused(parse("{\"password\":\"x\",\"Expiration\":1773457166}"),
	    "\"Expiration\" must be a string");
}

/* goal: each thing that can be wrong is told by the name of its member, and no value is quoted */
static void
test_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "", "the secret is not JSON: the text ends too early, at byte 1" },
		{ "Zq9", "the secret is not JSON: a value is expected here, at byte 1" },
		{ "{\"password\":\"Zq9\"", "the secret is not JSON: the text ends too early" },
		{ "{\"password\":\"Zq9\xff\"}", "the secret is not JSON: not UTF-8, at byte 17" },
		{ "\"Zq9\"", "the secret is JSON, but not an object" },
		{ "[\"Zq9\"]", "the secret is JSON, but not an object" },
		{ "{}", "has no member \"password\" (password_key= may name another one)" },
		{ "{\"pass\":\"Zq9\"}", "has no member \"password\"" },
		{ "{\"password\":null}", "has no member \"password\"" },
		{ "{\"data\":{\"password\":\"Zq9\"}}", "has no member \"password\"" },
		{ "{\"password\":\"\"}", "the secret's \"password\" is empty" },
		{ "{\"Password\":\"\"}", "is empty" },
		{ "{\"password\":7}", "the secret's \"password\" must be a string" },
		{ "{\"password\":[\"Zq9\"]}", "\"password\" must be a string" },
		{ "{\"password\":\"Zq9\",\"pass\\u0077ord\":\"Zq9\"}",
		    "the secret's \"password\" is there twice" },
		{ "{\"password\":\"Zq9\",\"username\":\"a\",\"username\":\"a\"}",
		    "\"username\" is there twice" },
		{ "{\"password\":\"Zq9\",\"port\":1,\"port\":1}", "\"port\" is there twice" },
		{ "{\"password\":\"Zq9\\u0000\"}", "\"password\" has a NUL or half of" },
		{ "{\"password\":\"Zq9\\ud800\"}", "\"password\" has a NUL or half of" },
		{ "{\"password\":\"Zq9\",\"username\":5}", "\"username\" must be a string" },
		{ "{\"password\":\"Zq9\",\"host\":\"a\\nb\"}",
		    "\"host\" has control characters in it" },
		{ "{\"password\":\"Zq9\",\"VersionId\":\"\\u007f\"}",
		    "\"VersionId\" has control characters in it" },
		{ "{\"password\":\"Zq9\",\"dbname\":{}}", "\"dbname\" must be a string" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		expect_refused(parse(cases[i].text), cases[i].says);
		assert_null(strstr(message, "Zq9"));
	}
	/* twice is no fault in a member that nobody asks for */
	assert_int_equal(parse("{\"password\":\"x\",\"engine\":1,\"engine\":2}"), 0);
}

/* A secret whose member `name` is a string of n bytes. */
static int
parse_long(const char *name, size_t n, bool escaped)
{
	static char text[SECRET_PASSWORD_MAX + 256];
	size_t at = (size_t)snprintf(text, sizeof(text), "{%s\"%s\":\"%s",
	    strcmp(name, "password") == 0 ? "" : "\"password\":\"x\",", name,
	    escaped ? "\\u0061" : "");

	memset(text + at, 'a', n - escaped);
	at += n - escaped;
	at += (size_t)snprintf(text + at, sizeof(text) - at, "\"}");
	return parse_bytes(text, at, NULL, false);
}

/* goal: each text is taken up to its limit and refused, with the limit, one byte above it */
static void
test_limits(void **state)
{
	static const struct {
		const char *name;
		size_t max;
	} cases[] = { { "username", SECRET_USER_MAX }, { "password", SECRET_PASSWORD_MAX },
		{ "host", SECRET_HOST_MAX }, { "dbname", SECRET_USER_MAX },
		{ "VersionId", sizeof(v.version) - 1 } };
	char says[64], *big;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(says, sizeof(says), "\"%s\" is longer than %zu bytes", cases[i].name,
		    cases[i].max);
		for (int escaped = 0; escaped < 2; escaped++) {
			assert_int_equal(parse_long(cases[i].name, cases[i].max, escaped), 0);
			expect_refused(parse_long(cases[i].name, cases[i].max + 1, escaped), says);
		}
	}
	assert_int_equal(parse_long("password", SECRET_PASSWORD_MAX, false), 0);
	assert_int_equal(v.password_len, SECRET_PASSWORD_MAX);
	assert_int_equal(strlen(v.password), SECRET_PASSWORD_MAX);
	big = malloc(SECRET_TEXT_MAX + 1);
	assert_non_null(big);
	memset(big, ' ', SECRET_TEXT_MAX + 1);
	memcpy(big, "{\"password\":\"x\"}", 16);
	assert_int_equal(parse_bytes(big, SECRET_TEXT_MAX, NULL, false), 0);
	expect_refused(parse_bytes(big, SECRET_TEXT_MAX + 1, NULL, false), "longer than 65536");
	free(big);
}

/* goal: a plain text is the password less one newline; what begins like JSON must be JSON */
static void
test_plain(void **state)
{
	static const struct {
		const char *text, *password, *says;
	} cases[] = {
		{ "simple", "simple", NULL },
		{ "with newline\n", "with newline", NULL },
		{ "dos\r\n", "dos", NULL },
		{ "two\n\n", "two\n", NULL },
		{ "cr\r", "cr\r", NULL },
		{ " blanks ", " blanks ", NULL },
		{ "\"quoted\"", "\"quoted\"", NULL },
		{ "[1]", "[1]", NULL },
		{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", NULL },
		{ "\n{\"password\":\"json\"}", "json", NULL },
		{ "", NULL, "the secret is empty" },
		{ "\n", NULL, "the secret is empty" },
		{ "\r\n", NULL, "the secret is empty" },
		{ "Zq9\xff", NULL, "the secret is not UTF-8" },
		{ "Zq9\xc3", NULL, "the secret is not UTF-8" },
		{ "{Zq9", NULL, "the secret is not JSON" },
		{ " {\"password\":\"Zq9", NULL, "the secret is not JSON: the text ends too early" },
	};
	char big[SECRET_PASSWORD_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = parse_bytes(cases[i].text, strlen(cases[i].text), NULL, true);

		if (cases[i].says != NULL) {
			expect_refused(rc, cases[i].says);
			assert_null(strstr(message, "Zq9"));
			continue;
		}
		assert_int_equal(rc, 0);
		assert_string_equal(v.password, cases[i].password);
		assert_int_equal(v.password_len, strlen(cases[i].password));
		assert_string_equal(v.user, "");
	}
	expect_refused(parse_bytes("Zq9\0x", 5, NULL, true), "the secret has a NUL in it");
	memset(big, 'a', sizeof(big));
	assert_int_equal(parse_bytes(big, SECRET_PASSWORD_MAX, NULL, true), 0);
	big[SECRET_PASSWORD_MAX] = '\n';
	assert_int_equal(parse_bytes(big, SECRET_PASSWORD_MAX + 1, NULL, true), 0);
	big[SECRET_PASSWORD_MAX] = 'a';
	expect_refused(parse_bytes(big, SECRET_PASSWORD_MAX + 1, NULL, true),
	    "longer than the 4096");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rds),
		cmocka_unit_test(test_least),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_expiration),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
