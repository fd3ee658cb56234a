/* Connectors and a real PostgreSQL. Their faults: connector_fault_test.c. */
#include "tests/unit/pool/connector_fixture.h"
#include "tests/unit/pool/postgres_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/un.h>

static struct postgres pg;

static int
group_setup(void **state)
{
	(void)state;
	if (postgres_start(&pg)) {
		postgres_sql(&pg, "create role nobody_else login password 'secret-word' "
				  "connection limit 0");
		postgres_sql(&pg, "create role localhost login");
	}
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	postgres_stop(&pg);
	return 0;
}

static struct connect_target
target(const char *hosts, const char *sslmode)
{
	struct connect_target t = { .hosts = hosts,
		.port = pg.port,
		.dbname = "postgres",
		.user = "postgres",
		.password = POSTGRES_PASSWORD,
		.tls.mode = sslmode,
		.timeout = 10000,
		.keepalive = true };

	if (!pg.running)
		skip();
	return t;
}

/* One login, and one query over what it brought. */
static void
login(const struct connect_target *t, bool tls)
{
	struct connect_job job = { .first_host = 0 };
	struct asker a;
	struct talk talk;

	asker_begin(&a, 1);
	if (connect_now(&a, &job, t) != CONNECT_OK)
		fail_msg("%s %s", job.sqlstate, job.message);
	assert_true((job.ssl != NULL) == tls);
	assert_true(fcntl(job.fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(job.key_len, 4);
	assert_true(job.backend_pid > 0);
	assert_string_equal(param(&job, "standard_conforming_strings"), "on");
	assert_string_equal(param(&job, "server_encoding"), "UTF8");
	talk_begin(&talk, &a, &job);
	assert_true(talk_query(&talk, "select 6 * 7", "42"));
	talk_end(&talk);
	hang_up(&job);
	asker_end(&a);
}

static void
plain(void **state)
{
	/* goal: a SCRAM login without TLS; the socket is ours afterwards */
	struct connect_target t = target("127.0.0.1", "disable");

	(void)state;
	login(&t, false);
}

static void
tls(void **state)
{
	/* goal: the same with TLS, wanted or just tried */
	struct connect_target t = target("127.0.0.1", "require");

	(void)state;
	login(&t, true);
	t.tls.mode = "prefer";
	t.tls.min_protocol = "TLSv1.3";
	login(&t, true);
}

static void
unix_socket(void **state)
{
	/* goal: a folder as host means a Unix socket, whatever sslmode says */
	struct connect_target t = target(pg.dir, "prefer");
	struct connect_job job = { .first_host = 0 };
	char path[128];
	struct asker a;

	(void)state;
	t.password = NULL;
	login(&t, false);
	asker_begin(&a, 1);
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
	assert_true(job.unix_socket);
	snprintf(path, sizeof(path), "%s/.s.PGSQL.%d", pg.dir, pg.port);
	assert_string_equal(((struct sockaddr_un *)&job.peer)->sun_path, path);
	hang_up(&job);
	asker_end(&a);
}

static void
verified(void **state)
{
	/* goal: verify-full knows the server by the host's name although we gave libpq its address */
	struct connect_target t = target("localhost", "verify-full");
	struct connect_job job = { .first_host = 0 };
	struct asker a;

	(void)state;
	t.tls.ca_file = pg.cert;
	login(&t, true);

	asker_begin(&a, 1);
	t.hosts = "127.0.0.1";
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_REFUSED);
	assert_non_null(strstr(job.message, "certificate"));
	t.tls.mode = "verify-ca";
	t.tls.ca_file = "/etc/ssl/certs/nothing-here.pem";
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_REFUSED);
	assert_non_null(strstr(job.message, "certificate"));
	t.tls.ca_file = NULL;
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_REFUSED);
	/* with PgBouncer and without verify-*, nobody looks at the certificate */
	t.tls.mode = "require";
	t.tls.ca_file = "/etc/ssl/certs/nothing-here.pem";
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
	hang_up(&job);
	asker_end(&a);
}

static void
client_certificate(void **state)
{
	/* goal: we log in by a certificate of ours; without it we are refused */
	struct connect_target t = target("127.0.0.1", "require");
	struct connect_job job = { .first_host = 0 };
	struct asker a;

	(void)state;
	t.user = "localhost";
	t.password = NULL;
	t.tls.cert_file = pg.cert;
	t.tls.key_file = pg.key;
	login(&t, true);
	asker_begin(&a, 1);
	t.tls.cert_file = t.tls.key_file = NULL;
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_REFUSED);
	assert_string_equal(job.sqlstate, "28000");
	t.tls.cert_file = pg.cert;
	t.tls.key_file = "/nothing/here";
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_REFUSED);
	asker_end(&a);
}

static void
expect(const struct connect_target *t, enum connect_result result, const char *sqlstate,
    const char *words)
{
	struct connect_job job = { .first_host = 0 };
	struct asker a;

	asker_begin(&a, 1);
	assert_int_equal(connect_now(&a, &job, t), result);
	assert_string_equal(job.sqlstate, sqlstate);
	if (strstr(job.message, words) == NULL)
		fail_msg("%s", job.message);
	assert_null(strstr(job.message, "secret-word"));
	asker_end(&a);
}

static void
refusals(void **state)
{
	/* goal: what will not pass by itself is told apart from what may, with PostgreSQL's codes */
	struct connect_target t = target("127.0.0.1", "disable");

	(void)state;
	t.password = "secret-word";
	expect(&t, CONNECT_REFUSED, "28P01", "server \"127.0.0.1\", port ");
	expect(&t, CONNECT_REFUSED, "28P01",
	    ": password authentication failed for user \"postgres\"");
	t.user = "nobody_else";
	expect(&t, CONNECT_RETRY, "53300", "too many connections for role \"nobody_else\"");
	t = target("127.0.0.1", "prefer");
	t.dbname = "no such";
	expect(&t, CONNECT_REFUSED, "3D000", "database \"no such\" does not exist");
	t = target("127.0.0.1", "prefer");
	t.password = NULL;
	expect(&t, CONNECT_REFUSED, "28P01", "no password supplied");
	t = target("127.0.0.2", "prefer");
	expect(&t, CONNECT_RETRY, "08006", "server \"127.0.0.2\", port ");
	expect(&t, CONNECT_RETRY, "08006", ": Connection refused");
	t = target("/nowhere", "prefer");
	expect(&t, CONNECT_RETRY, "08006", "No such file");
	t = target("", "prefer");
	expect(&t, CONNECT_RETRY, "08006", "no host is given");
	t = target("127.0.0.1", "nonsense");
	expect(&t, CONNECT_REFUSED, "08006", "invalid sslmode");
}

static void
parameters(void **state)
{
	/* goal: the parameters of the target reach the server, and nothing from the environment does */
	struct connect_target t = target("127.0.0.1", "disable");
	struct connect_job job = { .first_host = 0 };
	struct asker a;
	struct talk talk;

	(void)state;
	setenv("PGOPTIONS", "-c work_mem=1234kB", 1);
	setenv("PGAPPNAME", "from the shell", 1);
	setenv("PGSLUICE_KEEP", "1", 1);
	t.application_name = "the application";
	t.client_encoding = "LATIN1";
	t.datestyle = "SQL, DMY";
	t.timezone = "Europe/Berlin";
	t.keepidle = 111;
	asker_begin(&a, 1);
	assert_null(getenv("PGOPTIONS"));
	assert_non_null(getenv("PGSLUICE_KEEP"));
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
	assert_string_equal(param(&job, "application_name"), "the application");
	assert_string_equal(param(&job, "client_encoding"), "LATIN1");
	assert_string_equal(param(&job, "DateStyle"), "SQL, DMY");
	assert_string_equal(param(&job, "TimeZone"), "Europe/Berlin");
	talk_begin(&talk, &a, &job);
	assert_true(talk_query(&talk, "show work_mem", "4MB"));
	talk_end(&talk);
	hang_up(&job);
	t.application_name = t.client_encoding = t.datestyle = t.timezone = NULL;
	t.replication = "database";
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
	assert_string_equal(param(&job, "application_name"), "");
	talk_begin(&talk, &a, &job);
	assert_true(talk_query(&talk, "IDENTIFY_SYSTEM", "postgres"));
	talk_end(&talk);
	hang_up(&job);
	asker_end(&a);
}

static void
many(void **state)
{
	/* goal: each thread runs many jobs at once; all get a connection of their own */
	enum { N = 60 };
	struct connect_target t = target("127.0.0.1", "prefer");
	struct connect_job jobs[N] = { { .first_host = 0 } };
	struct asker a;

	(void)state;
	asker_begin(&a, 2);
	for (int i = 0; i < N; i++)
		ask_connect(&a, &jobs[i], &t);
	asker_wait(&a);
	for (int i = 0; i < N; i++) {
		if (jobs[i].result != CONNECT_OK)
			fail_msg("%s", jobs[i].message);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(jobs[i].backend_pid, jobs[k].backend_pid);
	}
	for (int i = 0; i < N; i++)
		hang_up(&jobs[i]);
	asker_end(&a);
}

static void
cancel(struct asker *a, const struct connect_target *t)
{
	struct connect_job job = { .first_host = 0 };
	struct cancel_job cancel = { .asker = &a->me, .done = asker_cancelled, .timeout = 5000 };
	struct talk talk;

	assert_int_equal(connect_now(a, &job, t), CONNECT_OK);
	talk_begin(&talk, a, &job);
	talk_send(&talk, "select pg_sleep(60)");
	poll(NULL, 0, 50);
	cancel.peer = job.peer;
	cancel.peer_len = job.peer_len;
	cancel.tls = job.ssl != NULL;
	cancel.backend_pid = job.backend_pid;
	cancel.key_len = job.key_len;
	memcpy(cancel.key, job.key, job.key_len);
	a->left++;
	connector_cancel(a->c, &cancel);
	while (a->left > 0)
		loop_run(&a->me.loop);
	assert_true(cancel.ok);
	talk_wait(&talk, 'Z');
	assert_true(talk_has(&talk, 'E', "57014"));
	talk_end(&talk);
	hang_up(&job);
}

static void
cancels(void **state)
{
	/* goal: a cancel request ends the query: plain, over TLS, through a Unix socket */
	struct connect_target t = target("127.0.0.1", "disable");
	struct asker a;

	(void)state;
	asker_begin(&a, 1);
	cancel(&a, &t);
	t.tls.mode = "require";
	cancel(&a, &t);
	t = target(pg.dir, "disable");
	cancel(&a, &t);
	asker_end(&a);
}

static void
count_localhost(void *arg, const char *name, int64_t ttl_ms, const char *addrs)
{
	(void)ttl_ms;
	if (strcmp(name, "localhost") == 0 && strstr(addrs, "127.0.0.1") != NULL)
		++*(int *)arg;
}

static void
names(void **state)
{
	/* goal: a name is looked up and listed; one that does not exist may come to be */
	struct connect_target t = target("localhost", "disable");
	struct connect_job job = { .first_host = 0 };
	struct asker a;
	int n = 0;

	(void)state;
	asker_begin(&a, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
		assert_int_equal(job.peer.ss_family, AF_INET);
		hang_up(&job);
	}
	connector_dns(a.c, count_localhost, &n);
	assert_int_equal(n, 1);
	t.hosts = "no-such-host.invalid";
	t.timeout = 300;
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_RETRY);
	assert_non_null(strstr(job.message, "up the host name"));
	asker_end(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain),
		cmocka_unit_test(tls),
		cmocka_unit_test(unix_socket),
		cmocka_unit_test(verified),
		cmocka_unit_test(client_certificate),
		cmocka_unit_test(refusals),
		cmocka_unit_test(parameters),
		cmocka_unit_test(many),
		cmocka_unit_test(cancels),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
