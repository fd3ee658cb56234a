#include "pool/connector_attempt.h"

#include "pool/connector.h"
#include "pool/connector_error.h"
#include "pool/connector_params.h"
#include "pool/connector_scram.h"
#include "proxy/base/log.h"

#include <libpq-fe.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define NAME_SIZE 256 /* of a parameter */

/* ---- libpq on the loop ---- */

static void
on_notice(void *arg, const PGresult *r)
{
	struct connector_attempt *a = arg;
	const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

	if (connector_trace_ready((const char *)buf_data(&a->trace.text), buf_len(&a->trace.text)))
		a->late_notice = true;
	log_debug("server \"%s\" says at login: %s", a->host, text != NULL ? text : "nothing");
}

static void
ignore_notice(void *arg, const PGresult *r)
{
	(void)arg;
	(void)r;
}

/* Tracing begins when the startup packet is out: what it holds (names from clients, with any
 * character in them) cannot be mistaken for the server's words then. When libpq begins anew, without
 * TLS, so does the trace. */
static void
set_tracing(struct connector_attempt *a)
{
	ConnStatusType status = PQstatus(a->pg);
	bool wanted = status != CONNECTION_STARTED && status != CONNECTION_MADE &&
		      status != CONNECTION_SSL_STARTUP && status != CONNECTION_NEEDED;

	if (wanted == a->tracing)
		return;
	a->tracing = wanted;
	if (wanted) {
		PQtrace(a->pg, a->trace.file);
		PQsetTraceFlags(a->pg, PQTRACE_SUPPRESS_TIMESTAMPS);
	} else {
		PQuntrace(a->pg);
		connector_trace_clear(&a->trace);
	}
}

static void on_ready(struct watch *, int events);

/* libpq may have another socket after each call, often under the same number: the watch begins anew
 * every time. */
static void
wait_for(struct connector_attempt *a, int events)
{
	set_tracing(a);
	watch_init(&a->watch, on_ready, PQsocket(a->pg));
	watch_start(a->loop, &a->watch, events);
	if (!a->reached && PQstatus(a->pg) != CONNECTION_STARTED) {
		a->reached = true;
		a->ops->reached(a);
	}
}

static void
on_ready(struct watch *w, int events)
{
	struct connector_attempt *a = list_entry(w, struct connector_attempt, watch);
	struct connector_error e;

	(void)events;
	watch_stop(a->loop, &a->watch);
	if (a->logged_in) {
		a->ops->ended(a, NULL);
		return;
	}
	/* not while it connects: reading would take the error that libpq looks for */
	if (PQstatus(a->pg) == CONNECTION_AWAITING_RESPONSE && !PQsslInUse(a->pg) &&
	    connector_scram_peek(PQsocket(a->pg))) {
		connector_error_set(&e,
		    "the server asks for an unreasonable number of SCRAM rounds");
		e.result = CONNECT_REFUSED;
		connector_attempt_close(a);
		a->ops->ended(a, &e);
		return;
	}
	switch (PQconnectPoll(a->pg)) {
	case PGRES_POLLING_READING:
		wait_for(a, WATCH_READ);
		return;
	case PGRES_POLLING_OK:
		/* libev takes a socket out of epoll when an event arrives that nobody waits for. The
		 * socket is writable: with this watch, stopped as soon as it is called, the event
		 * arrives in the turn after that and not when another thread owns (or has closed, and
		 * opened anew) that descriptor. */
		a->logged_in = true;
		wait_for(a, WATCH_WRITE);
		return;
	case PGRES_POLLING_FAILED:
		connector_error_read(PQerrorMessage(a->pg), &e);
		connector_attempt_close(a);
		a->ops->ended(a, &e);
		return;
	default:
		wait_for(a, WATCH_WRITE);
	}
}

void
connector_attempt_init(struct connector_attempt *a, struct loop *loop,
    const struct connector_attempt_ops *ops)
{
	memset(a, 0, sizeof(*a));
	a->ops = ops;
	a->loop = loop;
	watch_init(&a->watch, on_ready, -1);
}

int
connector_attempt_open(struct connector_attempt *a, const struct connect_target *target,
    const char *host, const char *addr, struct connector_error *e)
{
	struct connector_params p;

	if (connector_trace_open(&a->trace) == -1) {
		connector_error_set(e, "out of memory");
		return -1;
	}
	a->host = host;
	a->tracing = a->reached = a->logged_in = a->late_notice = false;
	connector_params_fill(&p, target, host, addr);
	a->pg = PQconnectStartParams(p.key, p.value, 0);
	if (a->pg == NULL) {
		connector_error_set(e, "out of memory");
		goto fail;
	}
	if (PQstatus(a->pg) == CONNECTION_BAD) {
		connector_error_read(PQerrorMessage(a->pg), e);
		goto fail;
	}
	PQsetNoticeReceiver(a->pg, on_notice, a);
	/* the only way to the SQLSTATE of a failed login, see connector_error.h */
	PQsetErrorVerbosity(a->pg, PQERRORS_VERBOSE);
	watch_init(&a->watch, on_ready, PQsocket(a->pg));
	watch_start(a->loop, &a->watch, WATCH_WRITE);
	return 0;
fail:
	connector_attempt_close(a);
	return -1;
}

void
connector_attempt_close(struct connector_attempt *a)
{
	watch_stop(a->loop, &a->watch);
	if (a->pg != NULL) {
		PQuntrace(a->pg);
		connector_finish(a->pg);
	}
	a->pg = NULL;
	connector_trace_close(&a->trace);
}

/* ---- handing over ---- */

/* Nothing that libpq has read may be lost. What it holds beyond ReadyForQuery it parses at once, or
 * in PQisBusy(): a ParameterStatus lands in the trace, anything else shows as notice or
 * notification. */
static bool
is_clean(struct connector_attempt *a)
{
	PGnotify *notify;
	bool clean;

	if (PQisBusy(a->pg) || PQtransactionStatus(a->pg) != PQTRANS_IDLE)
		return false;
	notify = PQnotifies(a->pg);
	clean = notify == NULL && !a->late_notice;
	PQfreemem(notify);
	return clean;
}

/* The list is name NUL value NUL ... */
static bool
has_param(const struct buf *list, const char *name)
{
	const char *at = (const char *)buf_data(list), *end = at + buf_len(list);

	while (at < end) {
		if (strcmp(at, name) == 0)
			return true;
		at += strlen(at) + 1;
		at += strlen(at) + 1;
	}
	return false;
}

/* All that was reported, with the values that libpq holds. */
static int
take_params(struct connector_attempt *a, struct connect_job *job)
{
	const char *text = (const char *)buf_data(&a->trace.text), *value;
	char name[NAME_SIZE];
	struct buf list;
	size_t at = 0;

	buf_init(&list, BUF_CAP_MAX);
	while (connector_trace_parameter(text, buf_len(&a->trace.text), &at, name, sizeof(name))) {
		value = PQparameterStatus(a->pg, name);
		if (value == NULL || (buf_len(&list) > 0 && has_param(&list, name)))
			continue;
		buf_put_str(&list, name);
		buf_put_str(&list, value);
	}
	if (buf_failed(&list) || buf_failed(&a->trace.text) || buf_len(&list) == 0)
		goto done;
	job->params = malloc(buf_len(&list));
	if (job->params == NULL)
		goto done;
	memcpy(job->params, buf_data(&list), buf_len(&list));
	job->params_len = buf_len(&list);
done:
	buf_release(&list);
	return job->params != NULL ? 0 : -1;
}

/* libpq keeps it for reconnecting, which never happens here. */
static void
forget_password(PGconn *pg)
{
	char *password = PQpass(pg);

	if (password != NULL)
		explicit_bzero(password, strlen(password));
}

/* The address for a cancel request. Of a Unix socket: as we see it, for getpeername() would tell the
 * path as the server sees it, maybe in another root. */
static int
take_peer(struct connector_attempt *a, struct connect_job *job)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int n;

	job->unix_socket = a->host[0] == '/' || a->host[0] == '@';
	memset(&job->peer, 0, sizeof(job->peer));
	job->peer_len = sizeof(job->peer);
	if (!job->unix_socket)
		return getpeername(job->fd, (struct sockaddr *)&job->peer, &job->peer_len);
	n = snprintf(un.sun_path, sizeof(un.sun_path), "%s/.s.PGSQL.%d", a->host,
	    job->target->port);
	if (n < 0 || (size_t)n >= sizeof(un.sun_path))
		return -1;
	job->peer_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	else
		job->peer_len++;
	memcpy(&job->peer, &un, sizeof(un));
	return 0;
}

int
connector_attempt_take(struct connector_attempt *a, struct connect_job *job,
    struct connector_error *e)
{
	if (!is_clean(a)) {
		connector_error_set(e, "the server sent something behind its greeting");
		goto fail;
	}
	job->fd = PQsocket(a->pg);
	if (PQsetnonblocking(a->pg, 1) == -1 || take_peer(a, job) == -1 ||
	    take_params(a, job) == -1) {
		connector_error_set(e, "the connection cannot be taken over");
		goto fail;
	}
	job->ssl = PQsslStruct(a->pg, "OpenSSL");
	job->backend_pid = (uint32_t)PQbackendPID(a->pg);
	job->key_len = (uint16_t)connector_trace_key((const char *)buf_data(&a->trace.text),
	    buf_len(&a->trace.text), job->backend_pid, job->key, sizeof(job->key));
	PQuntrace(a->pg);
	PQsetNoticeReceiver(a->pg, ignore_notice, NULL);
	forget_password(a->pg);
	job->pg = a->pg;
	a->pg = NULL;
	connector_attempt_close(a);
	return 0;
fail:
	job->fd = -1;
	connector_attempt_close(a);
	return -1;
}
