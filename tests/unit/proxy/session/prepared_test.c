/* Prepared statements that follow their client: names, texts and servers. */
#include "tests/unit/proxy/session/prepared_fixture.h"

static void
expect_sent(const char *types)
{
	assert_true(fx.ok);
	assert_string_equal(sent(), types);
}

static void
expect_got(const char *answers, const char *types)
{
	assert_string_equal(answer(answers), types);
}

/* A statement of that name and text that client and server have. */
static void
have(const char *name, const char *sql)
{
	parse(name, sql);
	sync_now();
	expect_sent("PS");
	expect_got("1Z", "1Z");
}

static void
use(const char *name)
{
	bind_to("", name);
	sync_now();
}

/* Goal: on the server a statement has a name of ours wherever the client's occurs; portals keep theirs. */
static void
test_rename(void **state)
{
	char name[FIXTURE_NAME], want[FIXTURE_NAME * 2];

	(void)state;
	fixture_begin(10);
	parse("s", "select 'rename'");
	bind_to("p", "s");
	describe('S', "s");
	describe('P', "p");
	close_named('P', "p");
	sync_now();
	expect_sent("PBDDCS");
	snprintf(name, sizeof(name), "%s", fx.names[0]);
	assert_memory_equal(name, "pgs_", 4);
	assert_string_equal(fx.texts[0], "select 'rename'");
	snprintf(want, sizeof(want), "p/%s", name);
	assert_string_equal(fx.names[1], want);
	snprintf(want, sizeof(want), "S%s", name);
	assert_string_equal(fx.names[2], want);
	assert_string_equal(fx.names[3], "Pp");
	assert_string_equal(fx.names[4], "Pp");
	expect_got("12tnn3Z", "12tnn3Z");
	assert_int_equal(prepared_count(&fx.s), 1);
	fixture_end();
}

/* Goal: a text that the server has already is not parsed again; the answer comes in its place. */
static void
test_known_text(void **state)
{
	(void)state;
	fixture_begin(10);
	have("s", "select 'known'");
	bind_to("", "s");
	parse("t", "select 'known'");
	bind_to("", "t");
	sync_now();
	expect_sent("BBS");
	assert_string_equal(fx.names[0], fx.names[1]);
	expect_got("22Z", "212Z");
	assert_int_equal(prepared_count(&fx.s), 2);
	fixture_end();
}

/* Goal: beyond max_prepared_statements the one used longest ago is closed, unseen by the client. */
static void
test_lru(void **state)
{
	char first[FIXTURE_NAME + 1], second[FIXTURE_NAME + 1];

	(void)state;
	fixture_begin(2);
	have("one", "select 'lru one'");
	snprintf(first, sizeof(first), "S%s", fx.names[0]);
	have("two", "select 'lru two'");
	snprintf(second, sizeof(second), "S%s", fx.names[0]);
	use("one");
	expect_sent("BS");
	expect_got("2Z", "2Z");
	parse("three", "select 'lru three'");
	sync_now();
	expect_sent("CPS");
	assert_string_equal(fx.names[0], second);
	expect_got("31Z", "1Z");
	use("two");
	expect_sent("CPBS");
	assert_string_equal(fx.names[0], first);
	assert_string_equal(fx.names[1], second + 1);
	expect_got("312Z", "2Z");
	assert_int_equal(server_statements_count(&fx.s.server->statements), 2);
	fixture_end();
}

/* Goal: an evicted statement whose Close is skipped after an error is still known to be on the server, as
 * doubtful: it is closed before it is parsed again. */
static void
test_eviction_skipped(void **state)
{
	(void)state;
	fixture_begin(1);
	have("one", "select 'evict one'");
	bind_to("", "nobody");
	parse("two", "select 'evict two'");
	sync_now();
	expect_sent("BCPS");
	expect_got("EZ", "EZ");
	use("one");
	expect_sent("CPBS");
	expect_got("312Z", "2Z");
	parse("two", "select 'evict two'");
	sync_now();
	expect_sent("CPS");
	expect_got("31Z", "1Z");
	fixture_end();
}

/* Goal: Close ends the name for the client only; the server keeps the statement for others. */
static void
test_close(void **state)
{
	(void)state;
	fixture_begin(10);
	have("s", "select 'close'");
	close_named('S', "s");
	sync_now();
	expect_sent("S");
	expect_got("Z", "3Z");
	assert_int_equal(prepared_count(&fx.s), 0);
	use("s");
	expect_sent("BS");
	assert_string_equal(fx.names[0], "/s"); /* the server will say that there is none */
	expect_got("EZ", "EZ");
	parse("s", "select 'another'");
	parse("t", "select 'close'");
	sync_now();
	expect_sent("PS");
	expect_got("1Z", "11Z");
	close_named('S', "never");
	sync_now();
	expect_sent("CS");
	expect_got("3Z", "3Z");
	fixture_end();
}

/* Goal: a Close that is skipped after an error has not happened. */
static void
test_close_skipped(void **state)
{
	(void)state;
	fixture_begin(10);
	have("s", "select 'close skipped'");
	bind_to("", "nobody");
	close_named('S', "s");
	parse("s", "select 'its successor'");
	sync_now();
	expect_sent("BPS");
	expect_got("EZ", "EZ");
	assert_int_equal(prepared_count(&fx.s), 1);
	use("s");
	expect_sent("BS");
	assert_non_null(client_statements_find(&fx.s, "s"));
	assert_string_equal((const char *)client_statements_find(&fx.s, "s")->st->body,
	    "select 'close skipped'");
	expect_got("2Z", "2Z");
	fixture_end();
}

/* Goal: SQL DEALLOCATE of a protocol-level name is done by the server on a stand-in, and ends the client's. */
static void
test_deallocate(void **state)
{
	struct relay_out o = { .s = &fx.s, .scratch = &fx.out };

	(void)state;
	fixture_begin(10);
	assert_false(prepared_deallocate(&fx.s, &o, "s"));
	have("s", "select 'deallocate'");
	assert_true(prepared_deallocate(&fx.s, &o, "s"));
	expect_sent("PQCS");
	assert_string_equal(fx.texts[0], "");
	assert_string_equal(fx.texts[1] + strlen("DEALLOCATE "), fx.names[0]);
	assert_string_equal(fx.names[2] + 1, fx.names[0]);
	assert_string_equal(answer("1"), "");
	assert_string_equal(answer_tag("DEALLOCATE"), "C");
	expect_got("Z3Z", "Z");
	assert_int_equal(prepared_count(&fx.s), 0);
	fixture_end();
}

/* Goal: a DEALLOCATE that fails (in an aborted transaction) has not happened. */
static void
test_deallocate_fails(void **state)
{
	struct relay_out o = { .s = &fx.s, .scratch = &fx.out };

	(void)state;
	fixture_begin(10);
	have("s", "select 'deallocate fails'");
	assert_true(prepared_deallocate(&fx.s, &o, "s"));
	(void)sent();
	expect_got("1Ex3x", "Ex");
	assert_int_equal(prepared_count(&fx.s), 1);
	fixture_end();
}

/* Goal: DEALLOCATE ALL and DISCARD ALL end what the client has and what the server is believed to have; a
 * Parse that was sent behind them stays. */
static void
test_deallocate_all(void **state)
{
	static const char *const tags[] = { "DEALLOCATE ALL", "DISCARD ALL" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		fixture_begin(10);
		have("s", "select 'all'");
		query("all");
		parse("t", "select 'all behind'");
		sync_now();
		expect_sent("QPS");
		assert_string_equal(answer_tag(tags[i]), "C");
		assert_int_equal(prepared_count(&fx.s), 1);
		assert_non_null(client_statements_find(&fx.s, "t"));
		expect_got("Z1Z", "Z1Z");
		parse("s", "select 'all'");
		sync_now();
		expect_sent("CPS"); /* it may be there or not: closed first */
		expect_got("31Z", "1Z");
		use("s");
		expect_sent("BS");
		fixture_end();
	}
}

/* Goal: a name that the client has is refused by the server itself, in its place, and the statement of that
 * name is untouched; what was needed for that is taken away again. */
static void
test_duplicate(void **state)
{
	(void)state;
	fixture_begin(10);
	have("s", "select 'duplicate'");
	bind_to("", "s");
	parse("s", "select 'another duplicate'");
	bind_to("", "s");
	sync_now();
	expect_sent("BPPBSCS");
	assert_string_equal(fx.names[1], "s");
	assert_string_equal(fx.names[2], "s");
	assert_string_equal(fx.texts[2], "select 'another duplicate'");
	assert_string_equal(fx.names[5], "Ss");
	assert_string_equal(answer("21"), "2");
	memset(fx.got, 0, sizeof(fx.got));
	fixture_answer('E', "42P05");
	assert_string_equal(fx.got, "E");
	expect_got("Z3Z", "Z");
	use("s");
	expect_sent("BS");
	expect_got("2Z", "2Z");
	assert_string_equal((const char *)client_statements_find(&fx.s, "s")->st->body,
	    "select 'duplicate'");
	fixture_end();
}

/* Goal: a Parse that the server refuses counts for nothing; the name is free and the text is not believed to be
 * there. */
static void
test_parse_error(void **state)
{
	(void)state;
	fixture_begin(10);
	parse("s", "selekt 'error'");
	bind_to("", "s");
	parse("t", "select 'skipped'");
	sync_now();
	expect_sent("PBPS");
	expect_got("EZ", "EZ");
	assert_int_equal(prepared_count(&fx.s), 0);
	assert_int_equal(server_statements_count(&fx.s.server->statements), 0);
	parse("t", "selekt 'error'");
	parse("s", "select 'skipped'");
	sync_now();
	expect_sent("PPS");
	expect_got("11Z", "11Z");
	assert_int_equal(prepared_count(&fx.s), 2);
	fixture_end();
}

/* Goal: in an aborted transaction the server judges each Parse (it lets ROLLBACK through) under the client's
 * name, which is closed behind it. */
static void
test_parse_in_aborted(void **state)
{
	(void)state;
	fixture_begin(10);
	query("begin");
	query("oops");
	(void)sent();
	expect_got("CzEx", "CzEx");
	parse("s", "rollback");
	bind_to("", "s");
	sync_now();
	(void)sent();
	assert_string_equal(fx.texts[0], "rollback");
	assert_string_equal(fx.names[0], "s");
	assert_true(fx.ok);
	fixture_end();
}

/* Goal: what is prepared follows the client: parsed once on each server that has not got it. */
static void
test_other_server(void **state)
{
	char name[FIXTURE_NAME];

	(void)state;
	fixture_begin(10);
	have("s", "select 'other server'");
	snprintf(name, sizeof(name), "%s", fx.names[0]);
	for (int i = 1; i < FIXTURE_SERVERS; i++) {
		fixture_attach(i);
		describe('S', "s");
		bind_to("", "s");
		sync_now();
		expect_sent("PDBS");
		assert_string_equal(fx.names[0], name);
		expect_got("1tn2Z", "tn2Z");
		use("s");
		expect_sent("BS");
		expect_got("2Z", "2Z");
	}
	fixture_attach(0);
	use("s");
	expect_sent("BS");
	expect_got("2Z", "2Z");
	fixture_end();
}

/* Goal: a Parse of ours that fails on another server stands for the Bind that needed it; next time it is
 * tried again. */
static void
test_other_server_refuses(void **state)
{
	(void)state;
	fixture_begin(10);
	have("s", "select * from gone");
	fixture_attach(1);
	use("s");
	expect_sent("PBS");
	expect_got("EZ", "EZ");
	use("s");
	expect_sent("PBS");
	expect_got("12Z", "2Z");
	fixture_end();
}

/* Goal: a plan that has become stale, or a statement that is not there after all, is closed and parsed anew. */
static void
test_stale(void **state)
{
	(void)state;
	fixture_begin(10);
	have("s", "select 'stale'");
	use("s");
	(void)sent();
	memset(fx.got, 0, sizeof(fx.got));
	fixture_answer('E', "26000");
	expect_got("Z", "Z");
	use("s");
	expect_sent("CPBS");
	expect_got("312Z", "2Z");
	fixture_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_known_text),
		cmocka_unit_test(test_lru),
		cmocka_unit_test(test_eviction_skipped),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_close_skipped),
		cmocka_unit_test(test_deallocate),
		cmocka_unit_test(test_deallocate_fails),
		cmocka_unit_test(test_deallocate_all),
		cmocka_unit_test(test_duplicate),
		cmocka_unit_test(test_parse_error),
		cmocka_unit_test(test_parse_in_aborted),
		cmocka_unit_test(test_other_server),
		cmocka_unit_test(test_other_server_refuses),
		cmocka_unit_test(test_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
