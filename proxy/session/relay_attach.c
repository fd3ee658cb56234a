#include "proxy/session/relay_attach.h"

#include "pool/params.h"
#include "pool/reset.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/login.h"
#include "proxy/session/prepared.h"
#include "proxy/session/relay.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/session/session_sql.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdlib.h>
#include <string.h>

static int64_t
rule(const _Atomic int64_t *r)
{
	return atomic_load_explicit(r, memory_order_relaxed);
}

bool
relay_has_time_limits(const struct session *s)
{
	const struct pool_rules *r = &s->pool->rules;

	return rule(&r->query_timeout) > 0 || rule(&r->transaction_timeout) > 0 ||
	       rule(&r->idle_transaction_timeout) > 0;
}

/* Puts a query before the client's first message that gives the server this client's parameters. */
static void
align_params(struct session *s, struct relay_out *o)
{
	struct server *server = s->server;
	struct server_note *note;
	struct buf sql;

	if (server->params == s->params)
		return;
	note = calloc(1, sizeof(*note));
	buf_init(&sql, 4 * PARAMS_BYTES_MAX);
	params_sql(server->params, s->params, &sql);
	buf_put_u8(&sql, '\0');
	if (note == NULL || buf_failed(&sql)) {
		free(note);
		buf_release(&sql);
		s->params_failed = true;
		return;
	}
	note->client = &prepared_params_mark;
	note->no_matter = true;
	pgwrite_query(relay_insert(o), (const char *)buf_data(&sql));
	buf_release(&sql);
	server->unnamed_of = 0;
	params_unref(server->params);
	server->params = params_ref(s->params);
	if (!server_expect(server, REQUEST_QUERY, REQUEST_SWALLOW, note))
		s->params_failed = true;
}

static void
join(struct session *s, struct server *server, struct relay_out *o)
{
	struct stats *st = &s->pool->db->stats[session_worker(s)->index];
	uint64_t now = loop_now_us(&session_worker(s)->loop);

	server_hold(server, &s->holder, SERVER_ACTIVE);
	server->used = true;
	server->request_us = now;
	s->server = server;
	s->xact_us = now;
	st->server_assignments++;
	atomic_fetch_add_explicit(&pool_local(s->pool, session_worker(s))->n_clients_active, 1,
	    memory_order_relaxed);
	session_enter(s, SESSION_ACTIVE);
	align_params(s, o);
}

bool
relay_attach(struct session *s, struct relay_out *o)
{
	struct server *server;

	/* the deadline of the queue counts from here */
	s->ticket.since_ms = session_now_ms(s);
	server = pool_take(s->pool, session_worker(s), &s->ticket);
	if (server != NULL) {
		join(s, server, o);
		return true;
	}
	s->told_of_wait = false;
	session_enter(s, SESSION_QUEUED);
	return false;
}

static void
granted(struct pool_ticket *t, struct server *server)
{
	struct session *s = list_entry(t, struct session, ticket);
	struct relay_out o = { .s = s, .scratch = &session_set_of(session_worker(s))->scratch };
	struct stats *st = &s->pool->db->stats[session_worker(s)->index];

	st->wait_us += (session_now_ms(s) - t->since_ms) * 1000;
	if (s->state == SESSION_WELCOME) {
		login_granted(s, server);
		return;
	}
	join(s, server, &o);
	/* relay_feed() goes on in the same scratch buffer */
	stream_resume(&s->stream);
	(void)relay_refeed(s);
}

static void
refused(struct pool_ticket *t, const struct pool_refusal *why)
{
	(void)session_fail_as(list_entry(t, struct session, ticket), why->sqlstate, why->message,
	    NULL);
}

const struct pool_ticket_ops relay_ticket_ops = { .granted = granted, .refused = refused };

/* What the server reported goes into what the client wants from the next one. */
static void
follow(void *arg, const char *name, const char *value)
{
	struct session *s = arg;
	struct params *p = params_with(s->params, name, value);

	if (p != NULL)
		s->params = p;
}

bool
relay_release(struct session *s)
{
	struct server *server = s->server;

	if (s->touched && server_is_clean(server)) {
		atomic_fetch_sub_explicit(&pool_local(s->pool, session_worker(s))->n_clients_active,
		    1, memory_order_relaxed);
		return session_sql_snapshot(s);
	}
	if (server->params != s->params)
		params_each(server->params, follow, s);
	s->server = NULL;
	atomic_fetch_sub_explicit(&pool_local(s->pool, session_worker(s))->n_clients_active, 1,
	    memory_order_relaxed);
	session_enter(s, SESSION_IDLE);
	if (atomic_load_explicit(&s->pool->rules.reset_always, memory_order_relaxed)) {
		reset_server(server, true);
	} else {
		server_let_go(server);
		pool_give_back(server);
	}
	if (s->closing_after)
		return session_fail(s, FAULT_SHUTDOWN, NULL);
	return true;
}

bool
relay_settle(struct session *s)
{
	struct server *server = s->server;

	if (server == NULL || server->status != 'I' || s->body_left > 0 || buf_len(&s->in) > 0 ||
	    s->request_us != 0 || s->pinned ||
	    atomic_load_explicit(&s->pool->rules.mode, memory_order_relaxed) == POOL_SESSION ||
	    !server_is_clean(server))
		return true;
	return relay_release(s);
}

bool
relay_server_lost(struct session *s)
{
	struct buf nothing = { .cap = 1 };

	s->server->close_when_free = true;
	if (s->server_said_bye)
		return session_last_word(s, &nothing, "the server closed the connection");
	return session_fail(s, FAULT_SERVER_LOST, NULL);
}

bool
relay_cancel_queued(struct session *s)
{
	struct buf *fakes = &session_set_of(session_worker(s))->fakes;
	bool ended = false;

	if (!pool_is_queued(&s->ticket))
		return true; /* it is not in the queue but waits for its parameters to be saved */
	pool_withdraw(s->pool, session_worker(s), &s->ticket);
	/* the request that waits, up to and with the message that would have ended it */
	while (!ended && buf_len(&s->in) >= PGMSG_HEADER) {
		const uint8_t *p = buf_data(&s->in);
		uint32_t total = pg_get_u32(p + 1) + 1;

		if (total > buf_len(&s->in))
			return session_fail_as(s, "57014",
			    "canceling statement due to user request", NULL);
		ended = p[0] == 'Q' || p[0] == 'S' || p[0] == 'F';
		buf_consume(&s->in, total);
	}
	if (!ended)
		return session_fail_as(s, "57014", "canceling statement due to user request", NULL);
	pgwrite_error(fakes, "ERROR", "57014", "canceling statement due to user request", NULL,
	    NULL);
	pgwrite_ready(fakes, 'I');
	if (stream_write(&s->stream, buf_data(fakes), buf_len(fakes)) == -1) {
		buf_clear(fakes);
		session_end(s, "client went away");
		return false;
	}
	buf_clear(fakes);
	session_enter(s, SESSION_IDLE);
	stream_resume(&s->stream);
	return relay_refeed(s);
}
