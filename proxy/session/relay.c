/* relay.c -- from the client to the server. */
#include "proxy/session/relay.h"

#include "pool/params.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/prepared.h"
#include "proxy/session/relay_attach.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/session/session_sql.h"
#include "proxy/session/sql_peek.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <string.h>

/* A message up to this size is dealt with when it is whole; larger ones stream through. */
#define WHOLE_MAX (16u * 1024)
/* The largest Parse, which must be whole; and how much a queued client may send ahead. */
#define PARSE_MAX  (16u * 1024 * 1024)
#define QUEUED_MAX (64u * 1024)

void
relay_pass(struct relay_out *o, const uint8_t *p, size_t n)
{
	if (o->end != p) {
		(void)relay_insert(o);
		o->start = p;
	}
	o->end = p + n;
}

struct buf *
relay_insert(struct relay_out *o)
{
	buf_put(o->scratch, o->start, (size_t)(o->end - o->start));
	o->start = o->end = NULL;
	return o->scratch;
}

/* 0, or -1 when the server is lost. */
static int
flush(struct relay_out *o)
{
	struct server *server = o->s->server;
	int ret = 0;

	if (server == NULL)
		return 0;
	if (buf_len(o->scratch) > 0 || buf_failed(o->scratch)) {
		(void)relay_insert(o);
		ret = buf_failed(o->scratch) ? -1
					     : stream_write(&server->stream, buf_data(o->scratch),
						   buf_len(o->scratch));
		buf_clear(o->scratch);
		/* one large statement must not be paid for ever after */
		if (o->scratch->size > WORKER_RBUF_SIZE)
			buf_release(o->scratch);
	} else if (o->end != o->start) {
		ret = stream_write(&server->stream, o->start, (size_t)(o->end - o->start));
	}
	o->start = o->end = NULL;
	return ret;
}

/* Writes the answers that were made up here. 0, or -1 when the client is gone. */
static int
flush_fakes(struct session *s)
{
	struct buf *fakes = &session_set_of(session_worker(s))->fakes;
	int ret;

	if (buf_len(fakes) == 0)
		return 0;
	ret = stream_write(&s->stream, buf_data(fakes), buf_len(fakes));
	buf_clear(fakes);
	return ret;
}

/* ---- one message ---- */

enum step {
	STEP_ON,   /* dealt with: on to the next one */
	STEP_STOP, /* more input, a server or room is needed first */
	STEP_GONE, /* the session is gone */
	STEP_END,  /* the client said goodbye */
	STEP_LOST, /* no memory for what must be remembered of the server */
};

struct message {
	const uint8_t *p;
	size_t have, total; /* bytes that are here, and that there are, header included */
};

static enum step
refuse(struct session *s, const char *text, enum fault f)
{
	(void)session_fail(s, f, text);
	return STEP_GONE;
}

/* Is it a message of the client at all, and is enough of it here? */
static enum step
look(struct session *s, struct message *m)
{
	uint32_t len = pg_get_u32(m->p + 1);
	char text[80];

	if (m->p[0] == 0 || strchr("QFSPBDECHdcfX", m->p[0]) == NULL) {
		snprintf(text, sizeof(text), "invalid frontend message type %u", m->p[0]);
		return refuse(s, text, FAULT_PROTOCOL);
	}
	if (len < 4)
		return refuse(s, "invalid message length", FAULT_PROTOCOL);
	if (len > session_set_of(session_worker(s))->env->cfg->max_packet_size || len > 0x7ffffffe)
		return refuse(s, NULL, FAULT_MESSAGE_TOO_LARGE);
	m->total = (size_t)len + 1;
	if (m->have >= m->total) {
		m->have = m->total;
		return STEP_ON;
	}
	switch (m->p[0]) {
	case 'Q':
	case 'F':
	case 'd':
	case 'B':
		/* of a large Bind the names must be here: they come first */
		return m->total <= WHOLE_MAX || m->have < WHOLE_MAX ? STEP_STOP : STEP_ON;
	case 'P':
		if (m->total > PARSE_MAX)
			return refuse(s, "a Parse message may have 16 MB", FAULT_MESSAGE_TOO_LARGE);
		return STEP_STOP;
	default:
		if (m->total > WHOLE_MAX)
			return refuse(s, "message contents too long for its type", FAULT_PROTOCOL);
		return STEP_STOP;
	}
}

/* Messages that make sense without a server: nothing has been asked, so the answer is known. */
static bool
answer_without_server(struct session *s, const struct message *m)
{
	struct buf *fakes = &session_set_of(session_worker(s))->fakes;

	switch (m->p[0]) {
	case 'S':
		pgwrite_ready(fakes, 'I');
		return true;
	case 'P':
	case 'C':
		return prepared_without_server(s, m->p, m->total, fakes);
	case 'H':
	case 'd': /* PostgreSQL ignores the rest of a failed COPY */
	case 'c':
	case 'f':
		return true;
	default:
		return false;
	}
}

static bool
expect(struct session *s, enum request_kind kind)
{
	return server_expect(s->server, kind, REQUEST_FORWARD, NULL);
}

static bool
mode_shares(const struct session *s)
{
	return atomic_load_explicit(&s->pool->rules.mode, memory_order_relaxed) != POOL_SESSION;
}

static bool
is_deallocate(struct session *s, struct relay_out *o, const struct message *m)
{
	char name[256];

	return s->statements != NULL && m->have == m->total && m->total < 512 &&
	       sql_peek_deallocate((const char *)m->p + PGMSG_HEADER, m->total - PGMSG_HEADER, name,
		   sizeof(name)) &&
	       prepared_deallocate(s, o, name);
}

static bool
dispatch(struct session *s, struct relay_out *o, const struct message *m)
{
	/* after an error the server skips to the next Sync: nothing to map, nothing to remember */
	bool mapped = prepared_is_on(s) && !s->server->requests.skipping;

	switch (m->p[0]) {
	case 'Q':
		if (mapped && is_deallocate(s, o, m))
			return true;
		prepared_forget_unnamed(s);
		s->server->unnamed_of = 0;
		relay_pass(o, m->p, m->have);
		if (!expect(s, REQUEST_QUERY))
			return false;
		if (mode_shares(s)) {
			session_sql_query(s, (const char *)m->p + PGMSG_HEADER,
			    m->have - PGMSG_HEADER);
			/* what is still to come is not looked at: it may set anything */
			if (m->have < m->total)
				session_sql_hints(s, SQL_SETS);
		}
		return true;
	case 'F':
		relay_pass(o, m->p, m->have);
		return expect(s, REQUEST_FUNCTION);
	case 'S':
		relay_pass(o, m->p, m->have);
		return expect(s, REQUEST_SYNC) && prepared_after_sync(s, o);
	case 'P':
		if (mapped)
			return prepared_parse(s, o, m->p, m->total);
		relay_pass(o, m->p, m->have);
		return expect(s, REQUEST_PARSE);
	case 'B':
		return (mapped ? prepared_bind(s, o, m->p, m->have, m->total)
			       : (relay_pass(o, m->p, m->have), true)) &&
		       expect(s, REQUEST_BIND);
	case 'D':
		return (mapped ? prepared_describe(s, o, m->p, m->total)
			       : (relay_pass(o, m->p, m->have), true)) &&
		       expect(s, REQUEST_DESCRIBE);
	case 'C':
		if (mapped)
			return prepared_close(s, o, m->p, m->total);
		relay_pass(o, m->p, m->have);
		return expect(s, REQUEST_CLOSE);
	case 'E':
		relay_pass(o, m->p, m->have);
		return expect(s, REQUEST_EXECUTE);
	case 'c':
	case 'f':
		relay_pass(o, m->p, m->have);
		return expect(s, REQUEST_COPY_END);
	default:
		relay_pass(o, m->p, m->have);
		return true;
	}
}

static enum step
take_message(struct session *s, struct relay_out *o, struct message *m)
{
	enum step step = look(s, m);

	if (step != STEP_ON)
		return step;
	if (m->p[0] == 'X')
		return STEP_END;
	if (s->server == NULL) {
		if (answer_without_server(s, m)) {
			s->body_left = (uint32_t)(m->total - m->have);
			return STEP_ON;
		}
		if (!relay_attach(s, o))
			return STEP_STOP;
	}
	/* it would run with another client's parameters */
	if (s->params_failed)
		return STEP_LOST;
	if (s->server->requests.count >= REQUESTS_HIGH || prepared_must_wait(s, m->p, m->have)) {
		stream_pause(&s->stream);
		return STEP_STOP;
	}
	if (s->request_us == 0 && strchr("Hdcf", m->p[0]) == NULL) {
		s->request_us = loop_now_us(&session_worker(s)->loop);
		if (s->server->status == 'I')
			s->xact_us =
			    s->request_us; /* in session pooling the server was there before */
		if (relay_has_time_limits(s))
			session_arm(s);
	}
	if (!dispatch(s, o, m))
		return STEP_LOST;
	s->body_left = (uint32_t)(m->total - m->have);
	return STEP_ON;
}

/* ---- a chunk of input ---- */

/* The rest of a large message that has begun. */
static const uint8_t *
continue_body(struct session *s, struct relay_out *o, const uint8_t *p, const uint8_t *end)
{
	size_t n = (size_t)(end - p);

	if (n > s->body_left)
		n = s->body_left;
	if (s->server != NULL)
		relay_pass(o, p, n);
	s->body_left -= (uint32_t)n;
	return p + n;
}

static bool
after_chunk(struct session *s, struct relay_out *o, enum step step, const uint8_t *p,
    const uint8_t *end)
{
	bool lost;

	if (step == STEP_LOST) {
		/* what the server was sent and what it is believed to owe may differ: for nobody else */
		if (s->server != NULL)
			s->server->close_when_free = true;
		buf_clear(o->scratch);
		o->start = o->end = NULL;
	}
	lost = flush(o) == -1;
	if (step == STEP_END) {
		buf_clear(&session_set_of(session_worker(s))->fakes);
		session_end(s, "client close request");
		return false;
	}
	if (flush_fakes(s) == -1) {
		session_end(s, "client went away");
		return false;
	}
	buf_put(&s->in, p, (size_t)(end - p));
	if (step == STEP_LOST && prepared_count(s) >= PREPARED_NAMES_MAX)
		return session_fail(s, FAULT_TOO_MANY_STATEMENTS, NULL);
	if (buf_failed(&s->in) || step == STEP_LOST)
		return session_fail(s, FAULT_MEMORY, NULL);
	if (lost)
		return relay_server_lost(s);
	if (s->server != NULL && s->body_left > 0) {
		/* the rest of a message that was begun may not keep the server for ever */
		s->server->request_us = loop_now_us(&session_worker(s)->loop);
		session_arm(s);
	}
	if (s->server != NULL && stream_is_high(&s->server->stream))
		stream_pause(&s->stream);
	return relay_settle(s);
}

bool
relay_feed(struct session *s, const uint8_t *p, size_t n)
{
	struct session_set *set = session_set_of(session_worker(s));
	struct relay_out o = { .s = s, .scratch = &set->scratch };
	const uint8_t *end = p + n;
	enum step step = STEP_ON;

	s->pool->db->stats[session_worker(s)->index].received += n;
	if (s->body_left > 0)
		p = continue_body(s, &o, p, end);
	while (end - p >= PGMSG_HEADER) {
		struct message m = { .p = p, .have = (size_t)(end - p) };

		step = take_message(s, &o, &m);
		if (step == STEP_GONE) {
			buf_clear(o.scratch);
			buf_clear(&set->fakes);
			return false;
		}
		if (step != STEP_ON)
			break;
		p += m.have;
	}
	return after_chunk(s, &o, step, p, end);
}

/* A queued client sends ahead, up to a bound; that it goes away is noticed at once. */
static bool
read_ahead(struct session *s)
{
	ssize_t n = stream_read(&s->stream, session_worker(s)->rbuf, QUEUED_MAX);

	if (n == -1) {
		session_end(s, "client unexpected eof");
		return false;
	}
	buf_put(&s->in, session_worker(s)->rbuf, (size_t)n);
	if (buf_failed(&s->in))
		return session_fail(s, FAULT_MEMORY, NULL);
	if (buf_len(&s->in) >= QUEUED_MAX)
		stream_pause(&s->stream);
	return true;
}

bool
relay_client_readable(struct session *s)
{
	uint8_t *rbuf = session_worker(s)->rbuf;
	size_t kept = buf_len(&s->in);
	ssize_t n;

	if (s->state == SESSION_QUEUED || s->state == SESSION_WELCOME)
		return read_ahead(s);
	if (stream_is_high(&s->stream)) {
		stream_pause(&s->stream);
		return true;
	}
	if (kept + PGMSG_HEADER > WORKER_RBUF_SIZE / 2)
		return relay_read_large(s);
	if (kept > 0)
		memcpy(rbuf, buf_data(&s->in), kept);
	n = stream_read(&s->stream, rbuf + kept, WORKER_RBUF_SIZE - kept);
	if (n == 0)
		return true;
	if (n == -1) {
		session_end(s, "client unexpected eof");
		return false;
	}
	if (kept > 0)
		buf_release(&s->in);
	return relay_feed(s, rbuf, kept + (size_t)n);
}

bool
relay_refeed(struct session *s)
{
	struct buf mine = s->in;
	bool alive;

	buf_init(&s->in, mine.cap);
	alive = buf_len(&mine) == 0 || relay_feed(s, buf_data(&mine), buf_len(&mine));
	buf_release(&mine);
	return alive;
}

/* A message that must be whole has outgrown the read buffer: it is collected in memory of its own. */
bool
relay_read_large(struct session *s)
{
	uint32_t total = pg_get_u32(buf_data(&s->in) + 1) + 1;
	uint32_t want = total > buf_len(&s->in) ? total - buf_len(&s->in) : 0;
	uint8_t *room = buf_reserve(&s->in, want > WORKER_RBUF_SIZE ? WORKER_RBUF_SIZE : want);
	ssize_t n;

	if (room == NULL)
		return session_fail(s, FAULT_MEMORY, NULL);
	n = want == 0
		? 0
		: stream_read(&s->stream, room, want > WORKER_RBUF_SIZE ? WORKER_RBUF_SIZE : want);
	if (n == -1) {
		session_end(s, "client unexpected eof");
		return false;
	}
	buf_commit(&s->in, (size_t)n);
	return buf_len(&s->in) < total ? true : relay_refeed(s);
}
