/* secure_fixture.h -- what the tests of secure.c ask the kernel: is there memory at an address (a child
 * tries), and what does it know about a page. */
#ifndef TESTS_UNIT_PROXY_BASE_SECURE_FIXTURE_H
#define TESTS_UNIT_PROXY_BASE_SECURE_FIXTURE_H

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs act(p) in a child: its status. What it prints is thrown away. */
static inline int
in_child(void (*act)(void *), void *p)
{
	pid_t pid = fork();
	int status;

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		int fd = open("/dev/null", O_WRONLY);

		(void)dup2(fd, STDERR_FILENO);
		(void)signal(SIGABRT, SIG_DFL);
		(void)signal(SIGSEGV, SIG_DFL);
		act(p);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline bool
dies(void (*act)(void *), void *p)
{
	int status = in_child(act, p);

	return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

/* The VmFlags of the mapping that p lies in, with a blank on both sides of each; "" = not shown here. */
static inline void
flags_of(const void *p, char out[256])
{
	FILE *f = fopen("/proc/self/smaps", "re");
	bool inside = false;
	char line[512];

	out[0] = '\0';
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			snprintf(out, 256, "%.*s ", (int)strcspn(line + 8, "\n"), line + 8);
	}
	fclose(f);
}

#endif
