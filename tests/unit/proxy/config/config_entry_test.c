#include "tests/unit/proxy/config/config_fixture.h"

/* Goal: every key of a database arrives in its member, and what is not given is inherited. */
static void
test_database(void **state)
{
	struct config *cfg = fixture_good(FIXTURE_HEAD
	    "[databases]\n"
	    "a = host=h,/dir,@x port=1 dbname=d user=u password='p''w d' pool_size=2 min_pool_size=1 "
	    "reserve_pool=4 pool_mode=statement max_db_connections=5 max_db_client_connections=6 "
	    "server_lifetime=1.5 query_wait_timeout=7 connect_query='set a=''b''' load_balance_hosts=disable "
	    "client_encoding=utf8 datestyle=iso timezone=utc application_name='my app'\n"
	    "b =\n");
	const struct config_database *a = config_find_database(cfg, "a"),
				     *b = config_find_database(cfg, "b");

	(void)state;
	assert_string_equal(a->name, "a");
	assert_string_equal(a->host, "h,/dir,@x");
	assert_int_equal(a->port, 1);
	assert_string_equal(a->dbname, "d");
	assert_string_equal(a->user, "u");
	assert_string_equal(a->password, "p'w d");
	assert_int_equal(a->pool_size, 2);
	assert_int_equal(a->min_pool_size, 1);
	assert_int_equal(a->reserve_pool_size, 4);
	assert_int_equal(a->pool_mode, POOL_STATEMENT);
	assert_int_equal(a->max_db_connections, 5);
	assert_int_equal(a->max_db_client_connections, 6);
	assert_int_equal(a->server_lifetime, 1500);
	assert_int_equal(a->query_wait_timeout, 7000);
	assert_string_equal(a->connect_query, "set a='b'");
	assert_int_equal(a->load_balance_hosts, BALANCE_DISABLE);
	assert_string_equal(a->client_encoding, "utf8");
	assert_string_equal(a->datestyle, "iso");
	assert_string_equal(a->timezone, "utc");
	assert_string_equal(a->application_name, "my app");
	assert_int_equal(a->line, 7);
	assert_null(b->host);
	assert_int_equal(b->port, 5432);
	assert_string_equal(b->dbname, "b");
	assert_null(b->user);
	assert_null(b->password);
	assert_null(b->auth_user);
	assert_int_equal(b->pool_size, -1);
	assert_int_equal(b->pool_mode, -1);
	assert_int_equal(b->server_lifetime, -1);
	assert_int_equal(b->query_wait_timeout, -1);
	assert_int_equal(b->load_balance_hosts, BALANCE_ROUND_ROBIN);
	config_unref(cfg);
}

/* Goal: every key of a user and of a peer arrives in its member. */
static void
test_user_and_peer(void **state)
{
	static struct said said;
	struct config *cfg = fixture_load(FIXTURE_HEAD
	    "[users]\n"
	    "'o''hara' = pool_mode=transaction pool_size=1 reserve_pool_size=2 max_user_connections=3 "
	    "max_user_client_connections=4 query_timeout=5 query_wait_timeout=6 "
	    "idle_transaction_timeout=0.5 transaction_timeout=8 client_idle_timeout=9\n"
	    "w=\n[peers]\n2=host=b port=7 pool_size=3\n1=host=a\n",
	    &said);
	const struct config_user *u = config_find_user(cfg, "o'hara");

	(void)state;
	assert_string_equal(said.text,
	    "11: warning: [peers] has no effect: cancel requests are not passed between processes yet\n");
	assert_int_equal(u->pool_mode, POOL_TRANSACTION);
	assert_int_equal(u->pool_size, 1);
	assert_int_equal(u->reserve_pool_size, 2);
	assert_int_equal(u->max_user_connections, 3);
	assert_int_equal(u->max_user_client_connections, 4);
	assert_int_equal(u->query_timeout, 5000);
	assert_int_equal(u->query_wait_timeout, 6000);
	assert_int_equal(u->idle_transaction_timeout, 500);
	assert_int_equal(u->transaction_timeout, 8000);
	assert_int_equal(u->client_idle_timeout, 9000);
	u = config_find_user(cfg, "w");
	assert_int_equal(u->pool_mode, -1);
	assert_int_equal(u->query_timeout, -1);
	assert_null(config_find_user(cfg, "x"));
	assert_int_equal(cfg->n_peers, 2);
	assert_int_equal(cfg->peers[0].id, 1);
	assert_string_equal(cfg->peers[1].host, "b");
	assert_int_equal(cfg->peers[1].port, 7);
	assert_int_equal(cfg->peers[1].pool_size, 3);
	config_unref(cfg);
}

/* Goal: each fault of a line is told once, with name, key, what was found and what is expected. */
static void
test_faults(void **state)
{
	(void)state;
	fixture_bad(FIXTURE_HEAD "[databases]\na = prot=1 pool_size=x pool_mode=fast port=0\n",
	    "7: error: database \"a\": found unknown key \"prot\", expected perhaps \"port\"\n"
	    "7: error: database \"a\": pool_size: found \"x\", expected a whole number from -1 to 10000000\n"
	    "7: error: database \"a\": pool_mode: found \"fast\", expected one of session, transaction, "
	    "statement\n"
	    "7: error: database \"a\": port: found \"0\", expected a whole number from 1 to 65535\n");
	fixture_bad(FIXTURE_HEAD "[databases]\na = password=hush port\n",
	    "7: error: database \"a\": at the value of \"password\": expected key=value\n");
	fixture_bad(FIXTURE_HEAD "[databases]\na = hush\n",
	    "7: error: database \"a\": expected key=value\n");
	fixture_bad(FIXTURE_HEAD "[databases]\na = password='hush port=1\n",
	    "7: error: database \"a\": at the value of \"password\": the quote at its start is never "
	    "closed\n");
	fixture_bad(FIXTURE_HEAD "[databases]\na = host= port=1\n",
	    "7: error: database \"a\": host: found nothing, expected a value or ''\n");
	fixture_bad(FIXTURE_HEAD "[users]\na = pool_sise=1\n",
	    "7: error: user \"a\": found unknown key \"pool_sise\", expected perhaps \"pool_size\"\n");
	fixture_bad(FIXTURE_HEAD "[peers]\nx = host=a\n",
	    "7: error: name of a peer: found \"x\", expected a whole number from 1 to 16383\n"
	    "7: warning: [peers] has no effect: cancel requests are not passed between processes yet\n");
}

/* Goal: an entry of [secrets] arrives with the cache's defaults, and a database names it. */
static void
test_secret(void **state)
{
	static struct said said;
	struct config *cfg = fixture_load(FIXTURE_HEAD
	    "[databases]\na = secret=rw\n[secrets]\n"
	    "rw = provider=aws-secretsmanager secret_id=prod/db region=eu-west-1 ttl=60 grace=5\n"
	    "b = provider=exec command='/bin/x \"a b\"'\n",
	    &said);
	const struct config_secret *s = config_find_secret(cfg, "rw");

	(void)state;
	assert_string_equal(said.text, "");
	assert_string_equal(config_find_database(cfg, "a")->secret, "rw");
	assert_int_equal(cfg->n_secrets, 2);
	assert_string_equal(s->provider, "aws-secretsmanager");
	assert_string_equal(s->secret_id, "prod/db");
	assert_int_equal(s->ttl, 60000);
	assert_int_equal(s->grace, 5000);
	assert_int_equal(s->min_refresh_interval, 1000);
	assert_int_equal(s->retry_max, 30000);
	assert_int_equal(s->max_stale, 0);
	assert_int_equal(s->port, 0);
	assert_string_equal(config_find_secret(cfg, "b")->command, "/bin/x \"a b\"");
	assert_null(config_find_secret(cfg, "c"));
	config_unref(cfg);
}

/* Goal: keys that would change who may log in are refused with what to do instead. */
static void
test_refused(void **state)
{
	(void)state;
	fixture_bad(FIXTURE_HEAD "[databases]\na = resource_arn=x\n",
	    "7: error: database \"a\": resource_arn: the HTTP data API is not served yet; remove it\n");
	fixture_bad(FIXTURE_HEAD "[databases]\na = secret=x\n",
	    "7: error: database \"a\": secret: found x, expected the name of an entry of [secrets]\n");
	fixture_bad(FIXTURE_HEAD
	    "[databases]\na = secret=x password=p user=u\n[secrets]\nx = provider=env\n",
	    "7: error: database \"a\": found secret and password, expected one of them\n");
}

/* Goal: an entry given again replaces the first, a key given again in one line the earlier; both
 * are told. */
static void
test_twice(void **state)
{
	static struct said said;
	struct config *cfg = fixture_load(FIXTURE_HEAD
	    "[databases]\na = port=1 host=x\n[users]\nu=pool_size=1\n[databases]\na = port=2 port=3\n"
	    "[users]\nu=pool_size=2\nu=pool_size=3\n",
	    &said);
	const char *at;

	(void)state;
	assert_int_equal(cfg->n_databases, 2);
	assert_int_equal(config_find_database(cfg, "a")->port, 3);
	assert_null(config_find_database(cfg, "a")->host);
	assert_int_equal(cfg->n_users, 1);
	assert_int_equal(cfg->users[0].pool_size, 3);
	assert_int_equal(said.warnings, 4);
	assert_non_null(strstr(said.text, "11: warning: database \"a\": port is given twice"));
	assert_non_null(
	    at = strstr(said.text, "11: warning: database \"a\" replaces that of /tmp/"));
	assert_non_null(strstr(at, " line 7\n"));
	assert_non_null(strstr(said.text, "13: warning: user \"u\" replaces"));
	assert_non_null(strstr(said.text, "14: warning: user \"u\" replaces"));
	config_unref(cfg);
}

/* Goal: names are whole: 127 bytes fit, more are refused. */
static void
test_long_name(void **state)
{
	char text[512], name[200];
	struct config *cfg;

	(void)state;
	memset(name, 'n', 128);
	name[127] = '\0';
	snprintf(text, sizeof(text), FIXTURE_HEAD "[databases]\n%s = \n", name);
	cfg = fixture_good(text);
	assert_string_equal(config_find_database(cfg, name)->name, name);
	config_unref(cfg);
	name[127] = 'n';
	name[128] = '\0';
	snprintf(text, sizeof(text), FIXTURE_HEAD "[users]\n%s = \n", name);
	fixture_bad(text,
	    "7: error: user \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
	    "...\": found a name of 128 bytes, expected at most 127\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_database),
		cmocka_unit_test(test_user_and_peer),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_long_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
