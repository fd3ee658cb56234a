/* prepared_test.c -- protocol-level prepared statements over changing servers. */
#include "tests/scenario/stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void
run(struct client *c, const char *name)
{
	client_bind(c, name);
	client_execute(c);
	client_sync(c);
	client_go(c);
}

static void
prepare_on(struct client *c, int n, const char *name, const char *sql)
{
	client_parse(c, name, sql);
	client_sync(c);
	client_go(c);
	server_gets(n, "PS");
	server_sends(n, "1Z");
	client_gets(c, "1Z");
}

/* The statement's name in a Bind, behind the (empty) portal's. */
static const char *
bound(int n, int nth)
{
	return server_got(n, nth) + 1;
}

/* goal: a statement prepared on one server is parsed on the next one before its first Bind there, once, and
 * nobody sees that */
static void
test_two_servers(void **state)
{
	char name[64];

	(void)state;
	stage_begin("max_prepared_statements = 10\n", "pool_size=2");
	struct client *a = client_in(), *b = client_in();

	prepare_on(a, 1, "s", "select 1");
	client_begins_on(b, 1);
	run(a, "s");
	server_gets(2, "PBES");
	snprintf(name, sizeof(name), "%s", server_got(2, 0));
	assert_string_equal(bound(2, 1), name);
	server_sends(2, "12CZ");
	client_gets(a, "2CZ");
	run(a, "s");
	server_gets(2, "BES");
	server_sends(2, "2CZ");
	client_gets(a, "2CZ");
	stage_end();
}

/* goal: two clients with the same text share one statement on the server; the second Parse costs nothing, and
 * a Close of one is not the other's */
static void
test_shared(void **state)
{
	(void)state;
	stage_begin("max_prepared_statements = 10\n", "");
	struct client *a = client_in(), *b = client_in();

	prepare_on(a, 1, "mine", "select 'shared'");
	client_parse(b, "yours", "select 'shared'");
	client_describe(b, "yours");
	client_sync(b);
	client_go(b);
	server_gets(1, "DS");
	server_sends(1, "tnZ");
	client_gets(b, "1tnZ");
	client_close(a, "mine");
	client_sync(a);
	client_go(a);
	client_gets(a, "3Z");
	run(b, "yours");
	server_gets(1, "BES");
	server_sends(1, "2CZ");
	client_gets(b, "2CZ");
	stage_end();
}

/* goal: beyond max_prepared_statements the one used longest ago is closed on the server, and parsed again when
 * its client comes back to it */
static void
test_lru(void **state)
{
	char first[64];

	(void)state;
	stage_begin("max_prepared_statements = 2\n", "");
	struct client *a = client_in();

	client_parse(a, "one", "select 'lru 1'");
	client_sync(a);
	client_go(a);
	server_gets(1, "PS");
	snprintf(first, sizeof(first), "%s", server_got(1, 0));
	server_sends(1, "1Z");
	client_gets(a, "1Z");
	prepare_on(a, 1, "two", "select 'lru 2'");
	client_parse(a, "three", "select 'lru 3'");
	client_sync(a);
	client_go(a);
	server_gets(1, "CPS");
	assert_string_equal(server_got(1, 0) + 1, first);
	server_sends(1, "31Z");
	client_gets(a, "1Z");
	run(a, "one");
	server_gets(1, "CPBES");
	assert_string_equal(server_got(1, 1), first);
	server_sends(1, "312CZ");
	client_gets(a, "2CZ");
	stage_end();
}

/* goal: a Parse that fails counts for nothing, neither with the client nor with the server */
static void
test_failed_parse(void **state)
{
	(void)state;
	stage_begin("max_prepared_statements = 10\n", "");
	struct client *a = client_in();

	client_parse(a, "s", "selekt 'failed'");
	client_sync(a);
	client_go(a);
	server_gets(1, "PS");
	server_sends(1, "EZ");
	client_gets(a, "EZ");
	/* the name is free, the text is parsed anew */
	client_parse(a, "s", "selekt 'failed'");
	run(a, "s");
	server_gets(1, "PBES");
	server_sends(1, "12CZ");
	client_gets(a, "12CZ");
	stage_end();
}

/* goal: a Parse skipped after an error was never made */
static void
test_skipped_parse(void **state)
{
	(void)state;
	stage_begin("max_prepared_statements = 10\n", "");
	struct client *a = client_in();

	client_parse(a, "", "selekt 'skip'");
	client_parse(a, "s", "select 'skipped'");
	client_sync(a);
	client_go(a);
	server_gets(1, "PPS");
	server_sends(1, "EZ");
	client_gets(a, "EZ");
	client_parse(a, "s", "select 'skipped'");
	run(a, "s");
	server_gets(1, "PBES");
	server_sends(1, "12CZ");
	client_gets(a, "12CZ");
	stage_end();
}

/* goal: a name never used is the server's to refuse, and after that what it is believed to have is not taken
 * for granted: it is closed and parsed anew */
static void
test_unknown_name(void **state)
{
	(void)state;
	stage_begin("max_prepared_statements = 10\n", "");
	struct client *a = client_in();

	prepare_on(a, 1, "s", "select 'known'");
	run(a, "nobody");
	server_gets(1, "BES");
	server_sends_error(1, "ERROR", "26000", "prepared statement \"nobody\" does not exist");
	server_sends(1, "Z");
	client_gets_error(a, "26000");
	run(a, "s");
	server_gets(1, "CPBES");
	server_sends(1, "312CZ");
	client_gets(a, "2CZ");
	stage_end();
}

/* goal: the unnamed statement survives a change of servers */
static void
test_unnamed(void **state)
{
	(void)state;
	stage_begin("max_prepared_statements = 10\n", "pool_size=2");
	struct client *a = client_in(), *b = client_in();

	prepare_on(a, 1, "", "select 'unnamed'");
	client_begins_on(b, 1);
	run(a, "");
	server_gets(2, "PBES");
	assert_string_equal(server_got(2, 0) + 1, "select 'unnamed'");
	server_sends(2, "12CZ");
	client_gets(a, "2CZ");
	stage_end();
}

/* goal: the unnamed statement of another client is never taken for one's own */
static void
test_unnamed_of_another(void **state)
{
	(void)state;
	stage_begin("max_prepared_statements = 10\n", "");
	struct client *a = client_in(), *b = client_in();

	prepare_on(a, 1, "", "select 'a'");
	prepare_on(b, 1, "", "select 'b'");
	run(a, "");
	server_gets(1, "PBES");
	assert_string_equal(server_got(1, 0) + 1, "select 'a'");
	server_sends(1, "12CZ");
	client_gets(a, "2CZ");
	stage_end();
}

/* goal: an injected Parse that fails stands for the Bind that needed it */
static void
test_injected_parse_fails(void **state)
{
	(void)state;
	stage_begin("max_prepared_statements = 10\n", "pool_size=2");
	struct client *a = client_in(), *b = client_in();

	prepare_on(a, 1, "s", "select * from gone");
	client_begins_on(b, 1);
	run(a, "s");
	server_gets(2, "PBES");
	server_sends_error(2, "ERROR", "42P01", "relation \"gone\" does not exist");
	server_sends(2, "Z");
	client_gets_error(a, "42P01");
	run(a, "s");
	server_gets(2, "PBES");
	server_sends(2, "12CZ");
	client_gets(a, "2CZ");
	stage_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_servers),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_failed_parse),
		cmocka_unit_test(test_skipped_parse),
		cmocka_unit_test(test_unknown_name),
		cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_unnamed_of_another),
		cmocka_unit_test(test_injected_parse_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
