#include "auth/auth_user.h"
#include "auth/md5_password.h"
#include "auth/scram_verifier.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define VERIFIER                                                                                    \
	"SCRAM-SHA-256$4096:nXVkaTEqbVWSB/yKDuaK9Q==$Ftd0e0aVfNF0FgAacztfhhGbM+dtUnNoAp54d5zWQeU=:" \
	"3JAuR6h+tLNwOxyl5pEgrXpgWBEHKBiplj1W+bCKOm4="
#define MD5_SECRET "md5f6100b06df553dbff70d9a6a8a6d9295" /* d, pencil */

static struct auth_user *
make(const char *name, const char *secret)
{
	bool malformed;
	struct auth_user *u = auth_user_new(name, strlen(name), secret, strlen(secret), &malformed);

	assert_int_equal(u == NULL, malformed);
	return u;
}

/* goal: each form of secret is told apart, verifies its password, and only a plain one is given
 * out */
static void
test_kinds(void **state)
{
	static const struct {
		const char *secret;
		enum auth_secret kind;
		bool fits;
	} rows[] = {
		{ "pencil", AUTH_SECRET_PLAIN, true },
		{ "pencils", AUTH_SECRET_PLAIN, false },
		{ MD5_SECRET, AUTH_SECRET_MD5, true },
		{ "md5F6100B06DF553DBFF70D9A6A8A6D9295", AUTH_SECRET_MD5, true },
		{ "md5f6100b06df553dbff70d9a6a8a6d9296", AUTH_SECRET_MD5, false },
		{ VERIFIER, AUTH_SECRET_SCRAM, true },
		{ "", AUTH_SECRET_NONE, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct auth_user *u = make("d", rows[i].secret);

		assert_string_equal(auth_user_name(u), "d");
		assert_int_equal(auth_user_kind(u), rows[i].kind);
		assert_int_equal(auth_user_check_plain(u, "pencil", 6), rows[i].fits);
		assert_false(auth_user_check_plain(u, "", 0));
		/* the secret's own text is no password, unless it is plain */
		assert_int_equal(auth_user_check_plain(u, rows[i].secret, strlen(rows[i].secret)),
		    rows[i].kind == AUTH_SECRET_PLAIN);
		if (rows[i].kind == AUTH_SECRET_PLAIN)
			assert_string_equal(auth_user_plain(u), rows[i].secret);
		else
			assert_null(auth_user_plain(u));
		auth_user_free(u);
	}
	auth_user_free(NULL);
}

/* goal: a mangled verifier is an error and never a plain password */
static void
test_malformed(void **state)
{
	(void)state;
	assert_null(make("d", "SCRAM-SHA-256$4096:abc"));
	assert_null(make("d", "SCRAM-SHA-256$"));
}

/* goal: MD5 answers are judged for plain and MD5 secrets, with the salt that was sent */
static void
test_md5(void **state)
{
	static const uint8_t salt[4] = { 1, 2, 3, 4 }, other[4] = { 1, 2, 3, 5 };
	static const char *const secrets[] = { "pencil", MD5_SECRET };
	char answer[MD5_PASSWORD_LEN + 1];
	struct auth_user *u;

	(void)state;
	assert_int_equal(md5_password_answer(answer, MD5_SECRET, salt), 0);
	for (size_t i = 0; i < 2; i++) {
		u = make("d", secrets[i]);
		assert_true(auth_user_check_md5(u, salt, answer, MD5_PASSWORD_LEN));
		assert_false(auth_user_check_md5(u, other, answer, MD5_PASSWORD_LEN));
		assert_false(auth_user_check_md5(u, salt, answer, MD5_PASSWORD_LEN - 1));
		assert_false(auth_user_check_md5(u, salt, "", 0));
		assert_false(auth_user_check_md5(u, salt, MD5_SECRET, MD5_PASSWORD_LEN));
		auth_user_free(u);
	}
	u = make("d", VERIFIER);
	assert_false(auth_user_check_md5(u, salt, answer, MD5_PASSWORD_LEN));
	auth_user_free(u);
	u = make("d", "");
	assert_false(auth_user_check_md5(u, salt, answer, MD5_PASSWORD_LEN));
	auth_user_free(u);
}

struct job {
	const struct auth_user *user;
	const struct scram_verifier *got;
};

static void *
derive(void *arg)
{
	struct job *j = arg;

	j->got = auth_user_derive(j->user, (const uint8_t *)"0123456789abcdef", 16, 100);
	return NULL;
}

/* goal: threads that derive at the same time end with one and the same verifier; md5 secrets have
 * none */
static void
test_derive(void **state)
{
	struct auth_user *u = make("d", "pencil");
	pthread_t threads[8];
	struct job jobs[8];

	(void)state;
	assert_null(auth_user_verifier(u));
	for (size_t i = 0; i < 8; i++) {
		jobs[i] = (struct job){ u, NULL };
		assert_int_equal(pthread_create(&threads[i], NULL, derive, &jobs[i]), 0);
	}
	for (size_t i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < 8; i++)
		assert_ptr_equal(jobs[i].got, auth_user_verifier(u));
	assert_true(scram_verifier_matches(auth_user_verifier(u), "pencil", 6));
	/* another salt or count than the settled one */
	assert_null(auth_user_derive(u, (const uint8_t *)"0123456789abcdeX", 16, 100));
	assert_null(auth_user_derive(u, (const uint8_t *)"0123456789abcdef", 16, 101));
	auth_user_free(u);
	u = make("d", MD5_SECRET);
	assert_null(auth_user_derive(u, (const uint8_t *)"0123456789abcdef", 16, 100));
	auth_user_free(u);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_md5),
		cmocka_unit_test(test_derive),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
