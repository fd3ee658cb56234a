/* connector_fixture.h -- us, who ask connectors for connections: a worker in the calling thread, jobs,
 * and a few words of the protocol over what they bring. */
#ifndef TESTS_UNIT_POOL_CONNECTOR_FIXTURE_H
#define TESTS_UNIT_POOL_CONNECTOR_FIXTURE_H

#include "pool/connector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct asker {
	struct worker me;
	struct connectors *c;
	int left;
};

static inline int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static inline void
asker_begin(struct asker *a, int threads)
{
	struct connector_settings settings = { threads, 15000, 15000 };

	memset(a, 0, sizeof(*a));
	assert_int_equal(worker_init(&a->me, "me", -1), 0);
	a->c = connectors_start(&settings);
	assert_non_null(a->c);
}

static inline void
asker_end(struct asker *a)
{
	connectors_stop(a->c);
	worker_destroy(&a->me);
}

static inline void
asker_count(struct worker *w)
{
	struct asker *a = list_entry(w, struct asker, me);

	if (--a->left == 0)
		loop_stop(&w->loop);
}

static inline void
asker_connected(struct worker *w, struct connect_job *job)
{
	(void)job;
	asker_count(w);
}

static inline void
asker_cancelled(struct worker *w, struct cancel_job *job)
{
	(void)job;
	asker_count(w);
}

/* Until all that was asked for is answered. */
static inline void
asker_wait(struct asker *a)
{
	if (a->left > 0)
		loop_run(&a->me.loop);
}

static inline void
ask_connect(struct asker *a, struct connect_job *job, const struct connect_target *t)
{
	unsigned first = job->first_host;

	memset(job, 0, sizeof(*job));
	job->first_host = first;
	job->asker = &a->me;
	job->done = asker_connected;
	job->target = t;
	a->left++;
	connector_connect(a->c, job);
}

/* job->first_host must be set. */
static inline enum connect_result
connect_now(struct asker *a, struct connect_job *job, const struct connect_target *t)
{
	ask_connect(a, job, t);
	asker_wait(a);
	if (job->result != CONNECT_OK) {
		assert_null(job->pg);
		assert_null(job->params);
		assert_int_equal(job->fd, -1);
		assert_int_equal(strlen(job->sqlstate), 5);
		assert_true(job->message[0] != '\0');
		assert_null(strpbrk(job->message, "\n\t\r"));
	}
	return job->result;
}

static inline void
hang_up(struct connect_job *job)
{
	connector_finish(job->pg);
	free(job->params);
	job->pg = NULL;
	job->params = NULL;
}

/* The value of a parameter that the server reported, or NULL. */
static inline const char *
param(const struct connect_job *job, const char *name)
{
	const char *at = job->params, *end = at + job->params_len;

	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (strcmp(at, name) == 0)
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

/* ---- a connection in use: simple queries over a stream on our loop ---- */

struct talk {
	struct stream stream;
	struct worker *me;
	uint8_t in[65536];
	size_t n;
	char until; /* the message that is waited for */
	bool lost;
};

static inline bool
talk_has(const struct talk *t, char type, const char *text)
{
	size_t at = 0;

	while (t->n - at >= 5) {
		size_t len = (size_t)t->in[at + 1] << 24 | (size_t)t->in[at + 2] << 16 |
			     (size_t)t->in[at + 3] << 8 | t->in[at + 4];

		if (t->n - at < len + 1)
			break;
		if (t->in[at] == (uint8_t)type &&
		    (text == NULL || memmem(t->in + at, len + 1, text, strlen(text)) != NULL))
			return true;
		at += len + 1;
	}
	return false;
}

static inline bool
talk_readable(struct stream *s)
{
	struct talk *t = list_entry(s, struct talk, stream);
	ssize_t n = stream_read(s, t->in + t->n, sizeof(t->in) - t->n);

	if (n > 0)
		t->n += (size_t)n;
	t->lost = n == -1;
	if (t->lost || talk_has(t, t->until, NULL))
		loop_stop(&t->me->loop);
	return true;
}

static inline void
talk_begin(struct talk *t, struct asker *a, struct connect_job *job)
{
	static const struct stream_ops ops = { .readable = talk_readable };

	memset(t, 0, sizeof(*t));
	t->me = &a->me;
	stream_init(&t->stream, job->fd, &ops);
	if (job->ssl != NULL)
		stream_adopt_tls(&t->stream, job->ssl);
	stream_open(&t->stream, &a->me.loop);
}

static inline void
talk_end(struct talk *t)
{
	stream_detach(&t->stream);
	t->stream.watch.io.fd = -1;
	t->stream.ssl = NULL;
	stream_close(&t->stream, false);
}

static inline void
talk_send(struct talk *t, const char *sql)
{
	size_t n = strlen(sql) + 5;
	uint8_t head[5] = { 'Q', 0, 0, (uint8_t)(n >> 8), (uint8_t)n };

	t->n = 0;
	assert_int_equal(stream_write(&t->stream, head, 5), 0);
	assert_int_equal(stream_write(&t->stream, sql, n - 4), 0);
}

static inline void
talk_wait(struct talk *t, char until)
{
	t->until = until;
	if (!talk_has(t, until, NULL) && !t->lost)
		loop_run(&t->me->loop);
}

/* True when a row of the answer holds the text. */
static inline bool
talk_query(struct talk *t, const char *sql, const char *text)
{
	talk_send(t, sql);
	talk_wait(t, 'Z');
	return talk_has(t, 'D', text);
}

#endif
