/* goal: a command is run as documented, whatever it does it neither holds up the loop nor leaves a
 * process or a descriptor behind, and what it prints is a secret, a bad value or a short complaint. */
#include "tests/unit/auth/source/exec_fixture.h"

/* ---- what is printed ---- */

/* goal: JSON in the shape of credential_process, with an end: fetched anew at 80 % of its time */
static void
test_json(void **state)
{
	int64_t before, lasts;
	struct fetched f;

	(void)state;
	before = wall_clock_ms();
	f = run("sh -c 'printf \"{\\\"Version\\\":1,\\\"Username\\\":\\\"u\\\",\\\"Password\\\":"
		"\\\"p\\\",\\\"Expiration\\\":\\\"%s\\\",\\\"VersionId\\\":\\\"v7\\\"}\" "
		"$(date -u -d \"now + 1000 sec\" +%Y-%m-%dT%H:%M:%SZ)'");
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.user, "u");
	assert_string_equal(f.password, "p");
	assert_string_equal(f.version, "v7");
	lasts = f.expires_unix_ms - before;
	assert_in_range(lasts, 998000, 1003000);
	assert_in_range(f.refresh_unix_ms - before, 798000, 803500);
	f = run(
	    "echo '{\"username\":\"u\",\"password\":\"p\",\"Expiration\":\"2020-01-01T00:00:00Z\"}'");
	assert_failed(&f, SECRET_BAD_VALUE, "Expiration");
	f = run("echo '{\"username\":\"u\",\"password\":\"p\"}'");
	assert_int_equal(f.error, SECRET_OK);
	assert_int_equal(f.refresh_unix_ms, 0);
	assert_int_equal(strlen(f.version), 12);
}

/* goal: a password alone, and the words of the command as they are quoted */
static void
test_words(void **state)
{
	(void)state;
	assert_prints("echo pw", "pw");
	assert_prints("printf '%s|' a 'b  c' \"d'e\" $HOME '' f\\ g", "a|b  c|d'e|$HOME||f g|");
	assert_prints("/bin/echo -n '| cat'", "| cat");
}

/* goal: rubbish, nothing and half of it are bad values; the message does not quote them */
static void
test_rubbish(void **state)
{
	static const char *const commands[] = { "printf 'hush\\nhush'", "printf '\\001hush'",
		"printf '\\377hush'", "printf '{\"password\":\"hush'", "printf '{\"hush\":1}'",
		"true", "echo", "printf 'hush\\000'" };
	struct fetched f;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		f = run(commands[i]);
		if (f.error != SECRET_BAD_VALUE)
			fail_msg("%s: %d", commands[i], f.error);
		assert_null(strstr(f.message, "hush"));
	}
}

/* goal: 64 KiB are taken, one byte more ends the command at once, and so does output without end */
static void
test_too_much(void **state)
{
	int64_t start = now_ms();
	struct fetched f;

	(void)state;
	f = run(
	    "sh -c 'printf \"{\\\"password\\\":\\\"p\\\"}\"; head -c 65520 /dev/zero | tr \"\\0\" "
	    "\" \"'");
	assert_int_equal(f.error, SECRET_OK);
	f = run(
	    "sh -c 'printf \"{\\\"password\\\":\\\"p\\\"}\"; head -c 65521 /dev/zero | tr \"\\0\" "
	    "\" \"'");
	assert_failed(&f, SECRET_BAD_VALUE, "65536 bytes");
	f = run("yes");
	assert_failed(&f, SECRET_BAD_VALUE, "65536 bytes");
	assert_true(now_ms() - start < 3000);
	assert_no_children();
}

/* ---- how it fails ---- */

/* goal: the status and the first words of stderr are in the message, on one printable line */
static void
test_complaints(void **state)
{
	struct fetched f;

	(void)state;
	f = run("sh -c 'printf \"\\n no\\tsuch\\033[1m \\n\\n thing\\n\" >&2; exit 7'");
	assert_failed(&f, SECRET_TRANSIENT, "sh exited with status 7: no such?[1m thing");
	f = run("false");
	assert_failed(&f, SECRET_TRANSIENT, "false exited with status 1");
	f = run("sh -c 'kill -9 $$'");
	assert_failed(&f, SECRET_TRANSIENT, "signal 9");
	f = run("sh -c 'yes word | head -c 1000000 >&2; exit 3'");
	assert_failed(&f, SECRET_TRANSIENT, "status 3: word word");
	assert_true(strlen(f.message) < 240);
	/* it may repeat what it has printed */
	f = run("sh -c 'echo hush; echo it is hush >&2; exit 1'");
	assert_failed(&f, SECRET_TRANSIENT, "status 1");
	assert_null(strstr(f.message, "hush"));
	f = run("/nowhere/x hush");
	assert_failed(&f, SECRET_TRANSIENT, "/nowhere/x: No such file");
	assert_null(strstr(f.message, "hush"));
	assert_prints("sh -c 'echo warning >&2; echo pw'", "pw");
	assert_no_children();
}

/* goal: one that hangs is ended with all of its group, gently if it lets itself be */
static void
test_hang(void **state)
{
	struct fetched f;
	char command[512];
	int64_t start = now_ms();

	(void)state;
	snprintf(command, sizeof(command), "sh -c 'sleep 1000 & echo $! >%s; echo $$ >%s; wait'",
	    in_folder("grandchild"), in_folder("child"));
	f = run_within(command, 200);
	assert_failed(&f, SECRET_TRANSIENT, "200 ms");
	assert_true(now_ms() - start < 1500);
	assert_true(is_gone(read_pid("child")));
	assert_true(is_gone(read_pid("grandchild")));

	start = now_ms();
	f = run_within("sh -c 'trap \"\" TERM; while :; do sleep 0.1; done'", 200);
	assert_failed(&f, SECRET_TRANSIENT, "200 ms");
	assert_in_range(now_ms() - start, 2100, 4000);
	/* an orderly end after SIGTERM is too late all the same */
	f = run_within("sh -c 'trap \"echo pw; exit 0\" TERM; while :; do sleep 0.1; done'", 200);
	assert_failed(&f, SECRET_TRANSIENT, "200 ms");
	/* nothing more to read, but it lives on */
	f = run_within("sh -c 'exec >&- 2>&-; sleep 1000'", 200);
	assert_failed(&f, SECRET_TRANSIENT, "200 ms");
	assert_no_children();
}

/* goal: what a command leaves running does not delay the answer, and is killed if it is of the group */
static void
test_grandchild(void **state)
{
	char command[512];
	int64_t start = now_ms();

	(void)state;
	snprintf(command, sizeof(command), "sh -c 'sleep 1000 & echo $! >%s; echo pw'",
	    in_folder("left"));
	assert_prints(command, "pw");
	assert_true(is_gone(read_pid("left")));
	assert_prints("sh -c 'setsid sleep 3 & echo pw'", "pw");
	assert_true(now_ms() - start < 2000);
	assert_no_children();
}

/* goal: an entry that cannot work is refused when it is opened */
static void
test_bad_entries(void **state)
{
	struct config_secret c = entry(NULL);
	struct secret_source *s;
	struct fetched f;

	(void)state;
	assert_refused(&source_exec, &c, "command=");
	c.command = "x 'y";
	assert_refused(&source_exec, &c, "quote");
	c.command = "x";
	c.timeout = 0;
	assert_refused(&source_exec, &c, "timeout");
	c.timeout = 1000;
	c.path = "/tmp/x";
	assert_refused(&source_exec, &c, "path");
	c.path = NULL;
	s = open_source(&source_exec, &c);
	f = fetch_stage(s, SECRET_PREVIOUS);
	assert_failed(&f, SECRET_NOT_SERVED, "exec");
	s->ops->close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_rubbish),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_complaints),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_grandchild),
		cmocka_unit_test(test_bad_entries),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
