/* server_test.c -- the life of a server connection: limits, checks, death, what it sends and when. */
#include "tests/scenario/stage.h"

#include "proxy/base/buf.h"
#include "proxy/wire/pgwrite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* goal: a server idle for server_idle_timeout is closed, one that is used is not */
static void
test_idle_timeout(void **state)
{
	(void)state;
	stage_begin("server_idle_timeout = 60\n", "");
	struct client *a = client_in();

	stage_clock(50000);
	client_runs_on(a, 1, "select 1");
	stage_clock(50000);
	assert_false(server_is_closed(1));
	stage_clock(12000);
	assert_true(server_is_closed(1));
	stage_end();
}

/* goal: a server older than server_lifetime is closed when idle, never in a transaction; the next request
 * gets a new one */
static void
test_lifetime(void **state)
{
	(void)state;
	stage_begin("server_lifetime = 100\nserver_idle_timeout = 0\n", "");
	struct client *a = client_in();

	client_begins_on(a, 1);
	stage_clock(200000);
	assert_false(server_is_closed(1));
	client_runs_on(a, 1, "commit");
	assert_true(server_is_closed(1));
	client_runs_on(a, 2, "select 1");
	stage_clock(200000);
	assert_true(server_is_closed(2));
	stage_end();
}

/* goal: a server unused for server_check_delay is asked server_check_query before it is given out */
static void
test_check(void **state)
{
	(void)state;
	stage_begin(
	    "server_check_delay = 30\nserver_check_query = select 7\nserver_idle_timeout = 0\n",
	    "");
	struct client *a = client_in();

	client_runs_on(a, 1, "select 1");
	stage_clock(29000);
	client_runs_on(a, 1, "select 1");
	stage_clock(31000);
	client_query(a, "select 2");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 7");
	server_sends(1, "TDCZ");
	server_gets(1, "Q");
	assert_string_equal(server_got(1, 0), "select 2");
	server_sends(1, "CZ");
	client_gets(a, "CZ");
	stage_end();
}

/* goal: a server that fails its check is closed and the client gets another one, unaware */
static void
test_check_fails(void **state)
{
	(void)state;
	stage_begin(
	    "server_check_delay = 30\nserver_check_query = select 7\nserver_idle_timeout = 0\n",
	    "");
	struct client *a = client_in();

	client_runs_on(a, 1, "select 1");
	stage_clock(31000);
	client_query(a, "select 2");
	server_gets(1, "Q");
	server_sends(1, "EZ");
	assert_true(server_is_closed(1));
	server_gets(2, "Q");
	assert_string_equal(server_got(2, 0), "select 2");
	server_sends(2, "CZ");
	client_gets(a, "CZ");
	stage_end();
}

/* goal: the client of a server that dies in its transaction is told 08006, nobody else notices */
static void
test_dies_in_transaction(void **state)
{
	(void)state;
	stage_begin("", "pool_size=2");
	struct client *a = client_in(), *b = client_in();

	client_begins_on(a, 1);
	client_begins_on(b, 2);
	server_dies(1);
	client_gets_fatal(a, "08006");
	assert_true(server_is_closed(1));
	client_runs_on(b, 2, "commit");
	stage_end();
}

/* goal: the server's own last words reach the client, and no second error follows them */
static void
test_last_words(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in();

	client_begins_on(a, 1);
	server_sends_error(1, "FATAL", "57P01",
	    "terminating connection due to administrator command");
	server_dies(1);
	client_gets_fatal(a, "57P01");
	client_gets(a, "");
	stage_end();
}

/* goal: a server that dies while idle is noticed at once and its client is not bothered */
static void
test_dies_idle(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in();

	client_runs_on(a, 1, "select 1");
	server_sends_error(1, "FATAL", "57P01",
	    "terminating connection due to administrator command");
	server_dies(1);
	assert_true(server_is_closed(1));
	client_runs_on(a, 2, "select 1");
	stage_end();
}

/* goal: notices and notifications to an idle server are dropped, anything else closes it */
static void
test_idle_input(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in();

	client_runs_on(a, 1, "select 1");
	server_sends(1, "NA");
	assert_false(server_is_closed(1));
	client_gets(a, "");
	server_sends(1, "D");
	assert_true(server_is_closed(1));
	client_gets(a, "");
	stage_end();
}

/* goal: answers that nobody asked for close the server, and its client is told 08P01 */
static void
test_unasked_answer(void **state)
{
	static const char *const nonsense[] = { "1", "2", "3", "CZZ", "Z" };

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		stage_begin("", "");
		struct client *a = client_in();

		client_begins_on(a, 1);
		if (i == 3)
			client_query(a, "select 1");
		server_sends(1, nonsense[i]);
		if (i == 3)
			assert_true(server_is_closed(
			    1)); /* the client has its answer and is no longer attached */
		else
			client_gets_fatal(a, "08P01");
		assert_true(server_is_closed(1));
		stage_end();
	}
}

/* goal: a ReadyForQuery in the middle of a chunk with a notice behind it frees the server, and both reach the
 * client */
static void
test_notice_behind_ready(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_query(a, "select 1");
	server_gets(1, "Q");
	server_sends(1, "TDCZN");
	client_gets(a, "TDCZN");
	client_runs_on(b, 1, "select 2");
	client_gets(a, "");
	stage_end();
}

/* goal: answers that come byte by byte are answers */
static void
test_byte_by_byte(void **state)
{
	struct buf b;

	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *c = client_in();

	client_query(a, "select 1");
	server_gets(1, "Q");
	buf_init(&b, 1024);
	pgwrite_command_complete(&b, "SELECT 1");
	pgwrite_ready(&b, 'I');
	client_query(c, "select 2");
	for (uint32_t i = 0; i < buf_len(&b); i++) {
		server_gets(1, "");
		server_sends_bytes(1, buf_data(&b) + i, 1);
	}
	buf_release(&b);
	client_gets(a, "CZ");
	server_gets(1, "Q");
	server_sends(1, "CZ");
	client_gets(c, "CZ");
	stage_end();
}

/* goal: a server between two messages of its own is not given to anybody */
static void
test_half_answer_behind_ready(void **state)
{
	struct buf b;

	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *c = client_in();

	client_query(a, "select 1");
	client_query(c, "select 2");
	server_gets(1, "Q");
	buf_init(&b, 1024);
	pgwrite_command_complete(&b, "SELECT 1");
	pgwrite_ready(&b, 'I');
	pgwrite_notice(&b, "NOTICE", "00000", "late", NULL);
	server_sends_bytes(1, buf_data(&b), buf_len(&b) - 3);
	client_gets(a, "CZ");
	server_gets(1, "");
	server_sends_bytes(1, buf_data(&b) + buf_len(&b) - 3, 3);
	buf_release(&b);
	client_gets(a, "N");
	server_gets(1, "Q");
	stage_end();
}

/* goal: a client that does not read stops the server's flow, and all arrives once it reads again */
static void
test_slow_client(void **state)
{
	enum { ROWS = 200, SIZE = 64 * 1024 };
	static uint8_t row[SIZE];
	size_t sent = 0, got = 0;

	(void)state;
	stage_begin("", "");
	struct client *a = client_in();

	client_query(a, "select big");
	server_gets(1, "Q");
	row[0] = 'D';
	row[2] = (SIZE - 1) >> 16 & 0xff;
	row[3] = (SIZE - 1) >> 8 & 0xff;
	row[4] = (SIZE - 1) & 0xff;
	/* nothing is read: at some point nothing more is taken */
	for (int i = 0; i < ROWS && sent % SIZE == 0; i++)
		sent += server_pours(1, row, SIZE);
	assert_true(sent < 4u * 1024 * 1024);
	for (int i = 0; i < 10000 && got < sent; i++)
		got += client_drains(a);
	assert_int_equal(got, sent);
	stage_end();
}

/* goal: a server that does not read stops its client's flow */
static void
test_slow_server(void **state)
{
	enum { ROWS = 200, SIZE = 64 * 1024 };
	static uint8_t data[SIZE];
	size_t sent = 0;

	(void)state;
	stage_begin("", "");
	struct client *a = client_in();

	client_query(a, "copy t from stdin");
	server_gets(1, "Q");
	server_sends(1, "G");
	client_gets(a, "G");
	data[0] = 'd';
	data[2] = (SIZE - 1) >> 16 & 0xff;
	data[3] = (SIZE - 1) >> 8 & 0xff;
	data[4] = (SIZE - 1) & 0xff;
	for (int i = 0; i < ROWS && sent % SIZE == 0; i++)
		sent += client_pours(a, data, SIZE);
	assert_true(sent < 4u * 1024 * 1024);
	for (int i = 0; i < 10000 && sent > 0; i++)
		sent -= server_drains(1);
	assert_int_equal(sent, 0);
	stage_end();
}

/* goal: while a cancel is under way its server goes to nobody; the canceller is answered when it is
 * delivered */
static void
test_cancel_parks(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_query(a, "select pg_sleep(10)");
	client_query(b, "select 1");
	server_gets(1, "Q");
	assert_false(client_cancels(a));
	assert_int_equal(fake_connector_cancels(), 1);
	assert_int_equal(fake_connector_cancel_aim(), 1);
	server_sends(1, "CZ"); /* it was faster than the cancel */
	client_gets(a, "CZ");
	server_gets(1, "");
	assert_false(client_cancel_is_over());
	fake_connector_deliver();
	server_gets(1, "Q");
	assert_true(client_cancel_is_over());
	server_sends(1, "CZ");
	client_gets(b, "CZ");
	stage_end();
}

/* goal: a cancel for a client without a request sends nothing, and a wrong key neither */
static void
test_cancel_of_nothing(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in();

	assert_true(client_cancels(a));
	assert_int_equal(fake_connector_cancels(), 0);
	client_leaves(a);
	assert_true(client_cancels(a));
	assert_int_equal(fake_connector_cancels(), 0);
	stage_end();
}

/* goal: a server that dies while a cancel for it is under way is closed once, when that is over */
static void
test_dies_while_cancelled(void **state)
{
	(void)state;
	stage_begin("", "");
	struct client *a = client_in(), *b = client_in();

	client_query(a, "select 1");
	server_gets(1, "Q");
	assert_false(client_cancels(a));
	server_dies(1);
	client_gets_fatal(a, "08006");
	fake_connector_deliver();
	assert_true(server_is_closed(1));
	client_runs_on(b, 2, "select 1");
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_idle_timeout),
		cmocka_unit_test(test_lifetime),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_check_fails),
		cmocka_unit_test(test_dies_in_transaction),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_dies_idle),
		cmocka_unit_test(test_idle_input),
		cmocka_unit_test(test_unasked_answer),
		cmocka_unit_test(test_notice_behind_ready),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_half_answer_behind_ready),
		cmocka_unit_test(test_slow_client),
		cmocka_unit_test(test_slow_server),
		cmocka_unit_test(test_cancel_parks),
		cmocka_unit_test(test_cancel_of_nothing),
		cmocka_unit_test(test_dies_while_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
