#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/admin/console.h"
#include "proxy/base/buf.h"
#include "proxy/config/config.h"

#include <stdlib.h>
#include <string.h>

static const char *const columns[] = { "x", NULL };
static const struct view views[] = {
	{ .name = "POOLS", .columns = columns },
	{ .name = "FDS", .columns = columns, .admin_only = true },
	{ .name = NULL },
};

/* What the command points to. */
static char *room;
static char err[512];

static enum fault
parse(struct console_command *c, const char *line)
{
	enum fault f;

	free(room);
	/* exactly as much as promised, so that ASan sees a byte too many */
	room = malloc(CONSOLE_ROOM(strlen(line)));
	assert_non_null(room);
	err[0] = '\0';
	f = console_parse(c, line, room, views, err, sizeof(err));
	assert_true(f == FAULT_NONE || err[0] != '\0');
	return f;
}

static void
refused(const char *line, enum fault f)
{
	struct console_command c;

	assert_int_equal(parse(&c, line), f);
}

static void
is(const char *line, enum console_verb verb, const char *name)
{
	struct console_command c;

	assert_int_equal(parse(&c, line), FAULT_NONE);
	assert_int_equal(c.verb, verb);
	if (name == NULL)
		assert_null(c.name);
	else
		assert_string_equal(c.name, name);
}

/* Goal: case, blanks, semicolons, comments and quotes make no difference. */
static void
spelling_is_free(void **state)
{
	struct console_command c;
	static const char *const lines[] = { "SHOW POOLS", "show pools;", "  Show\tPools ; ;",
		"SELECT pools", "show \"pools\"", "SHOW 'POOLS'", "/* app */ show -- all\n pools",
		"show /**/pools", ";show pools" };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(parse(&c, lines[i]), FAULT_NONE);
		assert_int_equal(c.verb, CONSOLE_SHOW);
		assert_ptr_equal(c.view, &views[0]);
		assert_string_equal(c.tag, "SHOW");
		assert_false(c.admin_only);
	}
}

/* Goal: nothing but blanks, comments and semicolons is the empty command. */
static void
empty_lines(void **state)
{
	(void)state;
	is("", CONSOLE_EMPTY, NULL);
	is(" \n;; ", CONSOLE_EMPTY, NULL);
	is("-- nothing", CONSOLE_EMPTY, NULL);
}

/* Goal: every command takes the arguments it has, and no others. */
static void
arguments(void **state)
{
	struct console_command c;

	(void)state;
	is("RELOAD", CONSOLE_RELOAD, NULL);
	refused("RELOAD now", FAULT_CONSOLE_SYNTAX);
	is("PAUSE", CONSOLE_PAUSE, NULL);
	is("pause Shop", CONSOLE_PAUSE, "Shop");
	is("pause \"my \"\"db\"\"\"", CONSOLE_PAUSE, "my \"db\"");
	refused("PAUSE a b", FAULT_CONSOLE_SYNTAX);
	is("resume a;", CONSOLE_RESUME, "a");
	is("disable a", CONSOLE_DISABLE, "a");
	refused("disable", FAULT_CONSOLE_SYNTAX);
	is("enable a", CONSOLE_ENABLE, "a");
	is("reconnect", CONSOLE_RECONNECT, NULL);
	assert_int_equal(parse(&c, "kill_client 42"), FAULT_NONE);
	assert_int_equal(c.number, 42);
	assert_true(c.admin_only);
	refused("kill_client", FAULT_CONSOLE_SYNTAX);
	refused("kill_client -1", FAULT_CONSOLE_SYNTAX);
	refused("kill_client 1x", FAULT_CONSOLE_SYNTAX);
	refused("kill_client 99999999999999999999", FAULT_CONSOLE_SYNTAX);
	assert_int_equal(parse(&c, "shutdown"), FAULT_NONE);
	assert_int_equal(c.how, CONSOLE_NOW);
	assert_int_equal(parse(&c, "shutdown wait_for_servers"), FAULT_NONE);
	assert_int_equal(c.how, CONSOLE_WAIT_SERVERS);
	assert_int_equal(parse(&c, "shutdown wait_for_clients;"), FAULT_NONE);
	assert_int_equal(c.how, CONSOLE_WAIT_CLIENTS);
	refused("shutdown wait", FAULT_CONSOLE_SYNTAX);
}

static void
sets(const char *line, const char *value)
{
	struct console_command c;

	assert_int_equal(parse(&c, line), FAULT_NONE);
	assert_int_equal(c.verb, CONSOLE_SET);
	assert_string_equal(c.name, "a");
	assert_string_equal(c.value, value);
	assert_true(c.admin_only);
}

/* Goal: SET in all its spellings. */
static void
settings(void **state)
{
	struct console_command c;

	(void)state;
	sets("SET a = 5", "5");
	sets("set a=5;", "5");
	sets("set a TO 5", "5");
	sets("set a='DISCARD ALL'", "DISCARD ALL");
	sets("set a = 'it''s'", "it's");
	sets("set a=''", "");
	sets("set a=/var/run", "/var/run");
	refused("set a", FAULT_CONSOLE_SYNTAX);
	refused("set a =", FAULT_CONSOLE_SYNTAX);
	refused("set a = b c", FAULT_CONSOLE_SYNTAX);
	refused("set a '=' b", FAULT_CONSOLE_SYNTAX);
	refused("set = = =", FAULT_NONE);
	/* what drivers set at connect is nothing to us */
	assert_int_equal(parse(&c, "SET extra_float_digits = 3"), FAULT_NONE);
	assert_int_equal(c.verb, CONSOLE_SET_VALUE);
	assert_false(c.admin_only);
}

/* Goal: fixed values that drivers ask for, and the health check. */
static void
fixed_values(void **state)
{
	struct console_command c;

	(void)state;
	assert_int_equal(parse(&c, "SHOW client_encoding"), FAULT_NONE);
	assert_int_equal(c.verb, CONSOLE_VALUE);
	assert_string_equal(c.value, "UTF8");
	assert_int_equal(parse(&c, "SHOW TimeZone"), FAULT_NONE);
	assert_string_equal(c.value, "GMT");
	assert_int_equal(parse(&c, "SELECT 1"), FAULT_NONE);
	assert_int_equal(c.verb, CONSOLE_VALUE);
	assert_string_equal(c.value, "1");
	refused("SELECT 9999999999", FAULT_CONSOLE_OBJECT);
	refused("SHOW 1", FAULT_CONSOLE_OBJECT);
	is("show help", CONSOLE_HELP, "help");
}

/* Goal: garbage is told what is wrong with it, and its bytes are not repeated raw. */
static void
garbage(void **state)
{
	(void)state;
	refused("foo", FAULT_CONSOLE_SYNTAX);
	assert_string_equal(err, "unknown console command \"foo\"");
	refused("\x01\xff", FAULT_CONSOLE_SYNTAX);
	assert_null(strchr(err, '\x01'));
	refused("show", FAULT_CONSOLE_SYNTAX);
	refused("show nothing", FAULT_CONSOLE_OBJECT);
	refused("show pools extra", FAULT_CONSOLE_SYNTAX);
	refused("show 'pools", FAULT_CONSOLE_SYNTAX);
	refused("/* show pools", FAULT_CONSOLE_SYNTAX);
	refused("show pools; show pools", FAULT_CONSOLE_SYNTAX);
	refused("a b c d e f g h", FAULT_CONSOLE_SYNTAX);
	refused("a=b=c=d=e", FAULT_CONSOLE_SYNTAX);
	refused("''''''''", FAULT_CONSOLE_SYNTAX);
	refused("=", FAULT_CONSOLE_SYNTAX);
	refused("SUSPEND", FAULT_CONSOLE_SYNTAX);
}

/* Goal: the help names every view and command. */
static void
help(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	console_help(&b, views);
	buf_put_u8(&b, 0);
	assert_false(buf_failed(&b));
	assert_non_null(strstr((const char *)buf_data(&b), "SHOW HELP|POOLS|FDS"));
	assert_non_null(strstr((const char *)buf_data(&b), "PAUSE [<db>]"));
	buf_release(&b);
}

/* Goal: roles by the lists, whole names only, and everybody with auth_type = any. */
static void
roles(void **state)
{
	struct config cfg = { .auth_type = AUTH_SCRAM,
		.admin_users = "root, ann ,bob",
		.stats_users = "sam" };

	(void)state;
	assert_int_equal(console_role(&cfg, "root"), CONSOLE_ADMIN);
	assert_int_equal(console_role(&cfg, "ann"), CONSOLE_ADMIN);
	assert_int_equal(console_role(&cfg, "bob"), CONSOLE_ADMIN);
	assert_int_equal(console_role(&cfg, "sam"), CONSOLE_STATS);
	assert_int_equal(console_role(&cfg, "an"), CONSOLE_NOBODY);
	assert_int_equal(console_role(&cfg, "ann "), CONSOLE_NOBODY);
	assert_int_equal(console_role(&cfg, ""), CONSOLE_NOBODY);
	assert_int_equal(console_role(&cfg, "Root"), CONSOLE_NOBODY);
	cfg.admin_users = cfg.stats_users = NULL;
	assert_int_equal(console_role(&cfg, "root"), CONSOLE_NOBODY);
	cfg.auth_type = AUTH_ANY;
	assert_int_equal(console_role(&cfg, "whoever"), CONSOLE_ADMIN);
}

static int
tear_down(void **state)
{
	(void)state;
	free(room);
	room = NULL;
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spelling_is_free),
		cmocka_unit_test(empty_lines),
		cmocka_unit_test(arguments),
		cmocka_unit_test(settings),
		cmocka_unit_test(fixed_values),
		cmocka_unit_test(garbage),
		cmocka_unit_test(help),
		cmocka_unit_test(roles),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
