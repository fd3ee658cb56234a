/* login_auth.c -- a client proves who it is: the messages of client_auth over the wire, and what it waits for. */
#include "proxy/session/login_inside.h"

#include "auth/client_auth.h"
#include "auth/secrets.h"
#include "pool/pool.h"
#include "proxy/base/tls.h"
#include "proxy/config/config.h"
#include "proxy/session/console_session.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
login_send(struct session *s, struct login *l)
{
	bool sent;

	if (buf_failed(&l->out)) {
		buf_release(&l->out);
		return session_fail(s, FAULT_MEMORY, NULL);
	}
	sent = stream_write(&s->stream, buf_data(&l->out), buf_len(&l->out)) == 0;
	buf_release(&l->out);
	if (sent)
		return true;
	session_end(s, "client went away");
	return false;
}

static bool take_password(struct session *s);

static bool
verdict(struct session *s, enum auth_verdict v)
{
	struct login *l = s->login;
	char message[160];

	switch (v) {
	case AUTH_WAIT:
		l->waits = true;
		stream_pause(&s->stream);
		return true;
	case AUTH_MORE:
		return login_send(s, l) && take_password(s);
	case AUTH_OK:
		return login_authenticated(s);
	case AUTH_PROTOCOL_ERROR:
		return session_fail(s, FAULT_PROTOCOL, "invalid authentication message");
	case AUTH_FAILED:
		break;
	}
	snprintf(message, sizeof(message), "password authentication failed for user \"%.63s\"",
	    l->asked.user);
	return session_fail(s, FAULT_LOGIN, message);
}

bool
login_recheck(struct session *s)
{
	struct login *l = s->login;

	if (s->state != SESSION_LOGIN || l == NULL || !l->waits)
		return true;
	l->waits = false;
	stream_resume(&s->stream);
	return verdict(s, client_auth_recheck(l->auth, &l->out));
}

/* ---- begin ---- */

static void
negotiate(struct login *l, uint32_t minor)
{
	if (minor <= 2 && l->asked.n_unknown == 0)
		return;
	pgwrite_negotiate_version(&l->out, PG_PROTOCOL(3, 2), (const char *const *)l->asked.unknown,
	    l->asked.n_unknown);
}

static struct secret *
secret_of(struct session *s, const struct login *l)
{
	const struct config_database *db = config_find_database(l->env->cfg, l->asked.database);
	struct secrets *all = pool_worker(session_worker(s))->secrets;

	return db != NULL && db->secret != NULL && all != NULL ? secrets_find(all, db->secret)
							       : NULL;
}

static enum auth_verdict
start_auth(struct session *s, struct login *l)
{
	char cn[256];
	struct client_auth_offer offer = {
		.method = l->env->cfg->auth_type,
		.user = l->asked.user,
		.users = l->env->users,
		.secret = console_is(l->asked.database) ? NULL : secret_of(s, l),
		.tls = s->stream.ssl != NULL,
		.cb_hash = l->env->cb_len > 0 ? l->env->cb_hash : NULL,
		.cb_len = l->env->cb_len,
		.scram_iterations = l->env->cfg->scram_iterations,
	};
	enum auth_verdict v;

	if (s->stream.ssl != NULL && tls_peer_cn(s->stream.ssl, cn, sizeof(cn)))
		offer.cert_cn = cn;
	if (console_is(l->asked.database) && console_trusts(s, l->asked.user))
		return AUTH_OK;
	l->auth = client_auth_new(&offer, &l->out, &v);
	return v;
}

bool
login_begin(struct session *s, uint32_t minor, const uint8_t *payload, size_t n)
{
	struct login *l = calloc(1, sizeof(*l));
	enum fault f;

	if (l == NULL)
		return session_fail(s, FAULT_MEMORY, NULL);
	s->login = l;
	l->env = session_env_ref(session_set_of(session_worker(s))->env);
	l->minor = minor > 2 ? 2 : minor;
	buf_init(&l->out, 256 * 1024);
	f = startup_params_parse(&l->asked, payload, n, l->env->cfg->ignore_startup_parameters);
	if (f != FAULT_NONE)
		return session_fail(s, f, l->asked.why);
	session_enter(s, SESSION_LOGIN);
	negotiate(l, minor);
	return verdict(s, start_auth(s, l));
}

/* One authentication message, if it is here as a whole. */
static bool
take_password(struct session *s)
{
	struct login *l = s->login;
	size_t n = buf_len(&s->in);
	enum auth_verdict v;
	uint32_t len;

	if (n > 0 && buf_data(&s->in)[0] != 'p')
		return session_fail(s, FAULT_PROTOCOL, "expected an authentication message");
	if (n < PGMSG_HEADER)
		return true;
	len = pg_get_u32(buf_data(&s->in) + 1);
	if (len < 4 || len > CLIENT_AUTH_PAYLOAD_MAX + 4)
		return session_fail(s, FAULT_PROTOCOL,
		    "invalid length of an authentication message");
	if (n < len + 1u)
		return true;
	v = client_auth_input(l->auth, buf_data(&s->in) + PGMSG_HEADER, len - 4, &l->out);
	explicit_bzero(s->in.mem + s->in.head, len + 1u);
	buf_consume(&s->in, len + 1u);
	return verdict(s, v);
}

bool
login_readable(struct session *s)
{
	uint8_t *rbuf = session_worker(s)->rbuf;
	ssize_t got;

	/* it may hold a password: wiped when it goes */
	s->in.wipe = true;
	got = stream_read(&s->stream, rbuf, CLIENT_AUTH_PAYLOAD_MAX + PGMSG_HEADER + 1);
	if (got == 0)
		return true;
	if (got == -1) {
		session_end(s, "client unexpected eof during login");
		return false;
	}
	buf_put(&s->in, rbuf, (size_t)got);
	explicit_bzero(rbuf, (size_t)got);
	if (buf_failed(&s->in))
		return session_fail(s, FAULT_MEMORY, NULL);
	return take_password(s);
}
