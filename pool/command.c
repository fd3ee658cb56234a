#include "pool/command.h"

#include "pool/server.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command {
	struct server_holder holder;
	struct server_sink sink;
	struct server *server;
	const struct command_ops *ops;
	void *arg;
	struct deadline deadline;
	bool failed, over;
	struct command_result result;
};

static void
finish(struct command *c, bool ok)
{
	struct server *s = c->server;
	const struct command_ops *ops = c->ops;
	void *arg = c->arg;
	struct command_result result = c->result;

	result.ok = ok;
	loop_deadline_remove(&s->worker->loop, &c->deadline);
	server_let_go(s);
	free(c);
	ops->done(s, &result, arg);
}

static void
on_deadline(struct deadline *d)
{
	struct command *c = list_entry(d, struct command, deadline);

	snprintf(c->result.why, sizeof(c->result.why), "no answer to a query of our own in time");
	finish(c, false);
}

static enum request_verdict
on_event(struct server_sink *sink, struct server *s, uint8_t type, const uint8_t *payload, size_t n,
    enum request_verdict v)
{
	struct command *c = list_entry(sink, struct command, sink);
	struct pgmsg_error e;

	if (type == 'E') {
		c->failed = true;
		(void)pgmsg_error(payload, n, &e);
		snprintf(c->result.why, sizeof(c->result.why), "%s", e.message);
		snprintf(c->result.sqlstate, sizeof(c->result.sqlstate), "%.5s", e.sqlstate);
	}
	if (type == 'G')
		return REQUEST_BAD; /* nobody here has data to copy */
	if (type == 'Z' && requests_idle(&s->requests))
		c->over = true;
	return v;
}

static void
on_bytes(struct server_sink *sink, const uint8_t *p, size_t n)
{
	struct command *c = list_entry(sink, struct command, sink);

	/* notices and notifications pass; of our own answers only rows do, when they are wanted */
	while (c->ops->row != NULL && n >= PGMSG_HEADER) {
		size_t total = (size_t)pg_get_u32(p + 1) + 1;

		if (total > n)
			return;
		if (p[0] == 'D')
			c->ops->row(c->server, p + PGMSG_HEADER, total - PGMSG_HEADER, c->arg);
		p += total;
		n -= total;
	}
}

static bool
on_readable(struct server_holder *h, struct server *s)
{
	struct command *c = list_entry(h, struct command, holder);

	switch (server_pump(s, &c->sink)) {
	case PUMP_MORE:
		if (!c->over)
			return true;
		finish(c, !c->failed && s->status == 'I');
		return false;
	case PUMP_LOST:
		snprintf(c->result.why, sizeof(c->result.why), "the server closed the connection");
		break;
	case PUMP_BAD:
		s->close_when_free = true;
		snprintf(c->result.why, sizeof(c->result.why), "the server violated the protocol");
		break;
	}
	finish(c, false);
	return false;
}

static const struct server_holder_ops holder_ops = { .readable = on_readable };

/* Sends what is in out, whose requests are expected already, and waits for the answers. */
static bool
launch(struct server *s, struct buf *out, bool expected, int64_t timeout,
    const struct command_ops *ops, void *arg)
{
	struct command *c = calloc(1, sizeof(*c));

	s->unnamed_of = 0; /* whatever is sent, the unnamed statement is not what it was */
	if (c == NULL || buf_failed(out) || !expected ||
	    stream_write(&s->stream, buf_data(out), buf_len(out)) == -1) {
		buf_release(out);
		free(c);
		return false;
	}
	buf_release(out);
	c->holder.ops = &holder_ops;
	c->sink.bytes = on_bytes;
	c->sink.event = on_event;
	c->server = s;
	c->ops = ops;
	c->arg = arg;
	deadline_init(&c->deadline, on_deadline);
	server_hold(s, &c->holder, SERVER_TESTED);
	if (timeout > 0)
		loop_deadline(&s->worker->loop, &c->deadline,
		    loop_now_ms(&s->worker->loop) + (uint64_t)timeout);
	return true;
}

bool
command_run(struct server *s, const char *sql, int64_t timeout, const struct command_ops *ops,
    void *arg)
{
	struct buf out;

	buf_init(&out, BUF_CAP_MAX);
	pgwrite_query(&out, sql);
	return launch(s, &out,
	    server_expect(s, REQUEST_QUERY, ops->row != NULL ? REQUEST_FORWARD : REQUEST_SWALLOW,
		NULL),
	    timeout, ops, arg);
}

/* One text parameter, the results as text; unnamed statement and portal. */
static void
put_bind(struct buf *out, const char *param)
{
	uint32_t mark = pgwrite_begin(out, 'B');

	buf_put(out, "\0\0" /* portal, statement */ "\0\0" /* formats */ "\0\1", 6);
	buf_put_u32(out, (uint32_t)strlen(param));
	buf_put(out, param, strlen(param));
	buf_put(out, "\0\0", 2);
	pgwrite_end(out, mark);
}

bool
command_run_with(struct server *s, const char *sql, const char *param, int64_t timeout,
    const struct command_ops *ops, void *arg)
{
	struct buf out;
	uint32_t mark;
	bool expected;

	buf_init(&out, BUF_CAP_MAX);
	mark = pgwrite_begin(&out, 'P');
	buf_put(&out, "", 1);
	buf_put(&out, sql, strlen(sql) + 1);
	buf_put(&out, "\0\0", 2);
	pgwrite_end(&out, mark);
	put_bind(&out, param);
	mark = pgwrite_begin(&out, 'E');
	buf_put(&out, "\0\0\0\0\0", 5);
	pgwrite_end(&out, mark);
	pgwrite_empty(&out, 'S');
	expected = server_expect(s, REQUEST_PARSE, REQUEST_SWALLOW, NULL) &&
		   server_expect(s, REQUEST_BIND, REQUEST_SWALLOW, NULL) &&
		   server_expect(s, REQUEST_EXECUTE, REQUEST_FORWARD, NULL) &&
		   server_expect(s, REQUEST_SYNC, REQUEST_SWALLOW, NULL);
	return launch(s, &out, expected, timeout, ops, arg);
}
