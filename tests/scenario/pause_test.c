/* pause_test.c -- PAUSE and RESUME while clients work, wait and come. */
#include "tests/scenario/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* goal: PAUSE closes idle servers at once and busy ones at the end of their transaction; those who ask
 * meanwhile wait, and RESUME serves them in the order of their asking */
static void
test_pause(void **state)
{
	(void)state;
	stage_begin("", "pool_size=2");
	struct client *a = client_in(), *b = client_in(), *c = client_in(), *d = client_in();

	client_begins_on(a, 1);
	client_begins_on(b, 2);
	client_runs_on(b, 2, "commit");
	stage_pause(true);
	assert_true(server_is_closed(2));
	assert_false(server_is_closed(1));
	client_query(c, "select 'c'");
	client_query(d, "select 'd'");
	client_query(a, "select 'a'");
	server_gets(1, "Q");
	server_sends(1, "Cz");
	client_gets(a, "Cz");
	client_runs_on(a, 1, "commit");
	assert_true(server_is_closed(1));
	assert_int_equal(stage_servers(), 0);
	stage_clock(5000);
	client_gets(c, "");
	client_gets(d, "");
	assert_int_equal(stage_servers(), 0);
	stage_pause(false);
	assert_int_equal(servers_answer(), 2);
	assert_string_equal(client_answer(c), "select 'c'");
	assert_string_equal(client_answer(d), "select 'd'");
	stage_check();
	stage_end();
}

/* goal: who waited in the queue when PAUSE came goes on waiting there: the server that becomes free is closed */
static void
test_pause_with_queue(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in(), *c = client_in();

	client_begins_on(a, 1);
	client_query(b, "select 'b'");
	stage_clock(10);
	client_query(c, "select 'c'");
	stage_pause(true);
	client_runs_on(a, 1, "commit");
	assert_true(server_is_closed(1));
	client_gets(b, "");
	stage_pause(false);
	server_gets(2, "Q");
	assert_string_equal(server_got(2, 0), "select 'b'");
	server_sends(2, "CZ");
	server_gets(2, "Q");
	assert_string_equal(server_got(2, 0), "select 'c'");
	server_sends(2, "CZ");
	client_gets(b, "CZ");
	client_gets(c, "CZ");
	stage_check();
	stage_end();
}

/* goal: query_wait_timeout holds while paused, and a client that leaves meanwhile is not served later */
static void
test_pause_too_long(void **state)
{
	(void)state;
	stage_begin("query_wait_timeout = 10\n", "");
	struct client *a = client_in(), *b = client_in(), *c = client_in();

	stage_pause(true);
	client_query(a, "select 'a'");
	client_query(b, "select 'b'");
	client_leaves(b);
	stage_clock(9000);
	client_gets(a, "");
	stage_clock(2000);
	client_gets_fatal(a, "53300");
	client_query(c, "select 'c'");
	stage_pause(false);
	server_gets(2, "Q");
	assert_string_equal(server_got(2, 0), "select 'c'");
	server_sends(2, "CZ");
	client_gets(c, "CZ");
	stage_end();
}

/* goal: who logs in while paused is let in, for the parameters are known; its first query waits */
static void
test_login_while_paused(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in();

	stage_pause(true);
	struct client *b = client_in();

	client_query(b, "select 'b'");
	client_gets(b, "");
	stage_pause(false);
	server_gets(2, "Q");
	server_sends(2, "CZ");
	client_gets(b, "CZ");
	client_runs_on(a, 2, "select 'a'");
	stage_end();
}

/* goal: the very first login of a pool waits for RESUME */
static void
test_first_login_while_paused(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in();

	stage_pause(true);
	/* the other database's pool does not exist yet: pause what there is, then again with it */
	struct client *k = client_knocks_at(0, "kim", false);

	client_gets(k, "");
	stage_clock(1000);
	client_gets(k, "");
	assert_int_equal(stage_servers(), 0);
	stage_pause(false);
	client_query(k, "select 'k'");
	assert_int_equal(servers_answer(), 1);
	client_runs_on(a, 3, "select 'a'");
	stage_end();
}

/* goal: a connection that was being opened when PAUSE came is closed when it arrives */
static void
test_arrives_while_paused(void **state)
{
	(void)state;
	stage_begin("", "pool_size=2");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	fake_connector_answers(FAKE_HOLD);
	client_query(b, "select 'b'");
	stage_pause(true);
	fake_connector_answers(FAKE_ACCEPT);
	assert_true(server_is_closed(2));
	client_runs_on(a, 1, "commit");
	assert_int_equal(stage_servers(), 0);
	stage_pause(false);
	server_gets(3, "Q");
	server_sends(3, "CZ");
	client_gets(b, "CZ");
	stage_end();
}

/* goal: RESUME before PAUSE was complete: the client in its transaction has not noticed anything */
static void
test_resume_early(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	stage_pause(true);
	client_query(b, "select 'b'");
	stage_pause(false);
	client_runs_on(a, 1, "commit");
	server_gets(1, "Q");
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	assert_int_equal(servers_opened(), 1);
	stage_end();
}

/* goal: the same over three workers: idle servers of each close, waiting clients of each are served */
static void
test_workers(void **state)
{
	struct client *c[6];

	(void)state;
	stage_begin_workers(3, "", "pool_size=3");
	for (int i = 0; i < 6; i++)
		c[i] = client_in_at(i % 3);
	for (int i = 0; i < 3; i++)
		client_begins_on(c[i], i + 1);
	for (int i = 0; i < 3; i++)
		client_runs_on(c[i], i + 1, "commit");
	for (int i = 0; i < 3; i++)
		assert_int_equal(stage_idle_at(i), 1);
	stage_pause(true);
	assert_int_equal(stage_servers(), 0);
	for (int i = 0; i < 6; i++)
		client_query(c[i], "select 1");
	stage_clock(1000);
	assert_int_equal(stage_servers(), 0);
	stage_pause(false);
	assert_int_equal(stage_servers(), 3);
	for (int i = 0; i < 8; i++)
		servers_answer();
	for (int i = 0; i < 6; i++)
		assert_string_equal(client_answer(c[i]), "select 1");
	stage_check();
	stage_end();
}

/* goal: a server on its way to another worker when PAUSE comes ends too */
static void
test_moves_while_paused(void **state)
{
	(void)state;
	stage_begin_workers(2, "", "");
	struct client *a = client_in_at(0), *b = client_in_at(1);

	client_begins_on(a, 1);
	client_query(b, "select 'b'");
	stage_pause(true);
	client_runs_on(a, 1, "commit");
	assert_int_equal(stage_servers(), 0);
	stage_pause(false);
	server_gets(2, "Q");
	server_sends(2, "CZ");
	client_gets(b, "CZ");
	stage_check();
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_pause_with_queue),
		cmocka_unit_test(test_pause_too_long),
		cmocka_unit_test(test_login_while_paused),
		cmocka_unit_test(test_first_login_while_paused),
		cmocka_unit_test(test_arrives_while_paused),
		cmocka_unit_test(test_resume_early),
		cmocka_unit_test(test_workers),
		cmocka_unit_test(test_moves_while_paused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
