#include "auth/scram_verifier.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SALT   "nXVkaTEqbVWSB/yKDuaK9Q=="
#define STORED "Ftd0e0aVfNF0FgAacztfhhGbM+dtUnNoAp54d5zWQeU="
#define SERVER "3JAuR6h+tLNwOxyl5pEgrXpgWBEHKBiplj1W+bCKOm4="
#define PENCIL "SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER

/* goal: verifiers that PostgreSQL 15 made are read, and are those of their passwords and no others;
 * deriving from the password gives the same keys */
static void
test_postgres_made(void **state)
{
	static const struct {
		const char *password, *text;
	} rows[] = {
		{ "pencil", PENCIL },
		{ "p\xc3\xa4ssw\xc3\xb6rd \xe2\x82\xac",
		    "SCRAM-SHA-256$4096:I6VQY+fO1aNd3oZewELn9w=="
		    "$SISsxuEpTsvD6j7BKd5L3AZgSJ/QSuW/RH89SkPtQ7E=:JIx8vFMAIFYROMFOEihxURiiNiXIdDBYiuZNNp/RGs4=" },
		{ "it's \"quoted\" ~!@#$%^&*()_+ and long long long long long long long long long long long long",
		    "SCRAM-SHA-256$4096:uY0WPbURThLaLqU3+GcmuA=="
		    "$VYoN2ekNQdfQ0KV5NxJK6dVLOyTIo/CSZjdQIAziNms=:VRd7DjghUfj5ArNPoZvZEePy5/+jgpsYBQxSyFJmOj8=" },
	};
	struct scram_verifier v, own;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *password = rows[i].password;

		assert_int_equal(scram_verifier_parse(&v, rows[i].text, strlen(rows[i].text)), 0);
		assert_int_equal(v.iterations, 4096);
		assert_int_equal(v.salt_len, SCRAM_SALT_LEN);
		assert_true(scram_verifier_matches(&v, password, strlen(password)));
		assert_false(scram_verifier_matches(&v, password, strlen(password) - 1));
		scram_verifier_derive(&own, password, strlen(password), v.salt, v.salt_len,
		    v.iterations);
		assert_memory_equal(&own, &v, sizeof(v));
	}
}

/* goal: nothing malformed, unbounded or cut is read, and what is refused leaves no key behind */
static void
test_malformed(void **state)
{
	static const char *const rows[] = {
		"",
		"SCRAM-SHA-256",
		"SCRAM-SHA-256$",
		"SCRAM-SHA-256$4096",
		"SCRAM-SHA-256$4096:",
		"SCRAM-SHA-1$4096:" SALT "$" STORED ":" SERVER,
		"scram-sha-256$4096:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$0:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$-1:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$+1:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$ 1:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$4096x:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$10000001:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$2147483648:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$4294967297:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$18446744073709551617:" SALT "$" STORED ":" SERVER,
		"SCRAM-SHA-256$4096:$" STORED ":" SERVER,
		"SCRAM-SHA-256$4096:*$" STORED ":" SERVER,
		"SCRAM-SHA-256$4096:" SALT "$" STORED,
		"SCRAM-SHA-256$4096:" SALT "$" STORED ":",
		"SCRAM-SHA-256$4096:" SALT "$" SALT ":" SERVER,
		"SCRAM-SHA-256$4096:" SALT "$" STORED ":" SALT,
		"SCRAM-SHA-256$4096:" SALT "$" STORED "AAAA:" SERVER,
		"SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER "AAAA",
		"SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER ":",
		"SCRAM-SHA-256$4096:" SALT "$" STORED ":" SERVER " ",
		"SCRAM-SHA-256$4096:" STORED STORED STORED "$" STORED ":" SERVER,
	};
	struct scram_verifier v, zero;

	(void)state;
	memset(&zero, 0, sizeof(zero));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(scram_verifier_parse(&v, rows[i], strlen(rows[i])), -1);
		assert_memory_equal(&v, &zero, sizeof(v));
	}
	for (size_t len = 0; len < strlen(PENCIL); len++)
		assert_int_equal(scram_verifier_parse(&v, PENCIL, len), -1);
}

/* goal: stand-ins are stable for a name, differ between names, and fit no password */
static void
test_mock(void **state)
{
	uint8_t a[SCRAM_SALT_LEN], again[SCRAM_SALT_LEN], b[SCRAM_SALT_LEN];

	(void)state;
	assert_int_equal(scram_verifier_mock_salt("a", a), 0);
	assert_int_equal(scram_verifier_mock_salt("a", again), 0);
	assert_int_equal(scram_verifier_mock_salt("b", b), 0);
	assert_memory_equal(a, again, sizeof(a));
	assert_memory_not_equal(a, b, sizeof(a));
	assert_non_null(scram_verifier_mock());
	assert_ptr_equal(scram_verifier_mock(), scram_verifier_mock());
	assert_false(scram_verifier_matches(scram_verifier_mock(), "", 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_postgres_made),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_mock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
