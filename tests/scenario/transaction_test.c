/* transaction_test.c -- what belongs to a transaction: the server, its time limits, its end. */
#include "tests/scenario/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* goal: the client that dies in a transaction has it rolled back, then the server is used again */
static void
test_client_dies(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	client_query(b, "select 1");
	client_leaves(a);
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "ROLLBACK");
	server_sends(1, "CZ");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 1");
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	assert_false(server_is_closed(1));
	stage_end();
}

/* goal: the query of a client that vanished is cancelled and its server closed; nobody else gets it */
static void
test_client_dies_in_query(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_query(a, "select pg_sleep(1000)");
	server_gets(1, "Q");
	client_leaves(a);
	assert_int_equal(fake_connector_cancels(), 1);
	client_query(b, "select 1");
	server_gets(1, "");
	fake_connector_deliver();
	assert_true(server_is_closed(1));
	server_gets(2, "Q");
	server_sends(2, "CZ");
	client_gets(b, "CZ");
	stage_end();
}

/* goal: a rollback that the server does not answer in time closes it */
static void
test_rollback_hangs(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	client_leaves(a);
	server_gets(1, "Q");
	client_query(b, "select 1");
	stage_clock(16000);
	assert_true(server_is_closed(1));
	server_gets(2, "Q");
	stage_end();
}

/* goal: transaction_timeout ends the client with 25P04 and its transaction is rolled back */
static void
test_transaction_timeout(void **state)
{
	(void)state;
	stage_begin("transaction_timeout = 10\n", "");
	struct client *a = client_in();

	client_begins_on(a, 1);
	stage_clock(6000);
	client_query(a, "select 1");
	server_gets(1, "Q");
	server_sends(1, "Cz");
	client_gets(a, "Cz");
	stage_clock(3500);
	client_gets(a, "");
	stage_clock(1000);
	client_gets_fatal(a, "25P04");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "ROLLBACK");
	stage_end();
}

/* goal: idle_transaction_timeout counts from the last answer */
static void
test_idle_in_transaction(void **state)
{
	(void)state;
	stage_begin("idle_transaction_timeout = 10\n", "");
	struct client *a = client_in();

	client_begins_on(a, 1);
	stage_clock(8000);
	client_query(a, "select 1");
	server_gets(1, "Q");
	stage_clock(20000);
	client_gets(a, ""); /* busy, not idle */
	server_sends(1, "Cz");
	client_gets(a, "Cz");
	stage_clock(8000);
	client_gets(a, "");
	stage_clock(3000);
	client_gets_fatal(a, "25P03");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "ROLLBACK");
	stage_end();
}

/* goal: query_timeout ends the client with 57014, the query is cancelled and the server closed */
static void
test_query_timeout(void **state)
{
	(void)state;
	stage_begin("query_timeout = 10\n", "");
	struct client *a = client_in();

	client_runs_on(a, 1, "select 1");
	stage_clock(20000);
	client_gets(a, "");
	client_query(a, "select pg_sleep(1000)");
	server_gets(1, "Q");
	stage_clock(9000);
	client_gets(a, "");
	stage_clock(1500);
	client_gets_fatal(a, "57014");
	assert_int_equal(fake_connector_cancels(), 1);
	fake_connector_deliver();
	assert_true(server_is_closed(1));
	stage_end();
}

/* goal: client_idle_timeout ends idle clients, not those that wait for an answer */
static void
test_client_idle(void **state)
{
	(void)state;
	stage_begin("client_idle_timeout = 10\n", "");
	struct client *a = client_in(), *b = client_in();

	client_query(a, "select pg_sleep(15)");
	server_gets(1, "Q");
	stage_clock(11000);
	client_gets(a, "");
	client_gets_fatal(b, "57P05");
	server_sends(1, "CZ");
	client_gets(a, "CZ");
	stage_clock(11000);
	client_gets_fatal(a, "57P05");
	stage_end();
}

/* goal: a failed transaction keeps its server until it is rolled back */
static void
test_failed_transaction(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	client_query(a, "selekt");
	server_gets(1, "Q");
	server_sends(1, "Ex");
	client_gets(a, "Ex");
	client_query(b, "select 1");
	server_gets(1, "");
	client_runs_on(a, 1, "rollback");
	server_gets(1, "Q");
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	stage_end();
}

/* goal: in a pipeline with several Syncs the server stays until the last answer */
static void
test_pipeline_of_syncs(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	for (int i = 0; i < 3; i++) {
		client_parse(a, "", "select 1");
		client_bind(a, "");
		client_execute(a);
		client_sync(a);
	}
	client_go(a);
	client_query(b, "select 2");
	server_gets(1, "PBESPBESPBES");
	server_sends(1, "12CZ");
	server_sends(1, "EZ");
	client_gets(a, "12CZEZ");
	server_gets(1, "");
	server_sends(1, "12CZ");
	client_gets(a, "12CZ");
	server_gets(1, "Q");
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	stage_end();
}

/* goal: statement pooling refuses a transaction that stays open */
static void
test_statement_pooling(void **state)
{
	(void)state;
	stage_begin("pool_mode = statement\n", "");
	struct client *a = client_in();

	client_runs_on(a, 1, "select 1");
	client_query(a, "begin");
	server_gets(1, "Q");
	server_sends(1, "Cz");
	client_gets_fatal(a, "0A000");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "ROLLBACK");
	stage_end();
}

/* goal: in session pooling the server stays with its client, and is reset when that leaves */
static void
test_session_pooling(void **state)
{
	(void)state;
	stage_begin("pool_mode = session\nserver_reset_query = DISCARD ALL\n", "");
	struct client *a = client_in(), *b = client_in();

	client_runs_on(a, 1, "set x = 1");
	client_query(b, "select 1");
	server_gets(1, "");
	client_leaves(a);
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "DISCARD ALL");
	server_sends(1, "CZ");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 1");
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	stage_end();
}

/* goal: a parameter that a client has set follows it: set on the server before its first message, and the
 * answer to that is nobody's */
static void
test_parameters_follow(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_query(a, "set client_encoding = 'latin1'");
	server_gets(1, "Q");
	server_reports(1, "client_encoding", "LATIN1");
	server_sends(1, "CZ");
	client_gets(a, "SCZ");
	/* b has UTF8 */
	client_query(b, "select 1");
	server_gets(1, "QQ");
	assert_non_null(strstr(server_got(1, 0), "UTF8"));
	assert_string_equal(server_got(1, 1), "select 1");
	server_reports(1, "client_encoding", "UTF8");
	server_sends(1, "TDCZ");
	client_gets(b, "");
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	/* and b again needs nothing */
	client_runs_on(b, 1, "select 1");
	client_query(a, "select 2");
	server_gets(1, "QQ");
	assert_non_null(strstr(server_got(1, 0), "LATIN1"));
	server_reports(1, "client_encoding", "LATIN1");
	server_sends(1, "TDCZ");
	server_sends(1, "CZ");
	client_gets(a, "CZ");
	stage_end();
}

/* goal: a pipeline goes behind the parameters in the same breath */
static void
test_parameters_before_pipeline(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_query(a, "set application_name = 'x'");
	server_gets(1, "Q");
	server_reports(1, "application_name", "x");
	server_sends(1, "CZ");
	client_gets(a, "SCZ");
	client_parse(b, "", "select 1");
	client_bind(b, "");
	client_execute(b);
	client_sync(b);
	client_go(b);
	server_gets(1, "QPBES");
	server_reports(1, "application_name", "");
	server_sends(1, "TDCZ12CZ");
	client_gets(b, "12CZ");
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_dies),
		cmocka_unit_test(test_client_dies_in_query),
		cmocka_unit_test(test_rollback_hangs),
		cmocka_unit_test(test_transaction_timeout),
		cmocka_unit_test(test_idle_in_transaction),
		cmocka_unit_test(test_query_timeout),
		cmocka_unit_test(test_client_idle),
		cmocka_unit_test(test_failed_transaction),
		cmocka_unit_test(test_pipeline_of_syncs),
		cmocka_unit_test(test_statement_pooling),
		cmocka_unit_test(test_session_pooling),
		cmocka_unit_test(test_parameters_follow),
		cmocka_unit_test(test_parameters_before_pipeline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
