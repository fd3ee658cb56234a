/* workers_test.c -- one pool over several workers: servers go where somebody waits. */
#include "tests/scenario/stage.h"

#include "pool/pool.h"
#include "tests/scenario/fake_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* goal: an idle server of one worker is handed to a client of another; none is opened, and back again */
static void
test_idle_server_moves(void **state)
{
	(void)state;
	stage_begin_workers(2, "", "pool_size=2");
	struct client *a = client_in_at(0), *b = client_in_at(1);

	client_runs_on(a, 1, "select 1");
	assert_int_equal(stage_idle_at(0), 1);
	client_runs_on(b, 1, "select 2");
	assert_int_equal(stage_idle_at(0), 0);
	assert_int_equal(stage_idle_at(1), 1);
	client_runs_on(a, 1, "select 3");
	assert_int_equal(stage_idle_at(0), 1);
	assert_int_equal(servers_opened(), 1);
	stage_check();
	stage_end();
}

/* goal: a server that becomes free goes straight to the client that waits on another worker */
static void
test_freed_server_moves(void **state)
{
	(void)state;
	stage_begin_workers(2, "", "");
	struct client *a = client_in_at(0), *b = client_in_at(1);

	client_begins_on(a, 1);
	client_query(b, "select 'b'");
	server_gets(1, "");
	client_query(a, "commit");
	server_gets(1, "Q");
	server_sends(1, "CZ");
	client_gets(a, "CZ");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 'b'");
	assert_int_equal(stage_idle_at(0) + stage_idle_at(1), 0);
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	assert_int_equal(stage_idle_at(1), 1);
	stage_check();
	stage_end();
}

/* Both wait, the one of the other worker `ms` longer than the one of the server's own. */
static void
wait_apart(uint64_t ms, const char *first, const char *second)
{
	stage_begin_workers(2, "", "");
	struct client *a = client_in_at(0), *own = client_in_at(0), *other = client_in_at(1);

	client_begins_on(a, 1);
	client_query(other, "select 'other'");
	stage_clock(ms);
	client_query(own, "select 'own'");
	client_runs_on(a, 1, "commit");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), first);
	server_sends(1, "CZ");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), second);
	server_sends(1, "CZ");
	client_gets(own, "CZ");
	client_gets(other, "CZ");
	stage_check();
	stage_end();
}

/* goal: the own worker's client is served first unless another worker's has waited POOL_SLACK_MS longer; the
 * second one is served either way */
static void
test_slack(void **state)
{
	(void)state;
	wait_apart(0, "select 'own'", "select 'other'");
	wait_apart(POOL_SLACK_MS, "select 'own'", "select 'other'");
	wait_apart(POOL_SLACK_MS + 1, "select 'other'", "select 'own'");
	wait_apart(1000, "select 'other'", "select 'own'");
}

/* goal: of several other workers the one whose client has waited longest is served first */
static void
test_longest_of_others(void **state)
{
	(void)state;
	stage_begin_workers(3, "", "");
	struct client *a = client_in_at(0), *b = client_in_at(1), *c = client_in_at(2);

	client_begins_on(a, 1);
	client_query(c, "select 'c'");
	stage_clock(1);
	client_query(b, "select 'b'");
	stage_clock(50);
	client_runs_on(a, 1, "commit");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 'c'");
	server_sends(1, "CZ");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 'b'");
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	client_gets(c, "CZ");
	stage_end();
}

/* goal: a busy worker does not starve another: its client waits no longer than its turn and the slack */
static void
test_no_starvation(void **state)
{
	struct client *busy[4];
	uint64_t since;

	(void)state;
	stage_begin_workers(2, "", "");
	for (int i = 0; i < 4; i++)
		busy[i] = client_in_at(0);
	struct client *b = client_in_at(1);

	for (int i = 0; i < 4; i++)
		client_query(busy[i], "select 'busy'");
	client_query(b, "select 'b'");
	since = fake_loop_now_ms();
	for (int n = 0; n < 1000; n++) {
		stage_clock(2);
		servers_answer();
		for (int i = 0; i < 4; i++)
			if (client_answer(busy[i]) != NULL)
				client_query(busy[i], "select 'busy'");
		if (client_answer(b) != NULL)
			break;
	}
	/* four were before it; then each of theirs is younger */
	assert_in_range(fake_loop_now_ms() - since, 1, POOL_SLACK_MS + 5 * 2 + 2);
	for (int i = 0; i < 6; i++)
		servers_answer();
	stage_check();
	stage_end();
}

/* goal: several clients of one worker get all idle servers of the others before any is opened */
static void
test_idle_servers_of_all(void **state)
{
	struct client *c[4];

	(void)state;
	stage_begin_workers(3, "server_round_robin = 0\n", "pool_size=3");
	struct client *a = client_in_at(0), *b = client_in_at(1), *d = client_in_at(2);

	client_begins_on(a, 1);
	client_begins_on(b, 2);
	client_begins_on(d, 3);
	client_runs_on(a, 1, "commit");
	client_runs_on(b, 2, "commit");
	client_runs_on(d, 3, "commit");
	assert_int_equal(stage_idle_at(0), 1);
	assert_int_equal(stage_idle_at(1), 1);
	assert_int_equal(stage_idle_at(2), 1);
	for (int i = 0; i < 4; i++)
		c[i] = client_in_at(2);
	for (int i = 0; i < 4; i++)
		client_query(c[i], "select 1");
	stage_check();
	assert_int_equal(servers_answer(), 3);
	assert_int_equal(servers_answer(), 1);
	for (int i = 0; i < 4; i++)
		assert_string_equal(client_answer(c[i]), "select 1");
	assert_int_equal(servers_opened(), 3);
	stage_end();
}

/* goal: a client that leaves while its server is on the way leaves a server that serves the next one */
static void
test_leaves_while_server_comes(void **state)
{
	(void)state;
	stage_begin_workers(2, "", "");
	struct client *a = client_in_at(0), *b = client_in_at(1), *c = client_in_at(0);

	client_begins_on(a, 1);
	client_query(b, "select 'b'");
	client_query(a, "commit");
	server_gets(1, "Q");
	client_vanishes(b);
	server_sends(1, "CZ");
	client_gets(a, "CZ");
	stage_check();
	client_runs_on(c, 1, "select 1");
	assert_int_equal(servers_opened(), 1);
	stage_check();
	stage_end();
}

/* goal: a server that dies while it is idle on another worker is replaced before the client notices */
static void
test_dies_idle_elsewhere(void **state)
{
	(void)state;
	stage_begin_workers(2, "", "");
	struct client *a = client_in_at(0), *b = client_in_at(1);

	client_runs_on(a, 1, "select 1");
	server_dies(1);
	client_runs_on(b, 2, "select 2");
	stage_check();
	stage_end();
}

/* goal: a refusal is told to those who wait on every worker */
static void
test_refused_everywhere(void **state)
{
	(void)state;
	stage_begin_workers(2, "server_login_retry = 15\n", "pool_size=5");
	struct client *a = client_in_at(0), *b = client_in_at(1);

	server_dies(1);
	fake_connector_answers(FAKE_HOLD);
	client_query(a, "select 1");
	client_query(b, "select 1");
	fake_connector_answers(FAKE_REFUSE);
	client_gets_fatal(a, "28P01");
	client_gets_fatal(b, "28P01");
	fake_connector_answers(FAKE_ACCEPT);
	stage_check();
	stage_end();
}

/* goal: clients of all workers that wait for a server that cannot be reached are served once it can */
static void
test_up_again_for_all(void **state)
{
	(void)state;
	stage_begin_workers(2, "", "pool_size=5");
	struct client *a = client_in_at(0), *b = client_in_at(1);

	server_dies(1);
	fake_connector_answers(FAKE_DOWN);
	client_query(a, "select 'a'");
	client_query(b, "select 'b'");
	stage_clock(1000);
	client_gets(a, "");
	client_gets(b, "");
	fake_connector_answers(FAKE_ACCEPT);
	stage_clock(100);
	assert_int_equal(servers_answer() + servers_answer(), 2);
	assert_string_equal(client_answer(a), "select 'a'");
	assert_string_equal(client_answer(b), "select 'b'");
	stage_check();
	stage_end();
}

/* goal: connections that somebody waits for are opened once, wherever the clients are */
static void
test_opened_once(void **state)
{
	(void)state;
	stage_begin_workers(3, "", "pool_size=8");
	struct client *a = client_in_at(0), *b = client_in_at(1), *c = client_in_at(2);

	client_begins_on(a, 1);
	client_begins_on(b, 2);
	fake_connector_answers(FAKE_HOLD);
	client_query(c, "select 'c'");
	/* everybody looks again */
	client_runs_on(a, 1, "commit");
	stage_clock(500);
	fake_connector_answers(FAKE_ACCEPT);
	assert_in_range(servers_opened(), 2, 3);
	servers_answer();
	assert_string_equal(client_answer(c), "select 'c'");
	stage_check();
	stage_end();
}

/* goal: a cancel request is for the session of whatever worker its key names */
static void
test_cancel_elsewhere(void **state)
{
	(void)state;
	stage_begin_workers(2, "", "pool_size=2");
	struct client *a = client_in_at(0), *b = client_in_at(1);

	client_begins_on(a, 1);
	client_begins_on(b, 2);
	client_query(b, "select pg_sleep(10)");
	server_gets(2, "Q");
	assert_false(client_cancels(b));
	assert_int_equal(fake_connector_cancels(), 1);
	assert_int_equal(fake_connector_cancel_aim(), 2);
	fake_connector_deliver();
	assert_true(client_cancel_is_over());
	server_sends_error(2, "ERROR", "57014", "canceling statement due to user request");
	server_sends(2, "x");
	client_gets_error(b, "57014");
	client_runs_on(a, 1, "commit");
	stage_check();
	stage_end();
}

/* goal: with the reserve open to one worker's client, its server is closed again or used by all, never lost */
static void
test_reserve_of_workers(void **state)
{
	(void)state;
	stage_begin_workers(2, "reserve_pool_size = 1\nreserve_pool_timeout = 5\n", "");
	struct client *a = client_in_at(0), *b = client_in_at(1), *c = client_in_at(0);

	client_begins_on(a, 1);
	client_query(b, "select 'b'");
	stage_clock(4900);
	assert_int_equal(servers_opened(), 1);
	stage_clock(200);
	assert_int_equal(servers_opened(), 2);
	server_gets(2, "Q");
	server_sends(2, "CZ");
	client_gets(b, "CZ");
	client_runs_on(c, 2, "select 'c'");
	client_runs_on(a, 1, "commit");
	stage_check();
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_server_moves),
		cmocka_unit_test(test_freed_server_moves),
		cmocka_unit_test(test_slack),
		cmocka_unit_test(test_longest_of_others),
		cmocka_unit_test(test_no_starvation),
		cmocka_unit_test(test_idle_servers_of_all),
		cmocka_unit_test(test_leaves_while_server_comes),
		cmocka_unit_test(test_dies_idle_elsewhere),
		cmocka_unit_test(test_refused_everywhere),
		cmocka_unit_test(test_up_again_for_all),
		cmocka_unit_test(test_opened_once),
		cmocka_unit_test(test_cancel_elsewhere),
		cmocka_unit_test(test_reserve_of_workers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
