#include "proxy/session/session_time.h"

#include "proxy/config/config.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>

/* How long a client may take to read its last message before we close on it. */
#define CLOSING_MS 1000
/* How long a large message that has a server may stop half-way. */
#define MESSAGE_MS 20000

/* One limit that holds in the present state: when it is reached and what it is. */
struct limit {
	uint64_t at;
	enum fault fault;
};

static void
consider(struct limit *l, uint64_t since, int64_t span, enum fault f)
{
	if (span <= 0 || since + (uint64_t)span >= l->at)
		return;
	l->at = since + (uint64_t)span;
	l->fault = f;
}

static int64_t
rule(const _Atomic int64_t *r)
{
	return atomic_load_explicit(r, memory_order_relaxed);
}

static struct limit
active_limit(const struct session *s)
{
	const struct pool_rules *r = &s->pool->rules;
	struct limit l = { WHEEL_NEVER, FAULT_NONE };

	if (s->server == NULL)
		return l;
	if (s->server->status != 'I' || s->request_us != 0)
		consider(&l, s->xact_us / 1000, rule(&r->transaction_timeout),
		    FAULT_TRANSACTION_TIMEOUT);
	if (s->request_us != 0)
		consider(&l, s->request_us / 1000, rule(&r->query_timeout), FAULT_QUERY_TIMEOUT);
	else if (s->server->status != 'I')
		consider(&l, s->server->request_us / 1000, rule(&r->idle_transaction_timeout),
		    FAULT_IDLE_IN_TRANSACTION);
	else
		consider(&l, s->server->request_us / 1000, rule(&r->client_idle_timeout),
		    FAULT_IDLE_TIMEOUT);
	if (s->body_left > 0)
		consider(&l, s->server->request_us / 1000, MESSAGE_MS, FAULT_MESSAGE_TIMEOUT);
	return l;
}

static struct limit
current_limit(const struct session *s)
{
	struct limit l = { WHEEL_NEVER, FAULT_NONE };

	switch (s->state) {
	case SESSION_STARTUP:
	case SESSION_TLS:
	case SESSION_LOGIN:
		consider(&l, s->connected_ms,
		    session_set_of(session_worker(s))->env->cfg->client_login_timeout,
		    FAULT_LOGIN_TIMEOUT);
		break;
	case SESSION_WELCOME:
	case SESSION_QUEUED:
		consider(&l, s->ticket.since_ms, rule(&s->pool->rules.query_wait_timeout),
		    FAULT_QUEUE_TIMEOUT);
		if (!s->told_of_wait && s->state == SESSION_QUEUED)
			consider(&l, s->ticket.since_ms, rule(&s->pool->rules.query_wait_notify),
			    FAULT_NONE);
		break;
	case SESSION_IDLE:
		consider(&l, session_now_ms(s), rule(&s->pool->rules.client_idle_timeout),
		    FAULT_IDLE_TIMEOUT);
		break;
	case SESSION_ACTIVE:
		return active_limit(s);
	case SESSION_CLOSING:
		consider(&l, session_now_ms(s), CLOSING_MS, FAULT_NONE);
		break;
	default:
		break;
	}
	return l;
}

void
session_arm(struct session *s)
{
	struct limit l = current_limit(s);

	if (l.at == WHEEL_NEVER)
		wheel_clear(&s->deadline);
	else
		loop_deadline(&session_worker(s)->loop, &s->deadline, l.at);
}

/* The real reason goes to who waited in vain. */
static void
fail_waiting(struct session *s)
{
	char sqlstate[6], why[512], message[640];

	if (pool_failure(s->pool, sqlstate, sizeof(sqlstate), why, sizeof(why))) {
		snprintf(message, sizeof(message),
		    "query_wait_timeout: cannot connect to the server: %s", why);
		(void)session_fail_as(s, sqlstate, message, NULL);
		return;
	}
	(void)session_fail(s, FAULT_QUEUE_TIMEOUT, NULL);
}

static void
tell_of_wait(struct session *s)
{
	struct buf out;

	s->told_of_wait = true;
	buf_init(&out, BUF_CAP_MAX);
	pgwrite_notice(&out, "NOTICE", "00000",
	    "all server connections of this pool are busy; the request waits for one", NULL);
	(void)stream_write(&s->stream, buf_data(&out), buf_len(&out));
	buf_release(&out);
	session_arm(s);
}

void
session_on_deadline(struct deadline *d)
{
	struct session *s = list_entry(d, struct session, deadline);
	struct limit l = current_limit(s);
	uint64_t now = session_now_ms(s);

	/* the times of these two start when they are entered, which is when the deadline was set */
	if (s->state == SESSION_CLOSING) {
		session_end(s, NULL);
		return;
	}
	if (s->state == SESSION_IDLE) {
		(void)session_fail(s, FAULT_IDLE_TIMEOUT, NULL);
		return;
	}
	if (l.at > now) {
		session_arm(s);
		return;
	}
	if (l.fault == FAULT_QUEUE_TIMEOUT)
		fail_waiting(s);
	else if (l.fault == FAULT_NONE)
		tell_of_wait(s);
	else
		(void)session_fail(s, l.fault, NULL);
}
