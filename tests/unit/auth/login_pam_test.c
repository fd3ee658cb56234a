#include "auth/login_pam.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

const char *__lsan_default_suppressions(void);

/* libpam 1.5.2 loses 96 bytes of its own when a service has no file. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libpam.so\n";
}

static char dir[] = "/tmp/login_pam_test.XXXXXX";

static void
write_file(const char *name, mode_t mode, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

/* A service whose password is checked by a script of ours. */
static int
set_up(void **state)
{
	char text[PATH_MAX * 3];

	(void)state;
	assert_non_null(mkdtemp(dir));
	/* pam_exec gives the password with a NUL behind it */
	write_file("check", 0755,
	    "#!/bin/sh\n"
	    "[ \"$PAM_USER\" = alice ] && [ \"$(tr -d '\\000')\" = 'wond er!' ]\n");
	write_file("host", 0755,
	    "#!/bin/sh\n"
	    "[ \"$PAM_RHOST\" = 192.0.2.7 ] && [ \"$PAM_TTY\" = pgsluice ]\n");
	snprintf(text, sizeof(text),
	    "auth required pam_exec.so quiet expose_authtok %s/check\n"
	    "account required pam_permit.so\n",
	    dir);
	write_file("pgsluice", 0644, text);
	snprintf(text, sizeof(text),
	    "auth required pam_permit.so\n"
	    "account required pam_exec.so quiet %s/host\n",
	    dir);
	write_file("by-host", 0644, text);
	write_file("locked", 0644, "auth required pam_permit.so\naccount required pam_deny.so\n");
	write_file("broken", 0644, "auth required pam_no_such_module.so\n");
	snprintf(text, sizeof(text),
	    "auth optional pam_exec.so quiet expose_authtok %s/check\n"
	    "auth required pam_unix.so nodelay\n"
	    "account required pam_permit.so\n",
	    dir);
	write_file("unix", 0644, text);
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const names[] = { "check", "host", "pgsluice", "by-host", "locked",
		"broken", "unix" };
	char path[PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static enum login_result
ask(const char *service, const char *user, const char *password, size_t len)
{
	struct login_pam_settings *s = login_pam_settings_new(service, dir);
	struct login_attempt attempt = { .user = user,
		.password = password,
		.password_len = len,
		.peer = "192.0.2.7",
		.deadline_ms = UINT64_MAX };
	char why[LOGIN_WHY_MAX] = "";
	enum login_result r;

	assert_non_null(s);
	r = login_pam.check(s, &attempt, why, sizeof(why));
	assert_true(r == LOGIN_OK || why[0] != '\0');
	assert_null(strstr(why, "wond"));
	login_pam.unref(s);
	return r;
}

static enum login_result
ask_text(const char *service, const char *user, const char *password)
{
	return ask(service, user, password, strlen(password));
}

/* goal: the password that the client gave reaches the module of the default service, once */
static void
test_password(void **state)
{
	(void)state;
	assert_int_equal(ask_text(NULL, "alice", "wond er!"), LOGIN_OK);
	assert_int_equal(ask_text(NULL, "alice", "wond er"), LOGIN_REFUSED);
	assert_int_equal(ask_text(NULL, "bob", "wond er!"), LOGIN_REFUSED);
}

/* goal: empty, over-long (modules cut them) and NUL-bearing passwords are refused unasked, even by a
 * service that permits everybody */
static void
test_odd_passwords(void **state)
{
	char text[1024];

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_int_equal(ask_text("by-host", "alice", ""), LOGIN_REFUSED);
	text[511] = '\0';
	assert_int_equal(ask("by-host", "alice", text, 511), LOGIN_OK);
	text[511] = 'x';
	text[512] = '\0';
	assert_int_equal(ask("by-host", "alice", text, 512), LOGIN_REFUSED);
	assert_int_equal(ask("by-host", "alice", "a\0b", 3), LOGIN_REFUSED);
	assert_int_equal(ask_text("by-host", "", "x"), LOGIN_REFUSED);
}

/* goal: the account is checked, and sees where the client comes from */
static void
test_account(void **state)
{
	(void)state;
	assert_int_equal(ask_text("by-host", "alice", "x"), LOGIN_OK);
	assert_int_equal(ask_text("locked", "alice", "x"), LOGIN_REFUSED);
}

/* goal: a service that cannot work is not mistaken for a wrong password, and lets nobody in */
static void
test_broken(void **state)
{
	(void)state;
	assert_int_equal(ask_text("broken", "alice", "x"), LOGIN_UNAVAILABLE);
	assert_int_not_equal(ask_text("no-such-service", "alice", "x"), LOGIN_OK);
}

/* goal: a failure costs the helper thread no delay */
static void
test_no_delay(void **state)
{
	struct timespec a, b;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(ask_text("unix", "nobody", "wrong"), LOGIN_REFUSED);
	clock_gettime(CLOCK_MONOTONIC, &b);
	assert_true(b.tv_sec - a.tv_sec < 2);
}

/* goal: a service's name cannot leave the folder */
static void
test_service_name(void **state)
{
	(void)state;
	assert_null(login_pam_settings_new("../passwd", NULL));
	assert_int_equal(errno, EINVAL);
	assert_null(login_pam_settings_new("", NULL));
	assert_null(login_pam_settings_new("a/b", NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_password),
		cmocka_unit_test(test_odd_passwords),
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_no_delay),
		cmocka_unit_test(test_service_name),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
