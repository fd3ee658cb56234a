#include "tests/unit/proxy/config/config_fixture.h"

#include <pthread.h>

/* Goal: the defaults are PgBouncer's, in milliseconds and bytes. */
static void
test_defaults(void **state)
{
	struct config *cfg = fixture_good(FIXTURE_HEAD);

	(void)state;
	assert_int_equal(cfg->pool_mode, POOL_SESSION);
	assert_int_equal(cfg->auth_type, AUTH_MD5);
	assert_int_equal(cfg->client_tls_sslmode, TLS_DISABLE);
	assert_int_equal(cfg->server_tls_sslmode, TLS_PREFER);
	assert_int_equal(cfg->query_wait_timeout, 120000);
	assert_int_equal(cfg->max_packet_size, 2147483647);
	assert_int_equal(cfg->unix_socket_mode, 0777);
	assert_string_equal(cfg->unix_socket_dir, "/tmp");
	assert_string_equal(cfg->server_reset_query, "DISCARD ALL");
	assert_null(cfg->listen_addr);
	assert_null(cfg->server_check_query);
	assert_true(cfg->tcp_keepalive);
	assert_int_equal(cfg->default_pool_size, 20);
	assert_non_null(cfg->conffile);
	config_unref(cfg);
}

/* Goal: a pgbouncer.ini as people have it loads as it is; the last of a key counts, in both
 * sections. */
static void
test_pgbouncer_ini(void **state)
{
	struct config *cfg = fixture_good(
	    "\xef\xbb\xbf;; my pooler\r\n[databases]\r\nforcedb = host=localhost port=300 user=baz "
	    "password=foo client_encoding=UNICODE datestyle=ISO connect_query='SELECT 1'\r\n"
	    "* = host=testserver\r\n[pgbouncer]\r\nlogfile = /var/log/pgbouncer/pgbouncer.log\r\n"
	    "pidfile = /var/run/pgbouncer.pid\r\nlisten_addr = localhost\r\nlisten_port = 6432\r\n"
	    "unix_socket_dir = /var/run/postgresql\r\nauth_type = md5\r\nauth_file = userlist.txt\r\n"
	    "server_check_query = \r\nserver_reset_query =\r\nmax_client_conn=1\r\n[pgsluice]\r\n"
	    "max_client_conn=2\r\n[pgbouncer]\r\nmax_client_conn = 3\r\nserver_idle_timeout = 0.25\r\n");

	(void)state;
	assert_int_equal(cfg->max_client_conn, 3);
	assert_int_equal(cfg->server_idle_timeout, 250);
	assert_string_equal(cfg->server_check_query, "");
	assert_null(cfg->server_reset_query);
	assert_string_equal(cfg->pidfile, "/var/run/pgbouncer.pid");
	assert_string_equal(config_find_database(cfg, "forcedb")->connect_query, "SELECT 1");
	config_unref(cfg);
}

/* Goal: names are found exactly, all others fall back to "*", and its absence is an answer. */
static void
test_find(void **state)
{
	struct config *cfg = fixture_good(FIXTURE_HEAD "[databases]\nb=host=h\n'a b'=\nB=\n");

	(void)state;
	assert_string_equal(config_find_database(cfg, "b")->name, "b");
	assert_string_equal(config_find_database(cfg, "B")->name, "B");
	assert_string_equal(config_find_database(cfg, "a b")->name, "a b");
	assert_string_equal(config_find_database(cfg, "c")->name, "*");
	assert_null(config_find_database(cfg, "c")->dbname);
	assert_string_equal(config_find_database(cfg, "")->name, "*");
	assert_string_equal(config_host(cfg, config_find_database(cfg, "b")), "h");
	assert_string_equal(config_host(cfg, config_find_database(cfg, "B")), "/tmp");
	assert_null(config_find_user(cfg, "b"));
	config_unref(cfg);
	cfg = fixture_good("[pgsluice]\nauth_file=u\n[databases]\nb=\n");
	assert_null(config_find_database(cfg, "c"));
	config_unref(cfg);
}

/* Goal: every fault of a file is told in one pass, and nothing is loaded. */
static void
test_all_faults(void **state)
{
	(void)state;
	fixture_bad(
	    "x=1\n[pgsluice]\nworkers=many\nauth_file=u\nfoo bar\nunix_socket_mode=0999\n[nowhere]\n"
	    "y=2\n[http]\nlisten_port=1\n[databases]\n*=port=x\n",
	    "1: error: found \"x\" before any section, expected [pgsluice]\n"
	    "3: error: workers: found \"many\", expected a whole number from 0 to 64\n"
	    "5: error: found a line that starts with \"foo\", expected key = value, [section], %include "
	    "FILE or a comment (a key with other characters than letters, digits and _ . * - needs "
	    "'quotes')\n"
	    "6: error: unix_socket_mode: found \"0999\", expected octal permissions from 00 to 0777\n"
	    "7: error: found unknown section \"nowhere\", expected pgsluice (or pgbouncer), databases, "
	    "users, peers or secrets\n"
	    "9: error: [http] is not served: the HTTP data API is not served yet; remove the section\n"
	    "12: error: database \"*\": port: found \"x\", expected a whole number from 1 to 65535\n");
}

/* Goal: a file that is not there is one fault, also without anybody to tell. */
static void
test_no_file(void **state)
{
	static struct said said;

	(void)state;
	assert_null(config_load("/nonexistent/pgsluice.ini", fixture_say, &said));
	assert_int_equal(said.errors, 1);
	assert_null(config_load("/nonexistent/pgsluice.ini", NULL, NULL));
}

/* Goal: a value of 64 KB is whole, in a file and in an entry. */
static void
test_long_value(void **state)
{
	size_t len = 65536;
	char *text = malloc(2 * len + 256), *value = malloc(len + 1);
	struct config *cfg;

	(void)state;
	memset(value, ';', len);
	value[len] = '\0';
	snprintf(text, 2 * len + 256,
	    FIXTURE_HEAD "server_reset_query = x%s\n[databases]\na=password='%s' user=u\n", value,
	    value);
	cfg = fixture_good(text);
	assert_int_equal(strlen(cfg->server_reset_query), len + 1);
	assert_string_equal(config_find_database(cfg, "a")->password, value);
	assert_string_equal(config_find_database(cfg, "a")->user, "u");
	config_unref(cfg);
	free(text);
	free(value);
}

/* Goal: entries of many databases are sorted, found and cheap. */
static void
test_many(void **state)
{
	size_t size = 3000 * 64 + 256, n, i;
	char *text = malloc(size), name[16];
	struct config *cfg;

	(void)state;
	n = (size_t)snprintf(text, size, FIXTURE_HEAD "[databases]\n");
	for (i = 0; i < 3000; i++)
		n += (size_t)snprintf(text + n, size - n, "db%zu = host=h port=%zu\n",
		    i * 7919 % 3000, i + 1);
	cfg = fixture_good(text);
	assert_int_equal(cfg->n_databases, 3001);
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "db%zu", i * 7919 % 3000);
		assert_int_equal(config_find_database(cfg, name)->port, i + 1);
	}
	config_unref(cfg);
	free(text);
}

/* Goal: SET makes a new snapshot and leaves the old one alone; both live on their own. */
static void
test_set(void **state)
{
	struct config *cfg = fixture_good(
	    FIXTURE_HEAD "[databases]\na=host=h password=p user=u\n[users]\nu=\n");
	struct config *one, *two;
	char err[256];

	(void)state;
	one = config_set(cfg, "server_check_query", "select 1", err, sizeof(err));
	assert_non_null(one);
	two = config_set(one, "query_timeout", "1.5", err, sizeof(err));
	assert_non_null(two);
	assert_null(cfg->server_check_query);
	config_unref(cfg);
	assert_int_equal(one->query_timeout, 0);
	config_unref(one);
	assert_string_equal(two->server_check_query, "select 1");
	assert_int_equal(two->query_timeout, 1500);
	assert_string_equal(config_find_database(two, "a")->password, "p");
	assert_string_equal(config_find_database(two, "a")->dbname, "a");
	assert_string_equal(config_find_user(two, "u")->name, "u");
	config_unref(two);
}

static void
refuse_set(const struct config *cfg, const char *key, const char *value, const char *why)
{
	char err[256];

	assert_null(config_set(cfg, key, value, err, sizeof(err)));
	assert_string_equal(err, why);
}

/* Goal: SET refuses what cannot take effect, and says why. */
static void
test_set_refused(void **state)
{
	struct config *cfg = fixture_good(FIXTURE_HEAD);
	char err[8];

	(void)state;
	refuse_set(cfg, "pool_sice", "1",
	    "found unknown key \"pool_sice\", expected perhaps \"pool_mode\"");
	refuse_set(cfg, "zzzzzzzzzz", "1", "found unknown key \"zzzzzzzzzz\"");
	refuse_set(cfg, "listen_port", "1", "listen_port cannot be changed without a restart");
	refuse_set(cfg, "conffile", "x",
	    "conffile has no effect: RELOAD reads the file named on the command line");
	refuse_set(cfg, "query_timeout", "soon",
	    "query_timeout: found \"soon\", expected seconds from 0 to "
	    "315360000, fractions allowed");
	refuse_set(cfg, "auth_type", "cert",
	    "auth_type=cert: found client_tls_sslmode=disable, expected "
	    "verify-full");
	assert_null(config_set(cfg, "listen_port", "1", err, sizeof(err)));
	assert_string_equal(err, "listen_");
	config_unref(cfg);
}

/* Goal: at reload, options that need a restart keep their running values. */
static void
test_keep_fixed(void **state)
{
	struct config *running = fixture_good(
	    FIXTURE_HEAD "listen_addr=a\nlisten_port=1\nmax_client_conn=1\n");
	struct config *fresh = fixture_good(
	    FIXTURE_HEAD "listen_addr=b\nlisten_port=2\nmax_client_conn=2\n");

	(void)state;
	assert_int_equal(config_keep_fixed(fresh, running), 0);
	config_unref(running);
	assert_string_equal(fresh->listen_addr, "a");
	assert_int_equal(fresh->listen_port, 1);
	assert_int_equal(fresh->max_client_conn, 2);
	config_unref(fresh);
}

static void *
hold_and_drop(void *arg)
{
	struct config *cfg = arg;
	int i;

	for (i = 0; i < 10000; i++)
		config_unref(config_ref(cfg));
	config_unref(cfg);
	return NULL;
}

/* Goal: references may be counted by several threads; the last one frees. */
static void
test_references(void **state)
{
	struct config *cfg = fixture_good(FIXTURE_HEAD);
	pthread_t threads[3];
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		config_ref(cfg);
		assert_int_equal(pthread_create(&threads[i], NULL, hold_and_drop, cfg), 0);
	}
	config_unref(cfg);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	config_unref(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_pgbouncer_ini),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_all_faults),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_long_value),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_set_refused),
		cmocka_unit_test(test_keep_fixed),
		cmocka_unit_test(test_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
