#include "proxy/session/session.h"

#include "pool/params.h"
#include "pool/reset.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/console_session.h"
#include "proxy/session/login.h"
#include "proxy/session/prepared.h"
#include "proxy/session/relay.h"
#include "proxy/session/relay_attach.h"
#include "proxy/session/session_set.h"
#include "proxy/session/session_time.h"
#include "proxy/session/startup.h"
#include "proxy/wire/pgwrite.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define IN_CAP (32u * 1024 * 1024)

static const struct {
	const char *name, *waits_for;
	unsigned next;
} states[SESSION_STATES] = {
#define STATE(name, waits_for, next) [SESSION_##name] = { #name, waits_for, next },
#define TO(s)			     (1u << SESSION_##s)
#include "proxy/session/session_states.def"
#undef STATE
};

void
session_enter(struct session *s, enum session_state next)
{
	assert(states[s->state].next & (1u << next));
	s->state = (uint8_t)next;
	session_arm(s);
}

const char *
session_waits_for(const struct session *s)
{
	return states[s->state].waits_for;
}

/* ---- names for logs ---- */

void
session_peer(const struct session *s, char *addr, size_t n, int *port)
{
	*port = s->peer_port;
	if (s->peer_family == AF_UNIX ||
	    inet_ntop(s->peer_family, s->peer_addr, addr, (socklen_t)n) == NULL)
		snprintf(addr, n, "unix");
}

const char *
session_name(const struct session *s, char *out, size_t n)
{
	char addr[INET6_ADDRSTRLEN];
	int port;

	session_peer(s, addr, sizeof(addr), &port);
	snprintf(out, n, "C-%llu: %s/%s@%s:%d", (unsigned long long)s->id,
	    s->pool != NULL ? s->pool->db->quota.name : "(nodb)",
	    s->user != NULL ? s->user->name : "(nouser)", addr, port);
	return out;
}

/* ---- events of the client's socket ---- */

static bool
discard_input(struct session *s)
{
	ssize_t n = stream_read(&s->stream, session_worker(s)->rbuf, WORKER_RBUF_SIZE);

	if (n != -1)
		return true;
	session_end(s, NULL);
	return false;
}

static bool
on_readable(struct stream *st)
{
	struct session *s = session_of_stream(st);

	switch (s->state) {
	case SESSION_STARTUP:
		return startup_readable(s);
	case SESSION_LOGIN:
		return login_readable(s);
	case SESSION_CLOSING:
		return discard_input(s);
	case SESSION_CONSOLE:
		return console_readable(s);
	default:
		return relay_client_readable(s);
	}
}

static bool
on_drained(struct stream *st)
{
	struct session *s = session_of_stream(st);

	if (s->state == SESSION_CLOSING) {
		(void)shutdown(stream_fd(st), SHUT_WR);
		return true;
	}
	if (s->server != NULL)
		stream_resume(&s->server->stream);
	if (s->state != SESSION_IDLE && s->state != SESSION_ACTIVE)
		return true;
	/* requests are not read from a client that does not read its answers: now it does */
	stream_resume(st);
	return relay_refeed(s);
}

static bool
on_secured(struct stream *st, bool ok)
{
	return startup_secured(session_of_stream(st), ok);
}

static const struct stream_ops stream_ops = {
	.readable = on_readable,
	.drained = on_drained,
	.secured = on_secured,
};

/* ---- begin ---- */

static void
note_peer(struct session *s, const struct sockaddr_storage *peer)
{
	s->peer_family = (uint8_t)peer->ss_family;
	if (peer->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)peer;

		memcpy(s->peer_addr, &in->sin_addr, sizeof(in->sin_addr));
		s->peer_port = ntohs(in->sin_port);
	} else if (peer->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)peer;

		memcpy(s->peer_addr, &in6->sin6_addr, sizeof(in6->sin6_addr));
		s->peer_port = ntohs(in6->sin6_port);
	} else {
		s->peer_family = AF_UNIX;
		s->local_socket = true;
	}
}

void
session_open(struct worker *w, int fd, const struct sockaddr_storage *peer)
{
	struct session_set *set = session_set_of(w);
	struct session *s = calloc(1, sizeof(*s));

	if (s == NULL || !session_set_number(set, s)) {
		free(s);
		close(fd);
		return;
	}
	s->id = atomic_fetch_add_explicit(&set->totals->last_id, 1, memory_order_relaxed) + 1;
	s->connected_ms = loop_now_ms(&w->loop);
	s->holder.ops = &relay_holder_ops;
	s->ticket.ops = &relay_ticket_ops;
	s->params = params_empty();
	list_init(&s->ticket.place);
	list_init(&s->place);
	deadline_init(&s->deadline, session_on_deadline);
	buf_init(&s->in, IN_CAP);
	note_peer(s, peer);
	stream_init(&s->stream, fd, &stream_ops);
	stream_open(&s->stream, &w->loop);
	session_arm(s);
	/* what it has sent already is read at once: most often the startup packet is there. But first room
	 * is made for it, which may end another session -- or, when nobody else waits, this one. */
	if (session_set_login_begins(set, s))
		(void)startup_readable(s);
}

/* ---- end ---- */

/* Does server_reset_query leave nothing of a session behind? */
static bool
resets_all(const struct worker *w)
{
	const char *sql = pool_worker(w)->cfg->server_reset_query;

	return sql != NULL && strncasecmp(sql, "discard all", 11) == 0;
}

/* Gives up all that it holds but the socket. */
static void
let_go(struct session *s)
{
	struct session_set *set = session_set_of(session_worker(s));
	struct server *server = s->server;

	if (server != NULL) {
		int mode = atomic_load(&s->pool->rules.mode);
		bool dirty = s->pinned || s->touched;
		bool full = dirty || mode == POOL_SESSION ||
			    atomic_load(&s->pool->rules.reset_always);

		/* while the session is whole: unanswered requests are undone in it */
		s->server = NULL;
		atomic_fetch_sub_explicit(&pool_local(s->pool, session_worker(s))->n_clients_active,
		    1, memory_order_relaxed);
		if (dirty && mode != POOL_SESSION && !resets_all(session_worker(s)))
			server->close_when_free = true;
		reset_server(server, full);
	}
	if (s->pool != NULL)
		pool_withdraw(s->pool, session_worker(s), &s->ticket);
	if (s->state <= SESSION_WELCOME) {
		login_free(s->login);
		s->login = NULL;
	}
	if (s->state < SESSION_WELCOME) {
		session_set_login_ends(set, s);
	} else if (s->state == SESSION_CONSOLE) {
		console_session_free(s->console);
		s->console = NULL;
		list_del(&s->place);
	} else {
		list_del(&s->place);
	}
	if (s->counted) {
		pool_client_leaves(s->pool, s->user, session_worker(s));
		session_set_leave(set);
		s->counted = false;
	}
	session_set_forget(set, s);
	prepared_free(s->statements);
	s->statements = NULL;
	params_unref(s->params);
	s->params = NULL;
	if (s->key_len > sizeof(s->key)) {
		explicit_bzero(s->long_key, s->key_len);
		free(s->long_key);
	}
	s->key_len = 0;
	buf_release(&s->in);
}

static void
log_end(struct session *s, const char *reason)
{
	char name[256];

	if (reason == NULL || !session_set_of(session_worker(s))->env->cfg->log_disconnections)
		return;
	log_info("%s closing because: %s (age=%llus)", session_name(s, name, sizeof(name)), reason,
	    (unsigned long long)((session_now_ms(s) - s->connected_ms) / 1000));
}

void
session_end(struct session *s, const char *reason)
{
	log_end(s, reason);
	if (s->state != SESSION_CLOSING)
		let_go(s);
	else
		list_del(&s->place);
	loop_deadline_remove(&session_worker(s)->loop, &s->deadline);
	pool_unref(s->pool);
	stream_close(&s->stream, true);
	free(s);
}

bool
session_last_word(struct session *s, struct buf *out, const char *reason)
{
	bool sent = !buf_failed(out) && stream_write(&s->stream, buf_data(out), buf_len(out)) == 0;

	buf_release(out);
	if (!sent) {
		session_end(s, reason);
		return false;
	}
	log_end(s, reason);
	let_go(s);
	session_enter(s, SESSION_CLOSING);
	list_push_back(&session_set_of(session_worker(s))->all, &s->place);
	/* closing now would send a reset when input is waiting, and the reset would overtake the message */
	if (stream_waiting(&s->stream) == 0)
		(void)shutdown(stream_fd(&s->stream), SHUT_WR);
	stream_resume(&s->stream);
	return false;
}

bool
session_fail_as(struct session *s, const char *sqlstate, const char *message, const char *detail)
{
	const struct config *cfg = session_set_of(session_worker(s))->env->cfg;
	struct buf out;
	char name[256];

	if (cfg->log_pooler_errors)
		log_warning("%s pooler error: %s", session_name(s, name, sizeof(name)), message);
	if (s->stream.handshaking) {
		/* a message could only wait for the end of the handshake, which must not come now */
		session_end(s, message);
		return false;
	}
	if (s->server != NULL && s->server->body_left > 0 && !s->server->body_drop) {
		/* half a message of the server is out: nothing may be put into the middle of it */
		session_end(s, message);
		return false;
	}
	buf_init(&out, BUF_CAP_MAX);
	pgwrite_error(&out, "FATAL", sqlstate, message, detail, NULL);
	return session_last_word(s, &out, message);
}

bool
session_fail(struct session *s, enum fault f, const char *message)
{
	return session_fail_as(s, fault_sqlstate(f), message != NULL ? message : fault_sentence(f),
	    NULL);
}

void
session_drop(struct session *s, enum fault f)
{
	struct buf out;

	buf_init(&out, BUF_CAP_MAX);
	pgwrite_error(&out, "FATAL", fault_sqlstate(f), fault_sentence(f), NULL, NULL);
	if (!s->stream.handshaking && !buf_failed(&out))
		(void)stream_write(&s->stream, buf_data(&out), buf_len(&out));
	buf_release(&out);
	session_end(s, fault_sentence(f));
}
