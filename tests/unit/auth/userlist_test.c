#include "auth/userlist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define VERIFIER                                                                                    \
	"SCRAM-SHA-256$4096:nXVkaTEqbVWSB/yKDuaK9Q==$Ftd0e0aVfNF0FgAacztfhhGbM+dtUnNoAp54d5zWQeU=:" \
	"3JAuR6h+tLNwOxyl5pEgrXpgWBEHKBiplj1W+bCKOm4="

struct heard {
	int errors, warnings, line; /* line and text: of the first */
	char text[128];
};

static void
hear(void *arg, bool error, const char *file, int line, const char *text)
{
	struct heard *h = arg;

	assert_string_equal(file, "f");
	*(error ? &h->errors : &h->warnings) += 1;
	h->line = h->line == 0 ? line : h->line;
	if (h->errors <= 1 || strncmp(text, "too many", 8) == 0)
		snprintf(h->text, sizeof(h->text), "%s", text);
}

static struct userlist *
parse(const char *text, size_t len, struct heard *h)
{
	memset(h, 0, sizeof(*h));
	return userlist_parse("f", text, len, hear, h);
}

/* goal: everything PgBouncer's format allows is read as PgBouncer reads it */
static void
test_format(void **state)
{
	static const char one_name[] = "\"a\" \"b\"\n\"a\"\"b\"\n"; /* without a blank it is one */
	static const char good[] =
	    "; a comment \"x\" \"y\"\n"
	    "\n   \t\r\n"
	    "\"plain\" \"pencil\"\n"
	    "  \"q\"\"uote\" \t \"a\"\"b\"\"\" ; the rest is ignored \"z\"\r\n"
	    "\"empty\" \"\"\n"
	    "\"scram\" \"" VERIFIER "\"\n"
	    "\"\xc3\xa4\" \"\xe2\x82\xac;\\\" anything\n"
	    "\"last\" \"without newline\"";
	struct heard h;
	struct userlist *l = parse(good, strlen(good), &h);

	(void)state;
	assert_non_null(l);
	assert_int_equal(h.errors + h.warnings, 0);
	assert_int_equal(userlist_count(l), 6);
	assert_string_equal(auth_user_plain(userlist_find(l, "plain")), "pencil");
	assert_string_equal(auth_user_plain(userlist_find(l, "q\"uote")), "a\"b\"");
	assert_string_equal(auth_user_plain(userlist_find(l, "\xc3\xa4")), "\xe2\x82\xac;\\");
	assert_string_equal(auth_user_plain(userlist_find(l, "last")), "without newline");
	assert_null(auth_user_plain(userlist_find(l, "empty")));
	assert_int_equal(auth_user_kind(userlist_find(l, "scram")), AUTH_SECRET_SCRAM);
	assert_int_equal(userlist_count_kind(l, AUTH_SECRET_PLAIN), 4);
	assert_int_equal(userlist_count_kind(l, AUTH_SECRET_SCRAM), 1);
	assert_int_equal(userlist_count_kind(l, AUTH_SECRET_NONE), 1);
	assert_int_equal(userlist_iterations(l), 4096);
	assert_null(userlist_find(l, ""));
	assert_null(userlist_find(l, "x"));
	assert_null(userlist_find(l, "Plain"));
	userlist_unref(l);
	assert_null(parse(one_name, strlen(one_name), &h));
	assert_int_equal(h.line, 2);
	l = parse("", 0, &h);
	assert_int_equal(userlist_count(l), 0);
	assert_null(userlist_find(l, "a"));
	userlist_unref(l);
	userlist_unref(NULL);
}

/* goal: each fault is reported with its line, and one fault refuses the file */
static void
test_faults(void **state)
{
#define N63 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	static const struct {
		const char *text;
		const char *want;
	} rows[] = {
		{ "\"a\" \"b\"\nc d\n", "the user name must begin with a double quote" },
		{ "\n\"a\n\" \"b\"\n", "the user name lacks its closing quote" },
		{ "\n\"a\" b\n", "the secret must begin with a double quote" },
		{ "\n\"a\"\n\"b\"", "the secret must begin with a double quote" },
		{ "\n\"a\" \"b", "the secret lacks its closing quote" },
		{ "\n\"a\" \"b\"\"", "the secret lacks its closing quote" },
		{ "\n\"\" \"b\"", "the user name is empty" },
		{ "\n\"n" N63 "\" \"b\"", "the user name is too long" },
		{ "\n\"a\" \"SCRAM-SHA-256$x\"", "the SCRAM-SHA-256 secret is malformed" },
	};
	struct userlist *l;
	struct heard h;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_null(parse(rows[i].text, strlen(rows[i].text), &h));
		assert_string_equal(h.text, rows[i].want);
		assert_true(h.errors >= 1);
		assert_int_equal(h.line, 2);
	}
	assert_null(parse("\"a\" \"b\0c\"", 9, &h));
	assert_string_equal(h.text, "the secret contains a NUL byte");
	assert_null(parse("\"a\0\" \"b\"", 8, &h));
	assert_string_equal(h.text, "the user name contains a NUL byte");
	l = parse("\"" N63 "\" \"b\"", 63 + 6, &h);
	assert_non_null(userlist_find(l, N63));
	userlist_unref(l);
}

/* goal: a name that comes twice is warned of with its line, and the last secret counts */
static void
test_duplicate(void **state)
{
	static const char text[] = "\"a\" \"1\"\n\"b\" \"2\"\n\"a\" \"" VERIFIER "\"\n";
	struct heard h;
	struct userlist *l = parse(text, strlen(text), &h);

	(void)state;
	assert_int_equal(h.errors, 0);
	assert_int_equal(h.warnings, 1);
	assert_int_equal(h.line, 3);
	assert_int_equal(userlist_count(l), 2);
	assert_int_equal(auth_user_kind(userlist_find(l, "a")), AUTH_SECRET_SCRAM);
	assert_int_equal(userlist_count_kind(l, AUTH_SECRET_PLAIN), 1);
	userlist_unref(l);
}

/* goal: secrets up to the bound are taken whole, one byte more is refused, never cut */
static void
test_long_secret(void **state)
{
	static const size_t lengths[] = { 1, 1023, 1024, 2048, 65529, AUTH_USER_SECRET_MAX };
	static char text[70000];
	struct userlist *l;
	struct heard h;

	(void)state;
	memset(text, 's', sizeof(text));
	memcpy(text, "\"a\" \"", 5);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		text[5 + lengths[i]] = '"';
		l = parse(text, lengths[i] + 6, &h);
		assert_int_equal(strlen(auth_user_plain(userlist_find(l, "a"))), lengths[i]);
		userlist_unref(l);
		text[5 + lengths[i]] = 's';
	}
	text[5 + AUTH_USER_SECRET_MAX + 1] = '"';
	assert_null(parse(text, AUTH_USER_SECRET_MAX + 7, &h));
	assert_string_equal(h.text, "the secret is too long");
}

/* goal: a file of another kind is given up after a few messages */
static void
test_many_faults(void **state)
{
	static char text[4096];
	struct heard h;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "x\n", 2);
	assert_null(parse(text, sizeof(text), &h));
	assert_int_equal(h.errors, 20);
	assert_string_equal(h.text, "too many errors, the rest is not reported");
}

static void
count_error(void *arg, bool error, const char *file, int line, const char *text)
{
	(void)file, (void)text;
	assert_true(error);
	assert_int_equal(line, 0);
	++*(int *)arg;
}

/* goal: 10,000 users are loaded from a file and all are found; missing files and folders are
 * errors */
static void
test_load(void **state)
{
	char path[] = "/tmp/userlist_test.XXXXXX", name[32];
	int fd = mkstemp(path), errors = 0;
	FILE *f = fdopen(fd, "w");
	struct userlist *l;

	(void)state;
	for (int i = 0; i < 10000; i++)
		fprintf(f, "\"user%d\" \"secret%d\"\n", i, i);
	fclose(f);
	l = userlist_load(path, NULL, NULL);
	unlink(path);
	assert_int_equal(userlist_count(l), 10000);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		assert_string_equal(auth_user_name(userlist_find(l, name)), name);
	}
	assert_ptr_equal(userlist_ref(l), l);
	userlist_unref(l);
	assert_non_null(userlist_find(l, "user1"));
	userlist_unref(l);
	assert_null(userlist_load("/nonexistent/file", count_error, &errors));
	assert_null(userlist_load("/tmp", count_error, &errors));
	assert_int_equal(errors, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_duplicate),
		cmocka_unit_test(test_long_secret),
		cmocka_unit_test(test_many_faults),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
