/* What a client has: its unnamed statement, how many names, what needs no server, what must wait. */
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

static void
have(const char *name, const char *sql)
{
	parse(name, sql);
	sync_now();
	expect_sent("PS");
	expect_got("1Z", "1Z");
}

/* Goal: the unnamed statement is passed on as it is, and parsed again on another server before its use there,
 * once. */
static void
test_unnamed(void **state)
{
	(void)state;
	fixture_begin(10);
	have("", "select 'unnamed'");
	assert_string_equal(fx.names[0], "");
	fixture_attach(1);
	for (int i = 0; i < 2; i++) {
		describe('S', "");
		bind_to("", "");
		sync_now();
		expect_sent(i == 0 ? "PDBS" : "DBS");
		assert_string_equal(fx.names[0], i == 0 ? "" : "S");
		expect_got(i == 0 ? "1tn2Z" : "tn2Z", "tn2Z");
	}
	fixture_attach(0);
	bind_to("", "");
	sync_now();
	expect_sent("BS"); /* that of before is still there */
	expect_got("2Z", "2Z");
	fixture_end();
}

/* Goal: an unnamed statement of somebody else on the server is never this client's: without one of its own, the
 * server's is closed first; with one, it is parsed over it. */
static void
test_unnamed_of_another(void **state)
{
	(void)state;
	fixture_begin(10);
	fx.s.server->unnamed_of = 99;
	bind_to("", "");
	sync_now();
	expect_sent("CBS");
	assert_string_equal(fx.names[0], "S");
	expect_got("3EZ", "EZ");
	bind_to("", "");
	sync_now();
	expect_sent("BS"); /* now it is known that there is none */
	expect_got("EZ", "EZ");
	have("", "select 'mine'");
	fx.s.server->unnamed_of = 99;
	bind_to("", "");
	sync_now();
	expect_sent("PBS");
	expect_got("12Z", "2Z");
	fixture_end();
}

/* Goal: when the Close that was to do away with another client's unnamed statement was skipped after an error, it
 * is known to be there still -- by this client, and by the next one. */
static void
test_unnamed_of_another_skipped(void **state)
{
	(void)state;
	for (int has_statements = 0; has_statements < 2; has_statements++) {
		fixture_begin(10);
		if (has_statements)
			have("s", "select 'skipped'");
		fx.s.server->unnamed_of = 99;
		bind_to("", "nobody");
		bind_to("", "");
		sync_now();
		expect_sent("BCBS");
		expect_got("EZ", "EZ");
		bind_to("", "");
		sync_now();
		expect_sent("CBS");
		expect_got("3EZ", "EZ");
		fixture_end();
	}
}

/* Goal: an unnamed Parse that fails takes nothing from one that was sent behind it. */
static void
test_unnamed_replaced(void **state)
{
	(void)state;
	fixture_begin(10);
	parse("", "selekt");
	sync_now();
	parse("", "select 'good'");
	sync_now();
	expect_sent("PSPS");
	expect_got("EZ1Z", "EZ1Z");
	fixture_attach(1);
	bind_to("", "");
	sync_now();
	expect_sent("PBS");
	assert_string_equal(fx.texts[0], "select 'good'");
	expect_got("12Z", "2Z");
	fixture_end();
}

/* Goal: an unnamed Parse that was put in and skipped is put in again: the client still has its statement. */
static void
test_unnamed_put_in_skipped(void **state)
{
	(void)state;
	fixture_begin(10);
	have("", "select 'put in'");
	fixture_attach(1);
	for (int i = 0; i < 2; i++) {
		bind_to("", "nobody");
		bind_to("", "");
		sync_now();
		expect_sent("BPBS");
		expect_got("EZ", "EZ");
	}
	fixture_end();
}

/* Goal: a simple Query, a Close and a Parse that fails do away with the unnamed statement, as in PostgreSQL. */
static void
test_unnamed_ends(void **state)
{
	(void)state;
	fixture_begin(10);
	for (int way = 0; way < 3; way++) {
		have("", "select 'ends'");
		if (way == 0) {
			query("select 1");
			expect_sent("Q");
			expect_got("CZ", "CZ");
		} else if (way == 1) {
			close_named('S', "");
			sync_now();
			expect_sent("CS");
			expect_got("3Z", "3Z");
		} else {
			parse("", "selekt");
			sync_now();
			expect_sent("PS");
			expect_got("EZ", "EZ");
		}
		fixture_attach(1);
		bind_to("", "");
		sync_now();
		(void)sent();
		/* the old text does not rise again */
		for (int i = 0; fx.types[i] != '\0'; i++)
			assert_int_not_equal(fx.types[i], 'P');
		expect_got(way == 0 ? "3EZ" : "EZ", "EZ");
		fixture_attach(0);
	}
	fixture_end();
}

/* Goal: a very long unnamed statement works where it was parsed, and is not kept beyond that. */
static void
test_long_unnamed(void **state)
{
	static char sql[100000];

	(void)state;
	fixture_begin(10);
	memset(sql, 'x', sizeof(sql) - 1);
	have("", sql);
	bind_to("", "");
	sync_now();
	expect_sent("BS");
	expect_got("2Z", "2Z");
	assert_int_equal(fx.s.statements->unnamed_len, 0);
	fixture_end();
}

/* Goal: a client may have PREPARED_NAMES_MAX names and no more, whatever their texts. */
static void
test_too_many(void **state)
{
	char name[32];

	(void)state;
	fixture_begin(10);
	have("first", "select 'many'");
	for (int i = 1; i < PREPARED_NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		parse(name, "select 'many'");
		if (i % 5000 == 0) {
			sync_now();
			buf_clear(&fx.out);
			buf_clear(&fx.fakes);
			(void)answer("Z");
		}
		buf_clear(&fx.fakes);
	}
	assert_true(fx.ok);
	assert_int_equal(prepared_count(&fx.s), PREPARED_NAMES_MAX);
	parse("onemore", "select 'many'");
	assert_false(fx.ok);
	assert_int_equal(prepared_count(&fx.s), PREPARED_NAMES_MAX);
	fixture_end();
}

static bool
without_server(const char *want)
{
	struct buf answers;
	bool done;

	buf_init(&answers, 4096);
	done = prepared_without_server(&fx.s, buf_data(&fx.in), buf_len(&fx.in), &answers);
	buf_clear(&fx.in);
	assert_int_equal(buf_len(&answers) > 0 ? buf_data(&answers)[0] : 0, want[0]);
	buf_release(&answers);
	return done;
}

static void
put_parse(const char *name, const char *sql)
{
	struct buf body;

	buf_init(&body, 4096);
	buf_put_str(&body, sql);
	buf_put_u16(&body, 0);
	pgwrite_parse(&fx.in, name, buf_data(&body), buf_len(&body));
	buf_release(&body);
}

/* Goal: a Parse of what a server of the pool has accepted, and a Close, are answered without a server; a text
 * that nobody has tried, a name that is taken and the unnamed statement are not. */
static void
test_without_server(void **state)
{
	(void)state;
	fixture_begin(10);
	put_parse("s", "select 'untried'");
	assert_false(without_server(""));
	assert_int_equal(prepared_count(&fx.s), 0);
	have("s", "select 'tried'");
	put_parse("t", "select 'tried'");
	assert_true(without_server("1"));
	put_parse("t", "select 'tried'");
	assert_false(without_server(""));
	put_parse("", "select 'tried'");
	assert_false(without_server(""));
	assert_int_equal(prepared_count(&fx.s), 2);
	pgwrite_name(&fx.in, 'C', 'S', "t");
	assert_true(without_server("3"));
	pgwrite_name(&fx.in, 'C', 'S', "never");
	assert_true(without_server("3"));
	pgwrite_name(&fx.in, 'C', 'P', "portal");
	assert_true(without_server("3"));
	pgwrite_name(&fx.in, 'C', 'X', "s");
	assert_false(without_server(""));
	assert_int_equal(prepared_count(&fx.s), 1);
	/* where statements are not looked after, nothing is made up */
	atomic_store(&fx.pool.rules.mode, POOL_SESSION);
	pgwrite_name(&fx.in, 'C', 'S', "s");
	assert_false(without_server(""));
	fixture_end();
}

/* Goal: what builds on an earlier segment of the pipeline that may yet fail waits for it; what does not, goes. */
static void
test_must_wait(void **state)
{
	(void)state;
	fixture_begin(10);
	assert_true(parse("s", "select 'wait'"));
	assert_true(bind_to("", "s")); /* of the same segment */
	assert_true(sync_now());
	assert_false(parse("t", "select 'wait t'"));
	assert_false(bind_to("", "s"));
	assert_false(describe('S', "s"));
	assert_false(close_named('S', "s"));
	assert_true(describe('P', ""));
	assert_true(close_named('P', ""));
	assert_true(parse("", "select 'unnamed goes'"));
	assert_false(query("deallocate s"));
	assert_true(query("select 1"));
	expect_sent("PBSDCPQ");
	expect_got("12Z", "12Z");
	assert_true(bind_to("", "s"));
	fixture_end();
}

/* Goal: with session pooling or max_prepared_statements = 0 nothing is renamed or remembered. */
static void
test_switched_off(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		fixture_begin(i == 0 ? 0 : 10);
		if (i == 1)
			atomic_store(&fx.pool.rules.mode, POOL_SESSION);
		assert_false(prepared_is_on(&fx.s));
		parse("s", "select 'off'");
		bind_to("", "s");
		close_named('S', "s");
		sync_now();
		expect_sent("PBCS");
		assert_string_equal(fx.names[0], "s");
		assert_string_equal(fx.names[1], "/s");
		assert_int_equal(prepared_count(&fx.s), 0);
		expect_got("123Z", "123Z");
		fixture_end();
	}
}

/* Goal: messages whose names do not end are the server's to refuse; nothing is remembered of them. */
static void
test_malformed(void **state)
{
	static const char *const kinds[] = { "P", "B", "D", "C" };

	(void)state;
	fixture_begin(10);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint32_t mark = pgwrite_begin(&fx.in, kinds[i][0]);

		buf_put(&fx.in, "Sno end", 7);
		pgwrite_end(&fx.in, mark);
		assert_true(fixture_message());
		sync_now();
		(void)sent();
		assert_true(fx.ok);
		assert_int_equal(prepared_count(&fx.s), 0);
		expect_got("EZ", "EZ");
	}
	fixture_end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unnamed),
		cmocka_unit_test(test_unnamed_of_another),
		cmocka_unit_test(test_unnamed_of_another_skipped),
		cmocka_unit_test(test_unnamed_replaced),
		cmocka_unit_test(test_unnamed_put_in_skipped),
		cmocka_unit_test(test_unnamed_ends),
		cmocka_unit_test(test_long_unnamed),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_without_server),
		cmocka_unit_test(test_must_wait),
		cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
