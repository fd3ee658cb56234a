/* local_fixture.h -- for the tests of the sources of this machine: a loop that runs for a while, a
 * fetch that waits for its answer, a directory of its own, and what must not be left behind. */
#ifndef TESTS_UNIT_AUTH_SOURCE_LOCAL_FIXTURE_H
#define TESTS_UNIT_AUTH_SOURCE_LOCAL_FIXTURE_H

#include "auth/source/secret_source.h"
#include "proxy/base/loop.h"
#include "proxy/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000

static struct loop loop;

static int64_t
wall_clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const struct secret_source_env source_env_of_test = { .loop = &loop,
	.unix_ms = wall_clock_ms };

/* ---- the loop ---- */

static bool stopped;

/* What tests call instead of loop_stop(). */
static void
stop(void)
{
	stopped = true;
	loop_stop(&loop);
}

static void
on_alarm(struct deadline *d)
{
	(void)d;
	loop_stop(&loop);
}

/* Until stop(), so many ms at most. */
static void
run_for(uint64_t ms)
{
	struct deadline alarm;

	deadline_init(&alarm, on_alarm);
	stopped = false;
	loop_deadline(&loop, &alarm, loop_now_ms(&loop));
	loop_run(&loop); /* the clock stood still between two runs */
	if (!stopped && ms > 0) {
		loop_deadline(&loop, &alarm, loop_now_ms(&loop) + ms);
		loop_run(&loop);
	}
	loop_deadline_remove(&loop, &alarm);
}

/* ---- fetches ---- */

struct fetched {
	int n; /* answers */
	enum secret_error error;
	char message[600], user[64], password[SECRET_PASSWORD_MAX + 1], version[128];
	size_t password_len;
	int64_t expires_unix_ms, refresh_unix_ms;
};

static void
on_fetched(void *arg, const struct secret_answer *a)
{
	struct fetched *f = arg;

	f->n++;
	f->error = a->error;
	if (a->error == SECRET_OK) {
		assert_null(a->message);
		assert_non_null(a->version);
		snprintf(f->user, sizeof(f->user), "%s", a->value->user);
		snprintf(f->password, sizeof(f->password), "%s", a->value->password);
		f->password_len = a->value->password_len;
		snprintf(f->version, sizeof(f->version), "%s", a->version);
	} else {
		assert_null(a->value);
		assert_non_null(a->message);
		assert_null(strchr(a->message, '\n'));
		snprintf(f->message, sizeof(f->message), "%s", a->message);
	}
	f->expires_unix_ms = a->expires_unix_ms;
	f->refresh_unix_ms = a->refresh_unix_ms;
	stop();
}

static __attribute__((unused)) struct fetched
fetch_stage(struct secret_source *s, enum secret_stage stage)
{
	struct fetched f = { 0 };

	run_for(0);
	s->ops->fetch(s, stage, on_fetched, &f);
	assert_int_equal(f.n, 0);
	do
		run_for(PATIENCE_MS);
	while (f.n == 0 && stopped); /* by something else, such as a change */
	assert_int_equal(f.n, 1);
	return f;
}

static __attribute__((unused)) struct fetched
fetch_now(struct secret_source *s)
{
	return fetch_stage(s, SECRET_CURRENT);
}

static __attribute__((unused)) struct secret_source *
open_source(const struct secret_source_ops *ops, const struct config_secret *cfg)
{
	char err[512] = "";
	struct secret_source *s = ops->open(cfg, &source_env_of_test, err, sizeof(err));

	if (s == NULL)
		fail_msg("cannot open: %s", err);
	assert_ptr_equal(s->ops, ops);
	return s;
}

/* The entry is refused and the message has this in it. */
static __attribute__((unused)) void
assert_refused(const struct secret_source_ops *ops, const struct config_secret *cfg,
    const char *part)
{
	char err[512] = "";

	assert_null(ops->open(cfg, &source_env_of_test, err, sizeof(err)));
	if (strstr(err, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, err);
	assert_null(strchr(err, '\n'));
}

static __attribute__((unused)) void
assert_failed(const struct fetched *f, enum secret_error error, const char *part)
{
	if (f->error != error || strstr(f->message, part) == NULL)
		fail_msg("error %d, not %d; \"%s\" is to be in \"%s\"", f->error, error, part,
		    f->message);
}

/* ---- a directory of the test ---- */

static char folder[64];

static const char *
in_folder(const char *name)
{
	static char path[64][384];
	static unsigned turn;
	char *p = path[turn++ % 64];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static __attribute__((unused)) void
write_file(const char *name, const void *text, size_t len)
{
	int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
}

/* Written long ago, so that a fetch has nothing to wait for. */
static __attribute__((unused)) void
put_file(const char *name, const char *text)
{
	const struct timespec long_ago[2] = { { 1700000000, 0 }, { 1700000000, 0 } };

	write_file(name, text, strlen(text));
	utimensat(AT_FDCWD, in_folder(name), long_ago, 0);
}

static int
make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/pgsluice-source-XXXXXX");
	return mkdtemp(folder) == NULL || loop_init(&loop) == -1 ? -1 : 0;
}

static int
remove_folder(void **state)
{
	char *argv[] = { (char *)"rm", (char *)"-rf", folder, NULL };
	pid_t pid = fork();

	(void)state;
	loop_destroy(&loop);
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

/* ---- leftovers ---- */

static __attribute__((unused)) int
count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

#endif
