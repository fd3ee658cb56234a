/* fake_fixture.h -- a fake service of tests/fake run by a test program, a loop with https_calls, and
 * one fetch at a time on it. The fake ends with us: it reads our end of a pipe. */
#ifndef TESTS_UNIT_AUTH_SOURCE_FAKE_FIXTURE_H
#define TESTS_UNIT_AUTH_SOURCE_FAKE_FIXTURE_H

#include "auth/https_call.h"
#include "auth/source/secret_source.h"
#include "proxy/base/loop.h"
#include "proxy/config/config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct fake {
	pid_t pid;
	int in; /* its standard input */
	int port;
	char url[64];
	struct loop loop;
	struct https_calls *calls;
	struct secret_source_env env;
	struct deadline patience;
	bool impatient;
};

/* What a fetch gave, copied. */
struct got {
	struct fake *fake;
	bool done;
	enum secret_error error;
	char message[400], user[64], password[256], version[1100], lease[1100];
	bool has_value, has_lease, renewable, deleted;
	int64_t retry_after_ms, expires_unix_ms, refresh_unix_ms;
};

static inline int64_t
fake_unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- the process ---- */

static inline int
fake_read_port(int fd)
{
	char line[64];
	size_t n = 0;

	while (n < sizeof(line) - 1 && read(fd, line + n, 1) == 1 && line[n] != '\n')
		n++;
	line[n] = '\0';
	return strncmp(line, "PORT ", 5) == 0 ? (int)strtol(line + 5, NULL, 10) : 0;
}

static inline void
fake_spawn(struct fake *f, const char *script, const char *arg)
{
	const char *python = getenv("PYTHON") == NULL ? "/usr/bin/python3" : getenv("PYTHON");
	char *argv[] = { (char *)python, (char *)"-B", (char *)script, (char *)arg, NULL };
	posix_spawn_file_actions_t files;
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in[0], 0);
	posix_spawn_file_actions_adddup2(&files, out[1], 1);
	assert_int_equal(posix_spawnp(&f->pid, python, &files, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&files);
	close(in[0]);
	close(out[1]);
	f->in = in[1];
	f->port = fake_read_port(out[0]);
	close(out[0]);
	assert_int_not_equal(f->port, 0);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%d", f->port);
}

/* POST /_control; the answer's body is in a static buffer. */
static inline const char *
fake_control(const struct fake *f, const char *json)
{
	static char answer[65536];
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)f->port) };
	char head[256];
	const char *body;
	size_t n = 0;
	ssize_t got;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), len;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	len = snprintf(head, sizeof(head),
	    "POST /_control HTTP/1.0\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
	    strlen(json));
	assert_int_equal(write(fd, head, (size_t)len), len);
	assert_int_equal(write(fd, json, strlen(json)), strlen(json));
	while (n < sizeof(answer) - 1 && (got = read(fd, answer + n, sizeof(answer) - 1 - n)) > 0)
		n += (size_t)got;
	answer[n] = '\0';
	close(fd);
	assert_non_null(strstr(answer, " 200 "));
	body = strstr(answer, "\r\n\r\n");
	assert_non_null(body);
	return body + 4;
}

/* How often that was asked for: "GET /v1/x". */
static inline long
fake_count(const struct fake *f, const char *request)
{
	char key[512];
	const char *at;

	snprintf(key, sizeof(key), "\"%s\": ", request);
	at = strstr(fake_control(f, "{\"op\":\"counters\"}"), key);
	return at == NULL ? 0 : strtol(at + strlen(key), NULL, 10);
}

/* ---- the loop ---- */

static inline void
fake_patience(struct deadline *d)
{
	struct fake *f = list_entry(d, struct fake, patience);

	f->impatient = true;
	loop_stop(&f->loop);
}

/* Runs the loop for so long, or until something stops it. */
static inline void
fake_run(struct fake *f, uint64_t ms)
{
	f->impatient = false;
	loop_deadline(&f->loop, &f->patience, loop_now_ms(&f->loop) + ms);
	loop_run(&f->loop);
	loop_deadline_remove(&f->loop, &f->patience);
}

static inline void
fake_begin(struct fake *f, const char *script, const char *arg)
{
	memset(f, 0, sizeof(*f));
	fake_spawn(f, script, arg);
	assert_int_equal(loop_init(&f->loop), 0);
	f->calls = https_calls_new(&f->loop);
	assert_non_null(f->calls);
	f->env = (struct secret_source_env){ .loop = &f->loop,
		.calls = f->calls,
		.unix_ms = fake_unix_ms };
	deadline_init(&f->patience, fake_patience);
}

static inline void
fake_end(struct fake *f)
{
	https_calls_free(f->calls);
	loop_destroy(&f->loop);
	close(f->in);
	waitpid(f->pid, NULL, 0);
}

/* ---- fetching ---- */

static inline void
fake_copy(char *to, size_t size, const char *from)
{
	size_t n = from == NULL ? 0 : strnlen(from, size - 1);

	if (n != 0)
		memcpy(to, from, n);
	to[n] = '\0';
}

static inline void
fake_fetched(void *arg, const struct secret_answer *a)
{
	struct got *g = arg;

	assert_false(g->done);
	g->done = true;
	g->error = a->error;
	fake_copy(g->message, sizeof(g->message), a->message);
	fake_copy(g->version, sizeof(g->version), a->version);
	fake_copy(g->lease, sizeof(g->lease), a->lease);
	g->has_lease = a->lease != NULL;
	g->has_value = a->value != NULL;
	if (a->value != NULL) {
		fake_copy(g->user, sizeof(g->user), a->value->user);
		fake_copy(g->password, sizeof(g->password), a->value->password);
	}
	g->renewable = a->renewable;
	g->deleted = a->deleted;
	g->retry_after_ms = a->retry_after_ms;
	g->expires_unix_ms = a->expires_unix_ms;
	g->refresh_unix_ms = a->refresh_unix_ms;
	if (a->error == SECRET_OK)
		assert_non_null(a->version);
	else
		assert_true(g->message[0] != '\0' && strchr(g->message, '\n') == NULL);
	loop_stop(&g->fake->loop);
}

/* Waits for what was started. */
static inline void
fake_wait(struct fake *f, struct got *g)
{
	while (!g->done) {
		fake_run(f, 10000);
		assert_false(f->impatient);
	}
}

static inline struct got
fake_fetch(struct fake *f, struct secret_source *s, enum secret_stage stage)
{
	struct got g = { .fake = f };

	s->ops->fetch(s, stage, fake_fetched, &g);
	assert_false(g.done);
	fake_wait(f, &g);
	return g;
}

/* Asserts that the entry is fine. */
static inline struct secret_source *
fake_open(struct fake *f, const struct secret_source_ops *ops, const struct config_secret *c)
{
	char err[512] = "";
	struct secret_source *s = ops->open(c, &f->env, err, sizeof(err));

	if (s == NULL)
		fail_msg("%s", err);
	return s;
}

/* Asserts that it is refused, and that the message has this in it. */
static inline void
fake_refused(struct fake *f, const struct secret_source_ops *ops, const struct config_secret *c,
    const char *what)
{
	char err[512] = "";

	assert_null(ops->open(c, &f->env, err, sizeof(err)));
	if (strstr(err, what) == NULL)
		fail_msg("\"%s\" is not in: %s", what, err);
}

/* A file with this text; the name is in `path`. */
static inline void
fake_file(char path[64], const char *text)
{
	FILE *out;
	int fd;

	if (path[0] == '\0') {
		snprintf(path, 64, "/tmp/fake_fixture.XXXXXX");
		fd = mkstemp(path);
		assert_int_not_equal(fd, -1);
		close(fd);
	}
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
}

#endif
