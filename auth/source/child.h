/* child.h -- runs a program and collects what it prints, without blocking the loop.
 * The child has no descriptors but 0 (/dev/null), 1 and 2 (pipes to us), default signals, and a
 * process group of its own; whatever is left of the group when the child ends is killed. Its end is
 * noticed by a pidfd and taken by that alone: neither SIGCHLD nor other children are touched.
 * (With SIGCHLD ignored the kernel keeps no exit status; see CHILD_LOST.)
 * Must not know secrets, but what was printed lies in secure memory and is wiped. */
#ifndef AUTH_SOURCE_CHILD_H
#define AUTH_SOURCE_CHILD_H

#include <stddef.h>
#include <stdint.h>

#define CHILD_OUT_MAX 65536 /* bytes on stdout; more, and the child is killed */
#define CHILD_ERR_MAX 4096  /* bytes on stderr that are kept; the rest is dropped */
#define CHILD_TERM_MS 2000  /* from SIGTERM to SIGKILL */

struct child;
struct loop;

enum child_end {
	CHILD_EXITED,	 /* code */
	CHILD_SIGNALLED, /* code is the signal */
	CHILD_TIMED_OUT, /* whatever it did then */
	CHILD_TOO_MUCH,
	CHILD_LOST /* somebody else took its status */
};

struct child_result {
	enum child_end end;
	int code;
	const char *out, *err;
	size_t out_len, err_len;
};

/* ended() comes once, from the loop; the result is valid during the call, the child is gone after
 * it. After timeout_ms the group gets SIGTERM, CHILD_TERM_MS later SIGKILL. argv[0] without a slash
 * is looked for in our PATH. NULL with one line in err when nothing was started. */
struct child *child_start(struct loop *, char *const argv[], char *const envp[], int64_t timeout_ms,
    void (*ended)(void *arg, const struct child_result *), void *arg, char *err, size_t errlen);
/* Kills the group; ended() does not come. Should the child not die at once, the loop takes it when
 * it does. NULL is harmless. */
void child_abandon(struct child *);

#endif
