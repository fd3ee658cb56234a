/* goal: a secret in an environment variable is taken out of it for good, and still there for every
 * entry that names it; a credential of systemd is the file that its directory has.
 * The program runs itself anew: only the environment of exec() is what /proc/self/environ shows. */
#include "tests/unit/auth/source/local_fixture.h"

#define VALUE "{\"username\":\"u\",\"password\":\"hush-hush\"}"

static struct config_secret
entry(const char *provider, const char *id)
{
	struct config_secret c = { .name = "s",
		.provider = provider,
		.secret_id = id,
		.timeout = 1000 };

	return c;
}

/* Is this anywhere in the environment that others can see? */
static bool
environ_shows(const char *text)
{
	static char bytes[1 << 20];
	int fd = open("/proc/self/environ", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, bytes, sizeof(bytes));

	close(fd);
	assert_true(n > 0);
	return memmem(bytes, (size_t)n, text, strlen(text)) != NULL;
}

/* goal: gone from getenv(), from /proc and from children; a second opening finds it all the same */
static void
test_env(void **state)
{
	struct config_secret c = entry("env", "TEST_SECRET");
	struct secret_source *s, *again;
	struct fetched f, g;

	(void)state;
	assert_true(environ_shows("hush-hush"));
	assert_non_null(getenv("TEST_SECRET"));
	s = open_source(&source_env, &c);
	assert_false(environ_shows("hush-hush"));
	assert_true(environ_shows("TEST_PLAIN=abc"));
	assert_null(getenv("TEST_SECRET"));
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.user, "u");
	assert_string_equal(f.password, "hush-hush");
	assert_null(source_env.watch);

	again = open_source(&source_env, &c);
	s->ops->close(s);
	g = fetch_now(again);
	assert_string_equal(g.password, "hush-hush");
	assert_string_equal(g.version, f.version);
	again->ops->close(again);
	again = open_source(&source_env, &c);
	g = fetch_now(again);
	assert_string_equal(g.password, "hush-hush");
	f = fetch_stage(again, SECRET_PENDING);
	assert_failed(&f, SECRET_NOT_SERVED, "env");
	again->ops->close(again);
}

/* goal: a password alone; a variable that occurs twice is wiped twice */
static void
test_plain(void **state)
{
	struct config_secret c = entry("env", "TEST_PLAIN");
	struct secret_source *s;
	struct fetched f;

	(void)state;
	s = open_source(&source_env, &c);
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.user, "");
	assert_string_equal(f.password, "abc");
	assert_false(environ_shows("abc"));
	assert_false(environ_shows("def"));
	s->ops->close(s);
}

/* goal: bad JSON is a bad value, named by the variable and not quoted */
static void
test_bad_value(void **state)
{
	struct config_secret c = entry("env", "TEST_BAD");
	struct secret_source *s = open_source(&source_env, &c);
	struct fetched f;

	(void)state;
	f = fetch_now(s);
	assert_failed(&f, SECRET_BAD_VALUE, "TEST_BAD");
	assert_null(strstr(f.message, "hush"));
	s->ops->close(s);
}

/* goal: an entry that cannot work is refused when it is opened */
static void
test_bad_entries(void **state)
{
	struct config_secret c = entry("env", NULL);

	(void)state;
	assert_refused(&source_env, &c, "secret_id=");
	c.secret_id = "A=B";
	assert_refused(&source_env, &c, "secret_id=");
	c.secret_id = "TEST_NOT_THERE";
	assert_refused(&source_env, &c, "no such environment variable");
	c.secret_id = "TEST_EMPTY";
	assert_refused(&source_env, &c, "is empty");
	c.path = "/tmp";
	assert_refused(&source_env, &c, "path");
}

/* ---- systemd ---- */

static void
test_systemd(void **state)
{
	struct config_secret c = entry("systemd", "db");
	struct secret_source *s;
	struct fetched f;

	(void)state;
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_refused(&source_systemd, &c, "LoadCredential=");
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	put_file("db", VALUE);
	chmod(in_folder("db"), 0400);
	s = open_source(&source_systemd, &c);
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.user, "u");
	assert_string_equal(f.password, "hush-hush");
	unlink(in_folder("db"));
	f = fetch_now(s);
	assert_failed(&f, SECRET_GONE, in_folder("db"));
	put_file("db", "{\"username\":\"hush\"}");
	f = fetch_now(s);
	assert_failed(&f, SECRET_BAD_VALUE, in_folder("db"));
	s->ops->close(s);
}

static void
test_systemd_names(void **state)
{
	struct config_secret c = entry("systemd", NULL);

	(void)state;
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	assert_refused(&source_systemd, &c, "secret_id=");
	c.secret_id = "../etc/passwd";
	assert_refused(&source_systemd, &c, "without slashes");
	c.secret_id = "..";
	assert_refused(&source_systemd, &c, "without slashes");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_env),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_bad_value),
		cmocka_unit_test(test_bad_entries),
		cmocka_unit_test(test_systemd),
		cmocka_unit_test(test_systemd_names),
	};
	static char *const envp[] = { (char *)"TEST_SECRET=" VALUE, (char *)"TEST_PLAIN=abc",
		(char *)"TEST_BAD={\"password\":\"hush",
		(char *)"TEST_EMPTY=", (char *)"TEST_PLAIN=def", (char *)"PATH=/usr/bin:/bin",
		NULL };

	(void)argc;
	if (getenv("TEST_SECRET") == NULL) {
		execve("/proc/self/exe", argv, envp);
		return 1;
	}
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
