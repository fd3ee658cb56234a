#include "proxy/session/session_view.h"

#include "pool/params.h"
#include "pool/pool_view.h"
#include "proxy/session/console_session.h"
#include "proxy/session/prepared.h"
#include "proxy/session/relay.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"

#include <sys/socket.h>

uint64_t
session_view_holder(const struct server *s)
{
	if (s->holder->ops != &relay_holder_ops)
		return 0;
	return list_entry(s->holder, struct session, holder)->id;
}

/* NULL: on its way out, no client any more. */
static const char *
state_of(const struct session *s)
{
	switch (s->state) {
	case SESSION_IDLE:
		return "idle";
	case SESSION_WELCOME:
	case SESSION_QUEUED:
		return "waiting";
	case SESSION_ACTIVE:
	case SESSION_CONSOLE:
		return "active";
	default:
		return NULL;
	}
}

static int64_t
peer_pid(const struct session *s)
{
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);

	if (!s->local_socket ||
	    getsockopt(stream_fd(&s->stream), SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1)
		return 0;
	return peer.pid;
}

static void
client_row(const struct session *s, const char *state, const struct pool_view_sink *k, bool buffers)
{
	uint64_t now_us = loop_now_us(&session_worker(s)->loop), now_ms = now_us / 1000;
	const char *app = params_get(s->params, "application_name");
	bool console = s->state == SESSION_CONSOLE;
	bool waits = s->state == SESSION_QUEUED || s->state == SESSION_WELCOME;
	struct pool_view_socket v = {
		.type = 'C',
		.user = console ? console_user(s->console) : s->user->name,
		.database = console ? "pgsluice" : s->pool->db->quota.name,
		.replication = pool_view_replication(console ? NULL : s->pool->replication),
		.state = state,
		.tls = s->stream.ssl != NULL ? "TLS" : "",
		.application_name = app != NULL ? app : "",
		.connected_ms = s->connected_ms,
		.request_ms = waits ? s->ticket.since_ms : s->request_us / 1000,
		.wait_us = waits ? (now_ms - s->ticket.since_ms) * 1000 : 0,
		.close_needed = s->closing_after,
		.id = s->id,
		.link = s->server != NULL ? s->server->id : 0,
		.remote_pid = peer_pid(s),
		.prepared_statements = prepared_count(s),
		.pkt_remain = s->body_left,
		.send_remain = stream_waiting(&s->stream),
		.pkt_avail = buf_len(&s->in),
	};

	session_peer(s, v.addr, sizeof(v.addr), &v.port);
	pool_view_local(stream_fd(&s->stream), v.local_addr, sizeof(v.local_addr), &v.local_port);
	pool_view_socket(k, &v, now_ms, buffers);
}

void
session_view_clients(struct worker *w, const struct pool_view_sink *k, bool only_active,
    bool buffers)
{
	list_each(n, tmp, &session_set_of(w)->all)
	{
		const struct session *s = list_entry(n, struct session, place);
		const char *state = state_of(s);

		if (state != NULL && !(only_active && s->state != SESSION_ACTIVE))
			client_row(s, state, k, buffers);
	}
}

void
session_view_count(struct worker *w, struct session_view_counts *c)
{
	const struct session_set *set = session_set_of(w);

	list_each(n, tmp, &set->all)
	{
		const struct session *s = list_entry(n, struct session, place);

		if (state_of(s) != NULL)
			c->clients++;
		if (s->state == SESSION_CONSOLE)
			c->consoles++;
	}
	list_each(m, tmp2, &set->logins) c->logins++;
}
