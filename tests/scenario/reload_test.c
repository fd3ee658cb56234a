/* reload_test.c -- RELOAD that raises, lowers and changes what counts, while clients work and wait. */
#include "tests/scenario/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* goal: a larger pool_size serves those who wait at once */
static void
test_pool_grows(void **state)
{
	struct client *c[4];

	(void)state;
	stage_begin("", "pool_size=1");
	for (int i = 0; i < 4; i++)
		c[i] = client_in();
	client_begins_on(c[0], 1);
	for (int i = 1; i < 4; i++)
		client_query(c[i], "select 1");
	assert_int_equal(stage_servers(), 1);
	stage_reload("", "pool_size=3");
	assert_int_equal(stage_servers(), 3);
	assert_int_equal(servers_answer(), 2);
	assert_int_equal(servers_answer(), 1);
	client_runs_on(c[0], 1, "commit");
	for (int i = 1; i < 4; i++)
		assert_string_equal(client_answer(c[i]), "select 1");
	stage_check();
	stage_end();
}

/* goal: a smaller pool_size closes idle servers at once and busy ones when they become free, and never opens more
 * than it says; nobody is cut off */
static void
test_pool_shrinks(void **state)
{
	struct client *c[5];

	(void)state;
	stage_begin("", "pool_size=4");
	for (int i = 0; i < 5; i++)
		c[i] = client_in();
	for (int i = 0; i < 4; i++)
		client_begins_on(c[i], i + 1);
	client_runs_on(c[3], 4, "commit");
	stage_reload("", "pool_size=2");
	assert_true(server_is_closed(4));
	assert_int_equal(stage_servers(), 3);
	client_query(c[4], "select 'e'");
	client_runs_on(c[0], 1, "commit");
	assert_true(server_is_closed(1));
	client_gets(c[4], "");
	client_query(c[1], "commit");
	server_gets(2, "Q");
	server_sends(2, "CZ");
	client_gets(c[1], "CZ");
	server_gets(2, "Q");
	server_sends(2, "CZ");
	client_gets(c[4], "CZ");
	assert_int_equal(stage_servers(), 2);
	stage_check();
	stage_end();
}

/* goal: the same when the idle servers are spread over workers */
static void
test_pool_shrinks_over_workers(void **state)
{
	struct client *c[3];

	(void)state;
	stage_begin_workers(3, "", "pool_size=3");
	for (int i = 0; i < 3; i++)
		c[i] = client_in_at(i);
	for (int i = 0; i < 3; i++)
		client_begins_on(c[i], i + 1);
	for (int i = 0; i < 3; i++)
		client_runs_on(c[i], i + 1, "commit");
	stage_reload("", "pool_size=1");
	assert_int_equal(stage_servers(), 1);
	for (int i = 0; i < 3; i++)
		client_query(c[i], "select 1");
	for (int i = 0; i < 4; i++)
		servers_answer();
	for (int i = 0; i < 3; i++)
		assert_string_equal(client_answer(c[i]), "select 1");
	assert_int_equal(servers_opened(), 3);
	stage_check();
	stage_end();
}

/* goal: raised max_db_connections lets in those whom it kept waiting, in every pool */
static void
test_shared_limit_raised(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 1\n", "pool_size=2");
	struct client *a = client_in_as(0, "web", false), *b = client_in_as(0, "kim", false);
	struct client *c = client_in_as(0, "web", false);

	client_query(a, "begin");
	assert_int_equal(servers_answer(), 1);
	client_query(b, "select 'b'");
	client_query(c, "select 'c'");
	assert_int_equal(servers_answer(), 0);
	assert_int_equal(stage_servers(), 1);
	stage_reload("max_db_connections = 3\n", "pool_size=2");
	stage_clock(100);
	assert_int_equal(stage_servers(), 3);
	servers_answer();
	servers_answer();
	assert_string_equal(client_answer(b), "select 'b'");
	assert_string_equal(client_answer(c), "select 'c'");
	stage_check();
	stage_end();
}

/* goal: lowered max_db_connections closes idle servers at once, busy ones when they become free */
static void
test_shared_limit_lowered(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 4\n", "pool_size=2");
	struct client *a = client_in_as(0, "web", false), *b = client_in_as(0, "kim", false);
	struct client *c = client_in_as(0, "web", false), *d = client_in_as(0, "kim", false);

	client_query(a, "begin");
	client_query(b, "begin");
	servers_answer();
	client_query(c, "begin");
	client_query(d, "begin");
	servers_answer();
	client_query(d, "commit");
	servers_answer();
	assert_int_equal(stage_servers(), 4);
	stage_reload("max_db_connections = 2\n", "pool_size=2");
	assert_int_equal(stage_servers(), 3);
	client_query(c, "commit");
	servers_answer();
	assert_int_equal(stage_servers(), 2);
	client_query(b, "commit");
	servers_answer();
	assert_int_equal(stage_servers(), 2);
	(void)client_answer(a);
	(void)client_answer(b);
	stage_check();
	stage_end();
}

/* goal: lowered max_user_connections likewise, over databases */
static void
test_user_limit_lowered(void **state)
{
	(void)state;
	stage_begin("", "pool_size=2");
	struct client *a = client_in_as(0, "web", false), *b = client_in_as(0, "web", true);

	client_query(a, "begin");
	client_query(b, "begin");
	servers_answer();
	client_query(b, "commit");
	servers_answer();
	assert_int_equal(stage_servers(), 2);
	stage_reload("max_user_connections = 1\n", "pool_size=2");
	assert_int_equal(stage_servers(), 1);
	client_query(b, "select 'b'");
	assert_int_equal(servers_answer(), 0);
	client_query(a, "commit");
	servers_answer();
	stage_clock(100);
	servers_answer();
	assert_string_equal(client_answer(b), "select 'b'");
	assert_int_equal(stage_servers(), 1);
	stage_check();
	stage_end();
}

/* goal: lowered max_client_conn cuts nobody off; who comes is refused until there is room */
static void
test_client_limit(void **state)
{
	(void)state;
	stage_begin("max_client_conn = 10\n", "pool_size=2");
	struct client *a = client_in(), *b = client_in(), *c = client_in();

	stage_reload("max_client_conn = 2\n", "pool_size=2");
	client_gets_fatal(client_knocks(), "53300");
	client_runs_on(a, 1, "select 1");
	client_leaves(b);
	client_gets_fatal(client_knocks(), "53300");
	client_leaves(c);
	client_runs_on(client_in(), 1, "select 2");
	stage_end();
}

/* goal: another address: idle connections to the old one end at once, busy ones when they become free, and new
 * ones lead to the new one */
static void
test_other_address(void **state)
{
	(void)state;
	stage_begin("", "pool_size=2 dbname=old");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	client_begins_on(b, 2);
	client_runs_on(b, 2, "commit");
	stage_reload("", "pool_size=2 dbname=new");
	assert_true(server_is_closed(2));
	assert_false(server_is_closed(1));
	client_runs_on(a, 1, "commit");
	assert_true(server_is_closed(1));
	client_runs_on(a, 3, "select 1");
	stage_reload("", "pool_size=2 dbname=new");
	assert_false(server_is_closed(3));
	stage_check();
	stage_end();
}

/* goal: a connection that was being opened to the old address is not kept when it arrives */
static void
test_arrives_from_old_address(void **state)
{
	(void)state;
	stage_begin("", "pool_size=2 dbname=old");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	fake_connector_answers(FAKE_HOLD);
	client_query(b, "select 'b'");
	stage_reload("", "pool_size=2 dbname=new");
	fake_connector_answers(FAKE_ACCEPT);
	assert_true(server_is_closed(2));
	server_gets(3, "Q");
	server_sends(3, "CZ");
	client_gets(b, "CZ");
	client_runs_on(a, 1, "commit");
	stage_check();
	stage_end();
}

/* goal: a reload that changes nothing costs nobody anything */
static void
test_nothing_changed(void **state)
{
	(void)state;
	stage_begin_workers(2, "max_db_connections = 3\n", "pool_size=2");
	struct client *a = client_in_at(0), *b = client_in_at(1), *c = client_in_at(1);

	client_begins_on(a, 1);
	client_runs_on(b, 2, "select 1");
	client_query(b, "begin");
	server_gets(2, "Q");
	client_query(c, "select 2");
	for (int i = 0; i < 5; i++)
		stage_reload("max_db_connections = 3\n", "pool_size=2");
	server_sends(2, "Cz");
	client_gets(b, "Cz");
	client_gets(c, "");
	client_runs_on(a, 1, "commit");
	server_gets(1, "Q");
	server_sends(1, "CZ");
	client_gets(c, "CZ");
	assert_int_equal(servers_opened(), 2);
	stage_check();
	stage_end();
}

/* goal: session pooling that becomes transaction pooling: a server is shared from its client's next transaction
 * on */
static void
test_other_mode(void **state)
{
	(void)state;
	stage_begin("", "pool_mode=session");
	struct client *a = client_in(), *b = client_knocks();

	client_runs_on(a, 1, "select 1");
	client_query(b, "select 2");
	server_gets(1, "");
	stage_reload("", "pool_mode=transaction");
	client_runs_on(a, 1, "select 3");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 2");
	server_sends(1, "CZ");
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pool_grows),
		cmocka_unit_test(test_pool_shrinks),
		cmocka_unit_test(test_pool_shrinks_over_workers),
		cmocka_unit_test(test_shared_limit_raised),
		cmocka_unit_test(test_shared_limit_lowered),
		cmocka_unit_test(test_user_limit_lowered),
		cmocka_unit_test(test_client_limit),
		cmocka_unit_test(test_other_address),
		cmocka_unit_test(test_arrives_from_old_address),
		cmocka_unit_test(test_nothing_changed),
		cmocka_unit_test(test_other_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
