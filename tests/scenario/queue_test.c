/* queue_test.c -- who gets a server, in which order, and what those are told who wait in vain. */
#include "tests/scenario/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* goal: a client queued past query_wait_timeout is told 53300 and the server is untouched */
static void
test_queue_timeout(void **state)
{
	(void)state;
	stage_begin("query_wait_timeout = 120\n", "");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	client_query(b, "select 1");
	stage_clock(119000);
	client_gets(b, "");
	stage_clock(2000);
	client_gets_fatal(b, "53300");
	server_gets(1, "");
	client_runs_on(a, 1, "commit");
	assert_int_equal(servers_opened(), 1);
	stage_end();
}

/* goal: who asked first is served first, by the server as it becomes free, in the same moment */
static void
test_fifo(void **state)
{
	struct client *c[5];
	char sql[24];

	(void)state;
	stage_begin("", "");
	for (int i = 0; i < 5; i++)
		c[i] = client_in();
	for (int i = 0; i < 5; i++) {
		snprintf(sql, sizeof(sql), "select %d", i);
		client_query(c[i], sql);
	}
	for (int i = 0; i < 5; i++) {
		server_gets(1, "Q");
		assert_int_equal(server_got(1, 0)[7], '0' + i);
		server_sends(1, "CZ");
		client_gets(c[i], "CZ");
	}
	stage_end();
}

/* goal: after reserve_pool_timeout, and not before, a waiting client gets a server of the reserve */
static void
test_reserve(void **state)
{
	(void)state;
	stage_begin("reserve_pool_size = 1\nreserve_pool_timeout = 5\n", "");
	struct client *a = client_in(), *b = client_in(), *c = client_in();

	client_begins_on(a, 1);
	client_query(b, "select 1");
	stage_clock(4900);
	assert_int_equal(servers_opened(), 1);
	stage_clock(200);
	assert_int_equal(servers_opened(), 2);
	server_gets(2, "Q");
	client_query(c, "select 1");
	stage_clock(20000);
	assert_int_equal(servers_opened(), 2);
	server_sends(2, "CZ");
	client_gets(b, "CZ");
	server_gets(2, "Q");
	stage_end();
}

/* goal: while nobody can be reached, one attempt every 50 ms; waiting clients are served once it is up */
static void
test_server_down(void **state)
{
	(void)state;
	stage_begin("", "pool_size=5");
	struct client *a = client_in();
	int before;

	server_dies(1);
	assert_true(server_is_closed(1));
	fake_connector_answers(FAKE_DOWN);
	client_query(a, "select 1");
	before = fake_connector_attempts();
	stage_clock(1000);
	assert_in_range(fake_connector_attempts() - before, 12, 21);
	client_gets(a, "");
	fake_connector_answers(FAKE_ACCEPT);
	stage_clock(100);
	server_gets(2, "Q");
	server_sends(2, "CZ");
	client_gets(a, "CZ");
	stage_end();
}

/* goal: a refusal that will not pass by itself is told to all who wait, with the server's SQLSTATE; after
 * server_login_retry the next one tries again */
static void
test_refused(void **state)
{
	(void)state;
	stage_begin("server_login_retry = 15\n", "pool_size=5");
	struct client *a = client_in(), *b = client_in(), *c = client_in(), *d = client_in();

	server_dies(1);
	fake_connector_answers(FAKE_HOLD);
	client_query(a, "select 1");
	client_query(b, "select 1");
	fake_connector_answers(FAKE_REFUSE);
	client_gets_fatal(a, "28P01");
	client_gets_fatal(b, "28P01");
	client_query(c, "select 1");
	stage_clock(1);
	stage_clock(100);
	client_gets_fatal(c, "28P01");
	fake_connector_answers(FAKE_ACCEPT);
	stage_clock(16000);
	client_query(d, "select 1");
	server_gets(2, "Q");
	stage_end();
}

/* goal: clients who come while nothing can be reached wait, and are told the real reason in the end */
static void
test_real_reason(void **state)
{
	(void)state;
	stage_begin("query_wait_timeout = 10\n", "");
	fake_connector_answers(FAKE_DOWN);
	struct client *a = client_knocks();

	stage_clock(9000);
	client_gets(a, "");
	stage_clock(2000);
	client_gets_fatal(a, "08006");
	stage_end();
}

/* goal: half a message does not take a server; the whole one does */
static void
test_half_message(void **state)
{
	static const char query[] = "Q\0\0\0\x0dselect 1";

	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_sends_bytes(a, query, 9);
	client_runs_on(b, 1, "select 2");
	client_sends_bytes(a, query + 9, sizeof(query) - 9);
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 1");
	server_sends(1, "CZ");
	client_gets(a, "CZ");
	stage_end();
}

/* goal: what a queued client sends ahead is kept in order and answered in order */
static void
test_pipeline_while_queued(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	client_parse(b, "", "select 1");
	client_go(b);
	client_bind(b, "");
	client_execute(b);
	client_sync(b);
	client_go(b);
	client_runs_on(a, 1, "commit");
	server_gets(1, "PBES");
	server_sends(1, "12CZ");
	client_gets(b, "12CZ");
	stage_end();
}

/* goal: a client that goes away while queued leaves the queue */
static void
test_gone_while_queued(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in(), *c = client_in();

	client_begins_on(a, 1);
	client_query(b, "select 'b'");
	client_query(c, "select 'c'");
	client_leaves(b);
	client_runs_on(a, 1, "commit");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 'c'");
	stage_end();
}

/* goal: a cancel for a queued client ends its request with 57014, and the client stays */
static void
test_cancel_while_queued(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	client_query(b, "select 1");
	assert_true(client_cancels(b));
	client_gets_error(b, "57014");
	assert_int_equal(fake_connector_cancels(), 0);
	client_runs_on(a, 1, "commit");
	client_runs_on(b, 1, "select 2");
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queue_timeout),
		cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_server_down),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_real_reason),
		cmocka_unit_test(test_half_message),
		cmocka_unit_test(test_pipeline_while_queued),
		cmocka_unit_test(test_gone_while_queued),
		cmocka_unit_test(test_cancel_while_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
