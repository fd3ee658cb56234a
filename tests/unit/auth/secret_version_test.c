#include "auth/secret_version.h"

#include "auth/scram_verifier.h"
#include "proxy/base/secure.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct secret_value
value_of(const char *user, const char *password, const char *host, int port)
{
	struct secret_value v = { .port = port };

	snprintf(v.user, sizeof(v.user), "%s", user);
	v.password_len = (size_t)snprintf(v.password, sizeof(v.password), "%s", password);
	snprintf(v.host, sizeof(v.host), "%s", host);
	return v;
}

/* Goal: a version says what it was made of, its verifier fits the password, and nothing is left of it. */
static void
test_content(void **state)
{
	struct secret_value value = value_of("app", "s3cret", "db.local", 5433);
	struct secret_version *v = secret_version_new(&value, "id-1", "lease/1", 42, 2);
	uint8_t salt[SCRAM_SALT_LEN];

	(void)state;
	assert_non_null(v);
	assert_string_equal(v->user, "app");
	assert_string_equal(v->password, "s3cret");
	assert_int_equal(v->password_len, 6);
	assert_string_equal(v->host, "db.local");
	assert_null(v->dbname);
	assert_int_equal(v->port, 5433);
	assert_string_equal(v->id, "id-1");
	assert_string_equal(v->lease, "lease/1");
	assert_int_equal(v->expires_unix_ms, 42);
	assert_true(scram_verifier_matches(v->verifier, "s3cret", 6));
	assert_false(scram_verifier_matches(v->verifier, "s3cre", 5));
	/* the salt is the one that an unknown user of that name would be shown */
	assert_int_equal(scram_verifier_mock_salt("app", salt), 0);
	assert_int_equal(v->verifier->salt_len, sizeof(salt));
	assert_memory_equal(v->verifier->salt, salt, sizeof(salt));
	secret_version_unref(v);
	assert_int_equal(secure_bytes(), 0);
}

/* Goal: a secret without a user has no verifier; the longest values fit; empty ones are none. */
static void
test_sizes(void **state)
{
	static struct secret_value value;
	struct secret_version *v;

	(void)state;
	value = value_of("", "x", "", 0);
	v = secret_version_new(&value, "", NULL, 0, 2);
	assert_null(v->user);
	assert_null(v->verifier);
	assert_null(v->host);
	assert_null(v->lease);
	secret_version_unref(v);

	memset(value.user, 'u', SECRET_USER_MAX);
	memset(value.password, 'p', SECRET_PASSWORD_MAX);
	memset(value.host, 'h', SECRET_HOST_MAX);
	memset(value.dbname, 'd', SECRET_USER_MAX);
	value.password_len = SECRET_PASSWORD_MAX;
	v = secret_version_new(&value, "1", NULL, 0, 2);
	assert_int_equal(strlen(v->user), SECRET_USER_MAX);
	assert_int_equal(strlen(v->password), SECRET_PASSWORD_MAX);
	assert_int_equal(strlen(v->host), SECRET_HOST_MAX);
	assert_int_equal(strlen(v->dbname), SECRET_USER_MAX);
	assert_true(secret_version_says(v, &value));
	secret_version_unref(v);
	assert_int_equal(secure_bytes(), 0);
}

/* Goal: every difference in user, password or place counts, the id alone does not. */
static void
test_says(void **state)
{
	struct secret_value value = value_of("app", "pw", "h", 1), other;
	struct secret_version *v = secret_version_new(&value, "1", NULL, 0, 2), *w;

	(void)state;
	assert_true(secret_version_says(v, &value));
	other = value_of("app2", "pw", "h", 1);
	assert_false(secret_version_says(v, &other));
	w = secret_version_new(&other, "2", NULL, 0, 2);
	assert_false(secret_version_same_user(v, w));
	secret_version_unref(w);
	other = value_of("app", "pW", "h", 1);
	assert_false(secret_version_says(v, &other));
	w = secret_version_new(&other, "2", NULL, 0, 2);
	assert_true(secret_version_same_user(v, w));
	assert_true(w->serial > v->serial);
	secret_version_unref(w);
	other = value_of("app", "pwd", "h", 1);
	assert_false(secret_version_says(v, &other));
	other = value_of("app", "pw", "", 1);
	assert_false(secret_version_says(v, &other));
	other = value_of("app", "pw", "h", 0);
	assert_false(secret_version_says(v, &other));
	other = value_of("app", "pw", "h", 1);
	other.dbname[0] = 'd';
	assert_false(secret_version_says(v, &other));
	secret_version_unref(v);
	secret_version_unref(NULL);
	assert_null(secret_version_ref(NULL));
}

/* Goal: an id that is longer than what is kept is known again all the same. */
static void
test_long_id(void **state)
{
	struct secret_value value = value_of("app", "pw", "", 0);
	struct secret_version *v;
	char id[2 * SECRET_ID_MAX];

	(void)state;
	memset(id, 'a', sizeof(id));
	id[sizeof(id) - 1] = '\0';
	v = secret_version_new(&value, id, NULL, 0, 2);
	assert_int_equal(strlen(v->id), SECRET_ID_MAX - 1);
	assert_true(secret_version_is(v, id));
	id[5] = 'b';
	assert_false(secret_version_is(v, id));
	assert_false(secret_version_is(v, ""));
	secret_version_unref(v);
}

static int gone;

static void
on_gone(void *arg, const struct secret_version *v)
{
	assert_ptr_equal(arg, &gone);
	assert_string_equal(v->lease, "lease");
	__atomic_add_fetch(&gone, 1, __ATOMIC_SEQ_CST);
}

static void *
hold_and_drop(void *arg)
{
	for (int i = 0; i < 20000; i++)
		secret_version_unref(secret_version_ref(arg));
	secret_version_unref(arg);
	return NULL;
}

/* Goal: whichever thread drops the last reference, gone() is called once, with the version intact. */
static void
test_gone_once(void **state)
{
	struct secret_value value = value_of("app", "pw", "", 0);
	struct secret_version *v = secret_version_new(&value, "1", "lease", 0, 2);
	pthread_t thread[3];

	(void)state;
	v->gone = on_gone;
	v->gone_arg = &gone;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    pthread_create(&thread[i], NULL, hold_and_drop, secret_version_ref(v)), 0);
	secret_version_unref(v);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(gone, 1);
	assert_int_equal(secure_bytes(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_says),
		cmocka_unit_test(test_long_id),
		cmocka_unit_test(test_gone_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
