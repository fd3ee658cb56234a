/* relay_server.c -- from the server to the client. */
#include "pool/params.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/prepared.h"
#include "proxy/session/relay.h"
#include "proxy/session/relay_attach.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/session/session_sql.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <string.h>

/* One read's worth of bytes on its way to the client. */
struct delivery {
	struct server_sink sink;
	struct session *s;
	bool client_gone;
	bool
	    refused; /* statement pooling: a transaction was begun, its answer is not for the client */
};

static void
deliver(struct server_sink *sink, const uint8_t *p, size_t n)
{
	struct delivery *d = list_entry(sink, struct delivery, sink);

	if (d->refused || d->s->params_failed)
		return;
	d->s->pool->db->stats[session_worker(d->s)->index].sent += n;
	if (!d->client_gone && stream_write(&d->s->stream, p, n) == -1)
		d->client_gone = true;
}

/* A report of a value that the client has been told already is not news. */
static bool
is_news(const struct session *s, const uint8_t *payload, size_t n)
{
	struct pgcur c = pgcur_over(payload, n);
	const char *name = pgcur_str(&c), *value = pgcur_str(&c), *known;

	if (!pgcur_ok(&c) || s->server == NULL)
		return true;
	known = params_get(s->params, name);
	return known == NULL || strcmp(known, value) != 0;
}

static void
note_error(struct session *s, const uint8_t *payload, size_t n)
{
	struct pgmsg_error e;

	(void)pgmsg_error(payload, n, &e);
	if (strcmp(e.severity, "FATAL") == 0 || strcmp(e.severity, "PANIC") == 0)
		s->server_said_bye = true;
}

static void
count_answer(struct session *s, struct server *server)
{
	struct stats *st = &s->pool->db->stats[session_worker(s)->index];
	uint64_t now = loop_now_us(&session_worker(s)->loop);

	st->queries++;
	if (s->request_us != 0)
		st->query_us += now - s->request_us;
	s->request_us = requests_idle(&server->requests) ? 0 : now;
	server->request_us = now;
	if (server->status != 'I')
		return;
	st->xacts++;
	st->xact_us += now - s->xact_us;
	s->xact_us = now;
}

static enum request_verdict
on_event(struct server_sink *sink, struct server *server, uint8_t type, const uint8_t *payload,
    size_t n, enum request_verdict v)
{
	struct delivery *d = list_entry(sink, struct delivery, sink);
	struct session *s = d->s;

	switch (type) {
	case 'Z':
		if (v != REQUEST_PASS)
			break;
		count_answer(s, server);
		if (server->status != 'I' && atomic_load_explicit(&s->pool->rules.mode,
						 memory_order_relaxed) == POOL_STATEMENT)
			d->refused = true;
		break;
	case 'E':
		if (v == REQUEST_PASS)
			note_error(s, payload, n);
		break;
	case 'S':
		if (v == REQUEST_PASS && !is_news(s, payload, n))
			return REQUEST_DROP;
		break;
	case 'C':
		if (v != REQUEST_PASS)
			break;
		prepared_command_tag(s, (const char *)payload, n);
		session_sql_tag(s, (const char *)payload, n);
		break;
	default:
		break;
	}
	return v;
}

/* Everything that was asked has been answered. */
static bool
answered(struct session *s, struct server *server)
{
	int mode = atomic_load_explicit(&s->pool->rules.mode, memory_order_relaxed);

	if (s->state == SESSION_ACTIVE && relay_has_time_limits(s))
		session_arm(s);
	if (server->status != 'I')
		return true;
	if (s->body_left > 0)
		return true;
	if (mode == POOL_SESSION || s->pinned) {
		if (atomic_load_explicit(&s->pool->rules.client_idle_timeout,
			memory_order_relaxed) > 0)
			session_arm(s);
		return s->closing_after ? session_fail(s, FAULT_SHUTDOWN, NULL) : true;
	}
	/* a tainted one goes back too: to be closed */
	return server_is_clean(server) || server->requests.tainted ? relay_release(s) : true;
}

static bool
server_readable(struct server_holder *h, struct server *server)
{
	struct session *s = list_entry(h, struct session, holder);
	struct delivery d = {
		.sink = { .bytes = deliver,
		    .event = on_event,
		    .fakes = &session_set_of(session_worker(s))->fakes },
		.s = s,
	};
	enum pump_result r = server_pump(server, &d.sink);

	if (d.client_gone) {
		session_end(s, "client went away");
		return false;
	}
	if (s->params_failed)
		return session_fail(s, FAULT_PARAMETER, NULL);
	if (d.refused)
		return session_fail(s, FAULT_STATEMENT_POOLING, NULL);
	if (r == PUMP_LOST)
		return relay_server_lost(s);
	if (r == PUMP_BAD) {
		server->close_when_free = true;
		return session_fail(s, FAULT_SERVER_PROTOCOL, NULL);
	}
	if (stream_is_high(&s->stream))
		stream_pause(&server->stream);
	if (s->stream.paused && server->requests.count < REQUESTS_HIGH / 2 &&
	    !server_is_unsure(server) && !stream_is_high(&server->stream)) {
		stream_resume(&s->stream);
		if (!relay_refeed(s) || s->server != server)
			return false;
	}
	if (requests_idle(&server->requests))
		return answered(s, server) && s->server == server;
	return true;
}

/* The server has taken what waited for it: the client may go on. */
static bool
server_drained(struct server_holder *h, struct server *server)
{
	struct session *s = list_entry(h, struct session, holder);

	stream_resume(&s->stream);
	return relay_refeed(s) && s->server == server && relay_settle(s) && s->server == server;
}

static void
fake(struct server_holder *h, struct server *server, enum request_kind kind)
{
	struct session *s = list_entry(h, struct session, holder);

	(void)server;
	pgwrite_empty(&session_set_of(session_worker(s))->fakes, kind == REQUEST_PARSE ? '1' : '3');
}

static void
settled(struct server_holder *h, struct server *server, const struct request *r, bool ok)
{
	struct session *s = list_entry(h, struct session, holder);
	struct server_note *note = r->note;

	(void)server;
	if (note->client == &prepared_params_mark) {
		if (!ok)
			s->params_failed = true;
		return;
	}
	if (note == &server_unnamed_note)
		prepared_forget_unnamed(s);
	else
		prepared_settled(s, note->client, ok);
}

const struct server_holder_ops relay_holder_ops = {
	.readable = server_readable,
	.drained = server_drained,
	.settled = settled,
	.fake = fake,
};
