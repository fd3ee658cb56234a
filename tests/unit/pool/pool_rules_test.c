/* Which value counts in a pool: the user's, the database's or the global one. */
#include "tests/unit/proxy/config/config_fixture.h"

#include "pool/pool.h"
#include "pool/pool_rules.h"

static struct database db;
static struct quota user;
static struct pool *pool;
static char db_name[64], user_name[64];

static void
begin(const char *database, const char *name)
{
	memset(&db, 0, sizeof(db));
	memset(&user, 0, sizeof(user));
	snprintf(db_name, sizeof(db_name), "%s", database);
	snprintf(user_name, sizeof(user_name), "%s", name);
	db.quota.name = db_name;
	user.name = user_name;
	pool = aligned_alloc(64, (sizeof(*pool) + 63) / 64 * 64);
	assert_non_null(pool);
	memset(pool, 0, sizeof(*pool));
	pool->db = &db;
	pool->user = &user;
}

static void
apply(const char *text)
{
	struct config *cfg = fixture_good(text);

	pool_rules_database(&db, cfg);
	pool_rules_user(&user, cfg);
	pool_rules_pool(pool, cfg);
	config_unref(cfg);
}

/* One setting that a database or a user (or both) may have of its own. */
struct setting {
	const char *global, *database, *user; /* keys; NULL = it has none */
	const atomic_int *n;
	const _Atomic int64_t *ms;
	bool database_first;
};

static int64_t
value(const struct setting *s)
{
	return s->n != NULL ? atomic_load(s->n) : atomic_load(s->ms) / 1000;
}

/* Loads a file in which global, database and user have these values (-1 = not written). */
static int64_t
effective(const struct setting *s, int global, int database, int of_user)
{
	char text[1024];
	size_t n = 0;

	n += (size_t)snprintf(text + n, sizeof(text) - n, "[databases]\nshop = dbname=shop");
	if (database >= 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s=%d", s->database, database);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\n[users]\n");
	if (of_user >= 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "web = %s=%d\n", s->user,
		    of_user);
	(void)snprintf(text + n, sizeof(text) - n, "[pgsluice]\nauth_file = u\n%s = %d\n",
	    s->global, global);
	apply(text);
	return value(s);
}

/* Goal: for each setting, with every combination of places that it is written in, the right one counts; 0 is a
 * value like any other. */
static void
test_each_setting(void **state)
{
	(void)state;
	begin("shop", "web");
	struct pool_rules *r = &pool->rules;
	const struct setting settings[] = {
		{ "default_pool_size", "pool_size", "pool_size", &r->size, NULL, false },
		{ "min_pool_size", "min_pool_size", NULL, &r->min_size, NULL, false },
		{ "reserve_pool_size", "reserve_pool_size", "reserve_pool_size", &r->reserve_size,
		    NULL, false },
		{ "max_prepared_statements", NULL, NULL, &r->max_statements, NULL, false },
		{ "reserve_pool_timeout", NULL, NULL, NULL, &r->reserve_timeout, false },
		{ "query_wait_timeout", "query_wait_timeout", "query_wait_timeout", NULL,
		    &r->query_wait_timeout, true },
		{ "server_lifetime", "server_lifetime", NULL, NULL, &r->server_lifetime, false },
		{ "server_idle_timeout", NULL, NULL, NULL, &r->server_idle_timeout, false },
		{ "server_check_delay", NULL, NULL, NULL, &r->server_check_delay, false },
		{ "server_login_retry", NULL, NULL, NULL, &r->server_login_retry, false },
		{ "query_timeout", NULL, "query_timeout", NULL, &r->query_timeout, false },
		{ "idle_transaction_timeout", NULL, "idle_transaction_timeout", NULL,
		    &r->idle_transaction_timeout, false },
		{ "transaction_timeout", NULL, "transaction_timeout", NULL, &r->transaction_timeout,
		    false },
		{ "client_idle_timeout", NULL, "client_idle_timeout", NULL, &r->client_idle_timeout,
		    false },
		{ "query_wait_notify", NULL, NULL, NULL, &r->query_wait_notify, false },
		{ "max_db_connections", "max_db_connections", NULL, &db.quota.max_servers, NULL,
		    false },
		{ "max_db_client_connections", "max_db_client_connections", NULL,
		    &db.quota.max_clients, NULL, false },
		{ "max_user_connections", NULL, "max_user_connections", &user.max_servers, NULL,
		    false },
		{ "max_user_client_connections", NULL, "max_user_client_connections",
		    &user.max_clients, NULL, false },
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		const struct setting *s = &settings[i];

		assert_int_equal(effective(s, 11, -1, -1), 11);
		if (s->database != NULL) {
			assert_int_equal(effective(s, 11, 12, -1), 12);
			assert_int_equal(effective(s, 11, 0, -1), 0);
		}
		if (s->user != NULL) {
			assert_int_equal(effective(s, 11, -1, 13), 13);
			assert_int_equal(effective(s, 11, -1, 0), 0);
		}
		if (s->database != NULL && s->user != NULL) {
			assert_int_equal(effective(s, 11, 12, 13), s->database_first ? 12 : 13);
			assert_int_equal(effective(s, 11, 0, 13), s->database_first ? 0 : 13);
			assert_int_equal(effective(s, 11, 12, 0), s->database_first ? 12 : 0);
		}
		/* what was taken out of the file again does not linger */
		assert_int_equal(effective(s, 11, -1, -1), 11);
	}
	free(pool);
}

static int
mode(const char *global, const char *of_database, const char *of_user)
{
	char text[512];

	snprintf(text, sizeof(text),
	    "[databases]\nshop = dbname=shop %s\n[users]\nweb = %s\n[pgsluice]\n"
	    "auth_file = u\npool_mode = %s\n",
	    of_database, of_user, global);
	apply(text);
	return atomic_load(&pool->rules.mode);
}

/* Goal: pool_mode of the user goes before the database's, that before the global one. */
static void
test_mode(void **state)
{
	(void)state;
	begin("shop", "web");
	assert_int_equal(mode("transaction", "", "max_user_connections=1"), POOL_TRANSACTION);
	assert_int_equal(mode("transaction", "pool_mode=session", "max_user_connections=1"),
	    POOL_SESSION);
	assert_int_equal(mode("session", "", "pool_mode=statement"), POOL_STATEMENT);
	assert_int_equal(mode("statement", "pool_mode=transaction", "pool_mode=session"),
	    POOL_SESSION);
	free(pool);
}

/* Goal: what another database or user has of its own is not this one's. */
static void
test_of_others(void **state)
{
	(void)state;
	begin("shop", "web");
	apply("[databases]\nshop =\nshop2 = pool_size=2 max_db_connections=3\n* = pool_size=4\n"
	      "[users]\nweb2 = pool_size=5 max_user_connections=6\n"
	      "[pgsluice]\nauth_file = u\ndefault_pool_size = 7\n");
	assert_int_equal(pool->rules.size, 7);
	assert_int_equal(db.quota.max_servers, 0);
	assert_int_equal(user.max_servers, 0);
	assert_true(db.listed);
	assert_false(db.from_fallback);
	free(pool);
}

/* Goal: a database that is not listed lives by the values of *. */
static void
test_fallback(void **state)
{
	(void)state;
	begin("unheard", "web");
	apply("[databases]\nshop = pool_size=2\n* = pool_size=4 max_db_connections=5 "
	      "server_lifetime=6 pool_mode=statement\n[pgsluice]\nauth_file = u\n");
	assert_int_equal(pool->rules.size, 4);
	assert_int_equal(pool->rules.server_lifetime, 6000);
	assert_int_equal(pool->rules.mode, POOL_STATEMENT);
	assert_int_equal(db.quota.max_servers, 5);
	assert_false(db.listed);
	assert_true(db.from_fallback);
	free(pool);
}

/* Goal: a database that a reload removes keeps the rules it had for those who are connected; when it comes back
 * it has the new ones. */
static void
test_removed(void **state)
{
	(void)state;
	begin("shop", "web");
	apply("[databases]\nshop = pool_size=2 server_lifetime=6\n[pgsluice]\nauth_file = u\n");
	apply("[databases]\nother =\n[pgsluice]\nauth_file = u\ndefault_pool_size = 9\n");
	assert_int_equal(pool->rules.size, 2);
	assert_int_equal(pool->rules.server_lifetime, 6000);
	assert_false(db.listed);
	assert_false(db.from_fallback);
	apply("[databases]\nshop = pool_size=3\n[pgsluice]\nauth_file = u\n");
	assert_int_equal(pool->rules.size, 3);
	assert_true(db.listed);
	free(pool);
}

/* Goal: the switches follow the file. */
static void
test_switches(void **state)
{
	(void)state;
	begin("shop", "web");
	apply("[databases]\nshop =\n[pgsluice]\nauth_file = u\n");
	assert_false(pool->rules.round_robin_servers);
	assert_false(pool->rules.reset_always);
	apply("[databases]\nshop =\n[pgsluice]\nauth_file = u\nserver_round_robin = 1\n"
	      "server_reset_query_always = 1\n");
	assert_true(pool->rules.round_robin_servers);
	assert_true(pool->rules.reset_always);
	free(pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_setting),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_of_others),
		cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_switches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
