/* exec_fixture.h -- for the tests of the exec source: commands that are run once, and what became of
 * the processes that they were. */
#ifndef TESTS_UNIT_AUTH_SOURCE_EXEC_FIXTURE_H
#define TESTS_UNIT_AUTH_SOURCE_EXEC_FIXTURE_H

#include "tests/unit/auth/source/local_fixture.h"

static __attribute__((unused)) struct config_secret
entry(const char *command)
{
	struct config_secret c = { .name = "s",
		.provider = "exec",
		.command = command,
		.timeout = 5000 };

	return c;
}

static __attribute__((unused)) struct fetched
run_within(const char *command, int64_t timeout_ms)
{
	struct config_secret c = entry(command);
	struct secret_source *s;
	struct fetched f;

	c.timeout = timeout_ms;
	s = open_source(&source_exec, &c);
	f = fetch_now(s);
	s->ops->close(s);
	return f;
}

static __attribute__((unused)) struct fetched
run(const char *command)
{
	return run_within(command, 5000);
}

static __attribute__((unused)) void
assert_prints(const char *command, const char *password)
{
	struct fetched f = run(command);

	if (f.error != SECRET_OK)
		fail_msg("%s: %s", command, f.message);
	assert_string_equal(f.password, password);
}

static __attribute__((unused)) int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* A pid that a command has written. */
static __attribute__((unused)) pid_t
read_pid(const char *name)
{
	FILE *f = fopen(in_folder(name), "re");
	int pid = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	return pid;
}

/* Dead, or dying: init may take a moment to reap what was killed. */
static __attribute__((unused)) bool
is_gone(pid_t pid)
{
	char path[64], line[256] = "";
	const char *at;
	FILE *f;
	int i;

	for (i = 0; i < 100; i++, usleep(10000)) {
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		f = fopen(path, "re");
		if (f == NULL)
			return true;
		at = fgets(line, sizeof(line), f) != NULL ? strrchr(line, ')') : NULL;
		fclose(f);
		if (at == NULL || at[2] == 'Z' || at[2] == 'X')
			return true;
	}
	return false;
}

/* Neither zombies nor running children. */
static __attribute__((unused)) void
assert_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

#endif
