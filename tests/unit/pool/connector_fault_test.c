/* Connectors and servers that do not behave: scripted ones on loopback, no PostgreSQL. */
#include "tests/unit/pool/connector_fixture.h"
#include "tests/unit/pool/fake_server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define PASSWORD "secret-word"

static struct connect_target
target(const char *hosts, int port)
{
	return (struct connect_target){ .hosts = hosts,
		.port = port,
		.dbname = "db",
		.user = "user",
		.password = PASSWORD,
		.tls.mode = "disable",
		.timeout = 3000 };
}

/* What comes of a server that answers the startup packet with these bytes. */
static enum connect_result
meet(const void *bytes, size_t n, struct connect_job *job)
{
	struct connect_target t;
	struct asker a;
	struct fake f;
	enum connect_result result;

	fake_begin(&f, answer_startup, bytes, n);
	t = target("127.0.0.1", f.port);
	asker_begin(&a, 1);
	job->first_host = 0;
	result = connect_now(&a, job, &t);
	fake_end(&f);
	asker_end(&a);
	return result;
}

#define MEET(bytes, job) meet(bytes, sizeof(bytes) - 1, job)

#define AUTH_OK "R\0\0\0\10\0\0\0\0"
#define KEY	"K\0\0\0\14\0\0\x30\x39\x80\0\0\7"
#define READY	"Z\0\0\0\5I"

/* ---- tests ---- */

static void
greetings(void **state)
{
	/* goal: key and parameters come out right whatever the values look like */
	static const char bytes[] = AUTH_OK "S\0\0\0\11a\0b\"\0"
					    "S\0\0\0\65evil\0x\nB\t12\tBackendKeyData\t 99999 "
					    "1\nB\t9\tPar \"q\" \0" KEY READY;
	static const uint8_t key[] = { 0x80, 0, 0, 7 };
	struct connect_job job = { .first_host = 0 };

	(void)state;
	assert_int_equal(MEET(bytes, &job), CONNECT_OK);
	assert_int_equal(job.backend_pid, 12345);
	assert_int_equal(job.key_len, 4);
	assert_memory_equal(job.key, key, 4);
	assert_string_equal(param(&job, "a"), "b\"");
	assert_non_null(strstr(param(&job, "evil"), "\nB\t12\t"));
	hang_up(&job);
}

static void
behind_the_greeting(void **state)
{
	/* goal: what libpq has read beyond ReadyForQuery is not lost: a parameter counts, anything
	 * else ends the connection */
	static const char good[] = AUTH_OK "S\0\0\0\10a\0b\0" KEY READY "S\0\0\0\13late\0v\0";
	static const char bad[] = AUTH_OK "S\0\0\0\10a\0b\0" KEY READY
					  "N\0\0\0\24SNOTICE\0Mhello\0\0";
	static const char odd[] = AUTH_OK "S\0\0\0\10a\0b\0" KEY READY "D\0\0\0\6\0\0";
	struct connect_job job = { .first_host = 0 };

	(void)state;
	assert_int_equal(MEET(good, &job), CONNECT_OK);
	assert_string_equal(param(&job, "late"), "v");
	hang_up(&job);
	assert_int_equal(MEET(bad, &job), CONNECT_RETRY);
	assert_non_null(strstr(job.message, "behind its greeting"));
	assert_int_equal(MEET(odd, &job), CONNECT_RETRY);
}

static void
errors(void **state)
{
	/* goal: what a server says before authentication is known by its SQLSTATE, as one line */
	static const char starting[] = "E\0\0\0\53SFATAL\0VFATAL\0C57P03\0Mstarting\tup\nnow\0\0";
	static const char rule[] = "E\0\0\0\47SFATAL\0VFATAL\0C28000\0Mno hba rule\0\0";
	struct connect_job job = { .first_host = 0 };

	(void)state;
	assert_int_equal(MEET(starting, &job), CONNECT_RETRY);
	assert_string_equal(job.sqlstate, "57P03");
	assert_non_null(strstr(job.message, ": starting up"));
	assert_null(strstr(job.message, "FATAL"));
	assert_int_equal(MEET(rule, &job), CONNECT_REFUSED);
	assert_string_equal(job.sqlstate, "28000");
}

static void
nonsense(void **state)
{
	/* goal: servers that speak something else end the attempt, quickly and without harm */
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	static const char huge[] = "R\x7f\xff\xff\xff\0\0\0\0";
	static const char gss[] = "R\0\0\0\10\0\0\0\7";
	static const char scram[] = "R\0\0\0\27\0\0\0\12SCRAM-SHA-256\0\0"
				    "R\0\0\0\17\0\0\0\13r=,s=,i";
	int64_t begin = now_ms();
	struct connect_job job = { .first_host = 0 };

	(void)state;
	assert_int_not_equal(MEET(http, &job), CONNECT_OK);
	assert_int_not_equal(MEET(huge, &job), CONNECT_OK);
	assert_int_equal(MEET(gss, &job), CONNECT_REFUSED);
	assert_int_equal(MEET(scram, &job), CONNECT_REFUSED);
	assert_null(strstr(job.message, PASSWORD));
	assert_true(now_ms() - begin < 2000);
}

static void
gone(void **state)
{
	/* goal: a server that closes at once, or does not listen, may come back */
	struct connect_job job = { .first_host = 0 };
	struct connect_target t;
	struct asker a;
	struct fake f;

	(void)state;
	fake_begin(&f, hang_up_at_once, NULL, 0);
	t = target("127.0.0.1", f.port);
	asker_begin(&a, 1);
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_RETRY);
	assert_string_equal(job.sqlstate, "08006");
	t.tls.mode = "require";
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_RETRY);
	fake_end(&f);
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_RETRY);
	asker_end(&a);
}

static void
no_tls(void **state)
{
	/* goal: a server without TLS where TLS is required is refused */
	struct connect_job job = { .first_host = 0 };
	struct connect_target t;
	struct asker a;
	struct fake f;

	(void)state;
	fake_begin(&f, answer_startup, "N", 1);
	t = target("127.0.0.1", f.port);
	t.tls.mode = "require";
	asker_begin(&a, 1);
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_REFUSED);
	assert_non_null(strstr(job.message, "does not support SSL"));
	fake_end(&f);
	asker_end(&a);
}

static const char greeting[] = AUTH_OK "S\0\0\0\10a\0b\0" KEY READY;

static void
black_hole(void **state)
{
	/* goal: a server that never answers costs its own job the timeout, and others nothing */
	int hole = listen_at("127.0.0.1", 0);
	struct connect_job stuck = { .first_host = 0 }, job = { .first_host = 0 };
	struct connect_target t = target("127.0.0.1", port_of(hole)), good;
	int64_t begin = now_ms();
	struct asker a;
	struct fake f;

	(void)state;
	fake_begin(&f, answer_startup, greeting, sizeof(greeting) - 1);
	good = target("127.0.0.1", f.port);
	t.timeout = 500;
	asker_begin(&a, 1);
	ask_connect(&a, &stuck, &t);
	for (int i = 0; i < 5; i++) {
		a.left--; /* wait for the other one only */
		assert_int_equal(connect_now(&a, &job, &good), CONNECT_OK);
		a.left++;
		hang_up(&job);
	}
	assert_true(now_ms() - begin < 400);
	asker_wait(&a);
	assert_true(now_ms() - begin >= 500);
	assert_int_equal(stuck.result, CONNECT_RETRY);
	assert_non_null(strstr(stuck.message, "timeout during the login"));
	fake_end(&f);
	asker_end(&a);
	close(hole);
}

static void
host_list(void **state)
{
	/* goal: hosts are tried in turn from first_host, each with a timeout of its own */
	struct connect_job job = { .first_host = 0 };
	struct connect_target t;
	struct asker a;
	struct fake f;
	int64_t begin;
	int hole;

	(void)state;
	fake_begin(&f, answer_startup, greeting, sizeof(greeting) - 1);
	hole = listen_at("127.0.0.3", f.port);
	t = target("127.0.0.2, 127.0.0.3 ,127.0.0.3,127.0.0.1", f.port);
	t.timeout = 200;
	asker_begin(&a, 1);
	begin = now_ms();
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
	assert_int_equal(job.host_used, 3);
	assert_in_range(now_ms() - begin, 400, 1000);
	hang_up(&job);

	begin = now_ms();
	job.first_host = 7;
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
	assert_int_equal(job.host_used, 3);
	assert_true(now_ms() - begin < 200);
	hang_up(&job);

	/* the list goes round; all of them fail */
	job.first_host = 1;
	t.hosts = "127.0.0.2,127.0.0.3";
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_RETRY);
	assert_non_null(strstr(job.message, "127.0.0.2"));
	fake_end(&f);
	asker_end(&a);
	close(hole);
}

static void
addresses(void **state)
{
	/* goal: all addresses of a name are tried in turn; one that hangs is not the first next time */
	char path[] = "/tmp/pgsluice-hosts.XXXXXX";
	struct connect_job job = { .first_host = 0 };
	struct connect_target t;
	struct asker a;
	struct fake f;
	int hole, fd = mkstemp(path), tries = 1;

	(void)state;
	assert_true(dprintf(fd, "127.0.0.2 two.test\n127.0.0.1 two.test\n"
				"127.0.0.3 hung.test\n127.0.0.1 hung.test\n") > 0);
	close(fd);
	setenv("CARES_HOSTS", path, 1);
	fake_begin(&f, answer_startup, greeting, sizeof(greeting) - 1);
	hole = listen_at("127.0.0.3", f.port);
	t = target("two.test", f.port);
	asker_begin(&a, 2);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
		hang_up(&job);
	}
	t.hosts = "hung.test";
	t.timeout = 200;
	while (connect_now(&a, &job, &t) != CONNECT_OK) {
		assert_non_null(strstr(job.message, "server \"hung.test\" (127.0.0.3), port "));
		assert_true(++tries <= 3);
	}
	hang_up(&job);
	fake_end(&f);
	asker_end(&a);
	close(hole);
	unsetenv("CARES_HOSTS");
	unlink(path);
}

static void
stopped(void **state)
{
	/* goal: connectors that stop tell all who still wait, jobs and cancels */
	int hole = listen_at("127.0.0.1", 0);
	struct connect_job jobs[3] = { { .first_host = 0 } };
	struct connect_target t = target("127.0.0.1", port_of(hole));
	struct connect_target name = target("some.name.invalid", 1);
	struct cancel_job cancel = { .key_len = 4 };
	struct asker a;

	(void)state;
	asker_begin(&a, 2);
	ask_connect(&a, &jobs[0], &t);
	ask_connect(&a, &jobs[1], &name);
	cancel.asker = &a.me;
	cancel.done = asker_cancelled;
	cancel.peer_len = sizeof(struct sockaddr_in);
	assert_int_equal(getsockname(hole, (struct sockaddr *)&cancel.peer, &cancel.peer_len), 0);
	a.left++;
	connector_cancel(a.c, &cancel);
	poll(NULL, 0, 50);
	ask_connect(&a, &jobs[2], &t);
	connectors_stop(a.c);
	a.c = NULL;
	asker_wait(&a);
	assert_int_equal(jobs[0].result, CONNECT_RETRY);
	assert_string_equal(jobs[0].message, "shutting down");
	assert_int_equal(jobs[1].result, CONNECT_RETRY);
	assert_int_equal(jobs[2].result, CONNECT_RETRY);
	assert_false(cancel.ok);
	asker_end(&a);
	close(hole);
}

static void
finish_never_blocks(void **state)
{
	/* goal: a connection whose peer reads nothing is closed at once, and no SIGPIPE comes */
	static uint8_t zeros[65536];
	struct connect_job job = { .first_host = 0 };
	struct connect_target t;
	struct asker a;
	struct fake f;
	int64_t begin;

	(void)state;
	fake_begin(&f, answer_startup, greeting, sizeof(greeting) - 1);
	t = target("127.0.0.1", f.port);
	asker_begin(&a, 1);
	assert_int_equal(connect_now(&a, &job, &t), CONNECT_OK);
	f.stop = true;
	pthread_join(f.thread, NULL);
	/* nobody reads now */
	while (send(job.fd, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0)
		;
	begin = now_ms();
	hang_up(&job);
	assert_true(now_ms() - begin < 100);
	connector_finish(NULL);
	close(f.fd);
	asker_end(&a);
}

/* ---- cancel requests ---- */

static void
talk_tls_never(struct fake *f, int conn)
{
	uint8_t byte;

	if (!read_packet(conn))
		return;
	send(conn, "N", 1, MSG_NOSIGNAL);
	while (recv(conn, &byte, 1, 0) == 1)
		f->n_bytes++;
}

static void
take_cancel(struct fake *f, int conn)
{
	static const uint8_t want[] = { 0, 0, 0, 18, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 9, 1, 2, 3, 4, 5,
		6 };
	uint8_t have[sizeof(want)];

	if (recv(conn, have, sizeof(have), MSG_WAITALL) == sizeof(have) &&
	    memcmp(have, want, sizeof(want)) == 0)
		f->n_bytes = sizeof(want);
}

static bool
cancel(struct asker *a, int port, bool tls, int64_t timeout)
{
	struct cancel_job job = { .asker = &a->me, .done = asker_cancelled };
	struct sockaddr_in *to = (struct sockaddr_in *)&job.peer;
	static const uint8_t key[] = { 1, 2, 3, 4, 5, 6 };

	to->sin_family = AF_INET;
	to->sin_port = htons((uint16_t)port);
	to->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	job.peer_len = sizeof(*to);
	job.tls = tls;
	job.timeout = timeout;
	job.backend_pid = 9;
	job.key_len = sizeof(key);
	memcpy(job.key, key, sizeof(key));
	a->left++;
	connector_cancel(a->c, &job);
	asker_wait(a);
	return job.ok;
}

static void
cancels(void **state)
{
	/* goal: a request is delivered in full, long keys too, or reported as not delivered in time */
	int hole = listen_at("127.0.0.1", 0), port = port_of(hole);
	int64_t begin;
	struct asker a;
	struct fake f;

	(void)state;
	asker_begin(&a, 1);
	fake_begin(&f, take_cancel, NULL, 0);
	assert_true(cancel(&a, f.port, false, 2000));
	assert_int_equal(f.n_bytes, 18);
	fake_end(&f);
	assert_false(cancel(&a, f.port, false, 2000));
	begin = now_ms();
	assert_false(cancel(&a, port, false, 200));
	assert_false(cancel(&a, port, true, 200));
	assert_in_range(now_ms() - begin, 400, 900);
	/* a server that does TLS no more does not get the key in clear text */
	fake_begin(&f, talk_tls_never, NULL, 0);
	assert_false(cancel(&a, f.port, true, 2000));
	fake_end(&f);
	assert_int_equal(f.n_bytes, 0);
	asker_end(&a);
	close(hole);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(greetings),
		cmocka_unit_test(behind_the_greeting),
		cmocka_unit_test(errors),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(gone),
		cmocka_unit_test(no_tls),
		cmocka_unit_test(black_hole),
		cmocka_unit_test(host_list),
		cmocka_unit_test(addresses),
		cmocka_unit_test(stopped),
		cmocka_unit_test(finish_never_blocks),
		cmocka_unit_test(cancels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
