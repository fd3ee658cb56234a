#include "auth/source/child.h"

#include "proxy/base/loop.h"
#include "proxy/base/secure.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIVE_UP_MS    1000 /* after SIGKILL: it hangs in the kernel */
#define ABANDON_MS    20   /* a killed process dies within one */
#define READS_AT_ONCE 16

/* What comes out of one pipe. */
struct drain {
	struct child *child;
	struct watch watch; /* fd -1 once the other end is closed */
	char *bytes;
	size_t len, max;
};

enum phase { RUNNING, TERMINATED, KILLED };

struct child {
	struct loop *loop;
	pid_t pid;
	struct watch exit; /* pidfd */
	struct drain out, err;
	struct deadline due; /* of this phase */
	enum phase phase;
	bool timed_out, too_much;
	void (*ended)(void *arg, const struct child_result *); /* NULL = abandoned */
	void *arg;
};

/* ---- memory and descriptors ---- */

static void
drain_close(struct drain *d)
{
	if (watch_fd(&d->watch) == -1)
		return;
	watch_stop(d->child->loop, &d->watch);
	close(watch_fd(&d->watch));
	watch_init(&d->watch, NULL, -1);
}

static void
drain_drop(struct drain *d)
{
	drain_close(d);
	secure_free(d->bytes);
	d->bytes = NULL;
	d->len = 0;
}

static int
drain_init(struct drain *d, struct child *c, size_t max)
{
	d->child = c;
	d->max = max;
	watch_init(&d->watch, NULL, -1);
	d->bytes = secure_alloc(max);
	return d->bytes != NULL ? 0 : -1;
}

static void
release(struct child *c)
{
	loop_deadline_remove(c->loop, &c->due);
	drain_drop(&c->out);
	drain_drop(&c->err);
	if (watch_fd(&c->exit) != -1) {
		watch_stop(c->loop, &c->exit);
		close(watch_fd(&c->exit));
	}
	free(c);
}

static struct child *
child_new(struct loop *loop)
{
	struct child *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->loop = loop;
	deadline_init(&c->due, NULL);
	watch_init(&c->exit, NULL, -1);
	/* one byte more than it may print */
	if (drain_init(&c->out, c, CHILD_OUT_MAX + 1) == -1 ||
	    drain_init(&c->err, c, CHILD_ERR_MAX) == -1) {
		release(c);
		return NULL;
	}
	return c;
}

/* ---- the end ---- */

/* Until its status is taken the pid of the leader, which is the number of the group, stays taken. */
static void
signal_group(struct child *c, int sig)
{
	kill(-c->pid, sig);
}

/* The status is there when the pidfd is readable. */
static enum child_end
take_status(struct child *c, int *code)
{
	siginfo_t si = { 0 };

	*code = 0;
	if (waitid(P_PIDFD, (id_t)watch_fd(&c->exit), &si, WEXITED | WNOHANG) == -1 ||
	    si.si_pid == 0)
		return CHILD_LOST;
	*code = si.si_status;
	return si.si_code == CLD_EXITED ? CHILD_EXITED : CHILD_SIGNALLED;
}

static void
tell(struct child *c, enum child_end end, int code)
{
	struct child_result r = { end, code, c->out.bytes, c->err.bytes, c->out.len, c->err.len };
	void (*ended)(void *, const struct child_result *) = c->ended;

	if (c->timed_out)
		r.end = CHILD_TIMED_OUT;
	else if (c->too_much)
		r.end = CHILD_TOO_MUCH;
	c->ended = NULL;
	if (ended != NULL)
		ended(c->arg, &r);
}

static void drain_read(struct drain *);

static void
on_exit_ready(struct watch *w, int events)
{
	struct child *c = list_entry(w, struct child, exit);
	enum child_end end;
	int code;

	(void)events;
	/* what it printed last; a grandchild that keeps the pipe open is not waited for */
	if (c->ended != NULL) {
		drain_read(&c->out);
		drain_read(&c->err);
	}
	signal_group(c, SIGKILL);
	end = take_status(c, &code);
	watch_stop(c->loop, &c->exit);
	tell(c, end, code);
	release(c);
}

/* ---- the limits ---- */

static void
set_due(struct child *c, uint64_t after_ms)
{
	loop_deadline(c->loop, &c->due, loop_now_ms(c->loop) + after_ms);
}

static void
kill_now(struct child *c)
{
	c->phase = KILLED;
	signal_group(c, SIGKILL);
	set_due(c, GIVE_UP_MS);
}

static void
on_due(struct deadline *d)
{
	struct child *c = list_entry(d, struct child, due);

	switch (c->phase) {
	case RUNNING:
		c->timed_out = true;
		c->phase = TERMINATED;
		signal_group(c, SIGTERM);
		set_due(c, CHILD_TERM_MS);
		break;
	case TERMINATED:
		kill_now(c);
		break;
	case KILLED:
		tell(c, CHILD_LOST, 0);
		child_abandon(c);
		break;
	}
}

/* ---- the output ---- */

static void
drop(int fd, ssize_t *n)
{
	char waste[4096];

	*n = read(fd, waste, sizeof(waste));
	explicit_bzero(waste, sizeof(waste));
}

/* Bounded, so that one that prints without end leaves the loop to others. */
static void
drain_read(struct drain *d)
{
	struct child *c = d->child;
	int turn;

	for (turn = 0; turn < READS_AT_ONCE && watch_fd(&d->watch) != -1; turn++) {
		int fd = watch_fd(&d->watch);
		ssize_t n;

		if (d->len == d->max) {
			drop(fd, &n);
		} else {
			n = read(fd, d->bytes + d->len, d->max - d->len);
			d->len += n > 0 ? (size_t)n : 0;
		}
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			drain_close(d);
		if (d == &c->out && d->len == d->max) {
			drain_close(d);
			c->too_much = true;
			if (c->phase == RUNNING)
				kill_now(c);
		}
	}
}

static void
on_output(struct watch *w, int events)
{
	(void)events;
	drain_read(list_entry(w, struct drain, watch));
}

/* ---- the start ---- */

/* Above 2 even when those of us are closed, so that dup2() in the child never hits another. */
static int
above_stderr(int fd)
{
	int higher;

	if (fd > 2)
		return fd;
	higher = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return higher;
}

/* The reading end goes to d; the writing end is returned, -1 = none. */
static int
drain_open(struct drain *d)
{
	int fd[2], flags;

	if (pipe2(fd, O_CLOEXEC) == -1)
		return -1;
	fd[0] = above_stderr(fd[0]);
	fd[1] = above_stderr(fd[1]);
	flags = fd[0] != -1 ? fcntl(fd[0], F_GETFL) : -1;
	if (fd[1] == -1 || flags == -1 || fcntl(fd[0], F_SETFL, flags | O_NONBLOCK) == -1) {
		if (fd[0] != -1)
			close(fd[0]);
		if (fd[1] != -1)
			close(fd[1]);
		return -1;
	}
	watch_init(&d->watch, on_output, fd[0]);
	return fd[1];
}

/* posix_spawn() returns when the program has been executed, or why not. */
static int
spawn_with(posix_spawnattr_t *attr, posix_spawn_file_actions_t *acts, struct child *c, int out,
    int err, char *const argv[], char *const envp[])
{
	sigset_t all, none;
	int e;

	sigfillset(&all);
	sigemptyset(&none);
	(void)posix_spawnattr_setsigdefault(attr, &all);
	(void)posix_spawnattr_setsigmask(attr, &none);
	(void)posix_spawnattr_setpgroup(attr, 0);
	e = posix_spawnattr_setflags(attr,
	    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	if (e == 0)
		e = posix_spawn_file_actions_addopen(acts, 0, "/dev/null", O_RDONLY, 0);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(acts, out, 1);
	if (e == 0)
		e = posix_spawn_file_actions_adddup2(acts, err, 2);
	if (e == 0)
		e = posix_spawn_file_actions_addclosefrom_np(acts, 3);
	if (e == 0)
		e = posix_spawnp(&c->pid, argv[0], acts, attr, argv, envp);
	return e;
}

static int
spawn(struct child *c, int out, int err, char *const argv[], char *const envp[])
{
	posix_spawn_file_actions_t acts;
	posix_spawnattr_t attr;
	int e;

	e = posix_spawnattr_init(&attr);
	if (e != 0)
		return e;
	e = posix_spawn_file_actions_init(&acts);
	if (e == 0) {
		e = spawn_with(&attr, &acts, c, out, err, argv, envp);
		posix_spawn_file_actions_destroy(&acts);
	}
	posix_spawnattr_destroy(&attr);
	return e;
}

/* Nobody has taken its status yet, so the pid is still this child's. */
static int
follow(struct child *c)
{
	int fd = pidfd_open(c->pid, 0);
	int e = errno;

	if (fd == -1) {
		signal_group(c, SIGKILL);
		waitpid(c->pid, NULL, 0);
		return e;
	}
	watch_init(&c->exit, on_exit_ready, fd);
	return 0;
}

static int
start(struct child *c, char *const argv[], char *const envp[])
{
	int out = drain_open(&c->out);
	int err = out != -1 ? drain_open(&c->err) : -1;
	int e = err != -1 ? 0 : errno;

	if (e == 0)
		e = spawn(c, out, err, argv, envp);
	if (out != -1)
		close(out);
	if (err != -1)
		close(err);
	return e == 0 ? follow(c) : e;
}

struct child *
child_start(struct loop *loop, char *const argv[], char *const envp[], int64_t timeout_ms,
    void (*ended)(void *arg, const struct child_result *), void *arg, char *err, size_t errlen)
{
	struct child *c = child_new(loop);
	int e;

	if (c == NULL) {
		snprintf(err, errlen, "out of memory for secrets");
		return NULL;
	}
	e = start(c, argv, envp);
	if (e != 0) {
		snprintf(err, errlen, "cannot run %s: %s", argv[0], strerror(e));
		release(c);
		return NULL;
	}
	c->ended = ended;
	c->arg = arg;
	deadline_init(&c->due, on_due);
	set_due(c, (uint64_t)timeout_ms);
	watch_start(loop, &c->out.watch, WATCH_READ);
	watch_start(loop, &c->err.watch, WATCH_READ);
	watch_start(loop, &c->exit, WATCH_READ);
	return c;
}

void
child_abandon(struct child *c)
{
	struct pollfd p;
	int code;

	if (c == NULL)
		return;
	c->ended = NULL;
	loop_deadline_remove(c->loop, &c->due);
	drain_drop(&c->out);
	drain_drop(&c->err);
	signal_group(c, SIGKILL);
	p = (struct pollfd){ watch_fd(&c->exit), POLLIN, 0 };
	if (poll(&p, 1, ABANDON_MS) == 1) {
		(void)take_status(c, &code);
		release(c);
	}
}
