/* limits_test.c -- limits that several pools share: who makes room for whom, and that each gets its turn. */
#include "tests/scenario/stage.h"

#include "pool/pool.h"
#include "tests/scenario/fake_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
serve(struct client *c, const char *sql)
{
	const char *row = NULL;

	client_query(c, sql);
	/* room that another pool makes is taken a little later */
	for (int i = 0; i < 10 && row == NULL; i++) {
		servers_answer();
		row = client_answer(c);
		if (row == NULL)
			stage_clock(POOL_SLACK_MS);
	}
	assert_non_null(row);
	assert_string_equal(row,
	    strcmp(sql, "begin") == 0 || strcmp(sql, "commit") == 0 ? "" : sql);
}

/* goal: at max_db_connections an idle server of another pool makes room, and the limit holds all the time */
static void
test_evicts_idle(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 1\n", "pool_size=5");
	struct client *a = client_in_as(0, "web", false), *b = client_in_as(0, "kim", false);

	for (int i = 0; i < 5; i++) {
		serve(a, "select 'a'");
		assert_int_equal(stage_servers(), 1);
		serve(b, "select 'b'");
		assert_int_equal(stage_servers(), 1);
	}
	stage_check();
	stage_end();
}

/* goal: the same for max_user_connections over databases, whatever worker has the idle server */
static void
test_evicts_idle_of_user(void **state)
{
	(void)state;
	stage_begin_workers(2, "max_user_connections = 1\n", "pool_size=5");
	struct client *a = client_in_as(0, "web", false), *b = client_in_as(1, "web", true);
	struct client *other = client_in_as(0, "kim", false);

	serve(other, "begin");
	for (int i = 0; i < 5; i++) {
		serve(a, "select 'a'");
		assert_int_equal(stage_servers(), 2);
		serve(b, "select 'b'");
		assert_int_equal(stage_servers(), 2);
	}
	serve(other, "commit");
	stage_check();
	stage_end();
}

/* goal: an idle server is closed only for somebody who waits, and not one more than needed */
static void
test_evicts_no_more(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 3\n", "pool_size=3");
	struct client *a[3], *b = client_in_as(0, "kim", false);

	serve(b, "begin");
	serve(b, "commit");
	for (int i = 0; i < 3; i++)
		a[i] = client_in_as(0, "web", false);
	for (int i = 0; i < 2; i++)
		serve(a[i], "begin");
	assert_int_equal(stage_servers(), 3);
	serve(a[0], "commit");
	serve(a[1], "commit");
	/* three idle: kim's one, web's two; the third of web takes one of its own */
	serve(a[2], "begin");
	assert_int_equal(stage_servers(), 3);
	serve(b, "begin");
	assert_int_equal(stage_servers(), 3);
	serve(a[0], "begin");
	assert_int_equal(stage_servers(), 3);
	stage_check();
	stage_end();
}

/* goal: with nobody idle the one who waits is served when another pool's server becomes free */
static void
test_waits_for_busy(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 2\n", "pool_size=5");
	struct client *a = client_in_as(0, "web", false), *b = client_in_as(0, "web", false);
	struct client *k = client_in_as(0, "kim", false);

	serve(a, "begin");
	serve(b, "begin");
	client_query(k, "select 'k'");
	stage_clock(1000);
	assert_null(client_answer(k));
	assert_int_equal(stage_servers(), 2);
	serve(a, "commit");
	stage_clock(POOL_SLACK_MS);
	servers_answer();
	assert_string_equal(client_answer(k), "select 'k'");
	assert_int_equal(stage_servers(), 2);
	serve(b, "commit");
	stage_check();
	stage_end();
}

struct demand {
	struct client *c;
	int served;
	uint64_t since, longest;
};

/* All of them ask again as soon as they are answered; each step takes 2 ms. */
static void
compete(struct demand *d, int n, int steps)
{
	for (int i = 0; i < n; i++) {
		client_query(d[i].c, "select 1");
		d[i].since = fake_loop_now_ms();
	}
	for (int step = 0; step < steps; step++) {
		stage_clock(2);
		servers_answer();
		for (int i = 0; i < n; i++) {
			uint64_t waited = fake_loop_now_ms() - d[i].since;

			if (waited > d[i].longest)
				d[i].longest = waited;
			if (client_answer(d[i].c) == NULL)
				continue;
			d[i].served++;
			d[i].since = fake_loop_now_ms();
			client_query(d[i].c, "select 1");
		}
	}
	for (int i = 0; i < 100; i++) {
		stage_clock(10);
		servers_answer();
	}
	stage_check();
}

/* goal: a pool with many clients cannot keep another one of the same database out: it gets its turn */
static void
test_turns_of_database(void **state)
{
	struct demand d[9] = { 0 };

	(void)state;
	stage_begin("max_db_connections = 1\n", "pool_size=5");
	for (int i = 0; i < 8; i++)
		d[i].c = client_in_as(0, "web", false);
	d[8].c = client_in_as(0, "kim", false);
	compete(d, 9, 1000);
	assert_in_range(d[8].longest, 1, 3 * POOL_TURN_MS);
	assert_true(d[8].served >= 1000 * 2 / (3 * POOL_TURN_MS));
	for (int i = 0; i < 8; i++)
		assert_true(d[i].served > 10);
	stage_end();
}

/* goal: three pools under one user's limit, with two connections for all, on two workers: all are served */
static void
test_turns_of_user(void **state)
{
	struct demand d[9] = { 0 };

	(void)state;
	stage_begin_workers(2, "max_user_connections = 2\n", "pool_size=5");
	for (int i = 0; i < 6; i++)
		d[i].c = client_in_as(i % 2, "web", false);
	for (int i = 6; i < 9; i++)
		d[i].c = client_in_as(i % 2, "web", true);
	compete(d, 9, 1000);
	for (int i = 0; i < 9; i++) {
		assert_true(d[i].served > 10);
		assert_in_range(d[i].longest, 1, 6 * POOL_TURN_MS);
	}
	stage_end();
}

/* goal: three pools, one connection: nobody of them starves */
static void
test_turns_of_three(void **state)
{
	struct demand d[6] = { 0 };

	(void)state;
	stage_begin("max_db_connections = 1\n", "pool_size=5");
	for (int i = 0; i < 4; i++)
		d[i].c = client_in_as(0, "web", false);
	d[4].c = client_in_as(0, "kim", false);
	d[5].c = client_in_as(0, "lee", false);
	compete(d, 6, 2000);
	for (int i = 0; i < 6; i++) {
		assert_true(d[i].served > 10);
		assert_in_range(d[i].longest, 1, 10 * POOL_TURN_MS);
	}
	stage_end();
}

/* goal: a client that waits for a shared limit and leaves owes nobody anything: the others keep their servers */
static void
test_leaves_blocked(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 1\n", "pool_size=5");
	struct client *a = client_in_as(0, "web", false), *k = client_in_as(0, "kim", false);
	int before;

	serve(a, "begin");
	client_query(k, "select 'k'");
	client_leaves(k);
	serve(a, "commit");
	before = servers_opened();
	for (int i = 0; i < 5; i++)
		serve(a, "select 'a'");
	assert_int_equal(servers_opened(), before);
	stage_check();
	stage_end();
}

/* goal: both limits at once; each is kept, and who is blocked by one does not take room under the other */
static void
test_both_limits(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 2\nmax_user_connections = 2\n", "pool_size=5");
	struct client *a = client_in_as(0, "web", false), *b = client_in_as(0, "web", true);
	struct client *c = client_in_as(0, "web", true), *k = client_in_as(0, "kim", false);
	struct client *l = client_in_as(0, "kim", true);

	serve(a, "begin");
	serve(b, "begin");
	client_query(c, "select 'c'"); /* web has two */
	stage_clock(100);
	assert_null(client_answer(c));
	serve(k, "begin"); /* the first database has two now */
	serve(l, "begin"); /* and so has the other one */
	serve(k, "commit");
	serve(l, "commit");
	stage_clock(100);
	servers_answer();
	assert_null(client_answer(c));
	serve(a, "commit");
	stage_clock(100);
	servers_answer();
	assert_string_equal(client_answer(c), "select 'c'");
	serve(b, "commit");
	stage_check();
	stage_end();
}

/* goal: the reserve is under max_db_connections too */
static void
test_reserve_under_limit(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 2\nreserve_pool_size = 3\nreserve_pool_timeout = 1\n",
	    "");
	struct client *a = client_in(), *b = client_in(), *c = client_in();

	serve(a, "begin");
	client_query(b, "begin");
	client_query(c, "select 'c'");
	stage_clock(5000);
	assert_int_equal(stage_servers(), 2);
	servers_answer();
	assert_string_equal(client_answer(b), "");
	serve(a, "commit");
	stage_clock(100);
	servers_answer();
	assert_string_equal(client_answer(c), "select 'c'");
	stage_check();
	stage_end();
}

/* goal: a client over max_db_client_connections or max_user_client_connections is refused, and one that leaves
 * makes room for the next, many times */
static void
test_client_limits(void **state)
{
	static const char *const limits[] = { "max_db_client_connections = 2\n",
		"max_user_client_connections = 2\n", "max_client_conn = 2\n" };

	(void)state;
	for (int k = 0; k < 3; k++) {
		stage_begin_workers(2, limits[k], "pool_size=2");
		struct client *a = client_in_at(0), *b;

		for (int i = 0; i < 5; i++) {
			b = client_in_at(i % 2);
			client_gets_fatal(client_knocks_at(0, "web", false), "53300");
			client_gets_fatal(client_knocks_at(1, "web", false), "53300");
			client_leaves(b);
		}
		serve(a, "select 'a'");
		stage_end();
	}
}

/* goal: with the server down, waiting pools under a shared limit do not lock each other up */
static void
test_server_down(void **state)
{
	(void)state;
	stage_begin("max_db_connections = 1\n", "pool_size=5");
	struct client *a = client_in_as(0, "web", false), *k = client_in_as(0, "kim", false);
	int n = servers_opened();

	for (int i = 1; i <= n; i++)
		if (!server_is_closed(i))
			server_dies(i);
	fake_connector_answers(FAKE_DOWN);
	client_query(a, "select 'a'");
	client_query(k, "select 'k'");
	stage_clock(3000);
	assert_int_equal(stage_servers(), 0);
	fake_connector_answers(FAKE_ACCEPT);
	for (int i = 0; i < 20; i++) {
		stage_clock(POOL_RETRY_MS);
		servers_answer();
	}
	assert_string_equal(client_answer(a), "select 'a'");
	assert_string_equal(client_answer(k), "select 'k'");
	stage_check();
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_evicts_idle),
		cmocka_unit_test(test_evicts_idle_of_user),
		cmocka_unit_test(test_evicts_no_more),
		cmocka_unit_test(test_waits_for_busy),
		cmocka_unit_test(test_turns_of_database),
		cmocka_unit_test(test_turns_of_user),
		cmocka_unit_test(test_turns_of_three),
		cmocka_unit_test(test_leaves_blocked),
		cmocka_unit_test(test_both_limits),
		cmocka_unit_test(test_reserve_under_limit),
		cmocka_unit_test(test_client_limits),
		cmocka_unit_test(test_server_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
