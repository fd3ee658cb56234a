/* login_auth.c -- a client proves who it is: the messages of client_auth over the wire, and what it waits for. */
#include "proxy/session/login_inside.h"

#include "auth/client_auth.h"
#include "auth/login_job.h"
#include "auth/secret.h"
#include "auth/secret_version.h"
#include "auth/secrets.h"
#include "auth/userlist.h"
#include "pool/auth_query.h"
#include "pool/pool.h"
#include "proxy/base/log.h"
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

/* ---- the end of it ---- */

void
login_auth_note(const struct session *s, const char *why)
{
	const struct login *l = s->login;
	char addr[64];
	int port;

	if (*why == '\0')
		return;
	session_peer(s, addr, sizeof(addr), &port);
	log_warning("C-%llu: %s login of user \"%.63s\" from %s: %s", (unsigned long long)s->id,
	    l->how, l->asked.user, addr, why);
}

bool
login_auth_refuse(struct session *s)
{
	struct login *l = s->login;
	bool password = strcmp(l->how, "password") == 0;
	char message[160];

	snprintf(message, sizeof(message), "%s authentication failed for user \"%.63s\"", l->how,
	    l->asked.user);
	return session_fail_as(s, fault_sqlstate(password ? FAULT_LOGIN : FAULT_NO_USER), message,
	    NULL);
}

void
login_auth_release(struct login *l)
{
	if (l->job != NULL)
		login_job_abandon(l->job);
	l->job = NULL;
	client_auth_free(l->auth);
	l->auth = NULL;
	userlist_unref(l->users);
	l->users = NULL;
	free(l->host);
	free(l->peer);
	l->host = l->peer = NULL;
}

void
login_auth_resume(struct session *s)
{
	s->login->wait = LOGIN_GOES_ON;
	if (s->stream.paused)
		stream_resume(&s->stream);
}

static bool
verdict(struct session *s, enum auth_verdict v)
{
	struct login *l = s->login;

	switch (v) {
	case AUTH_WAIT:
		l->wait = LOGIN_WAITS_SECRET;
		return true;
	case AUTH_MORE:
		return login_send(s, l) && take_password(s);
	case AUTH_GIVEN:
		return login_auth_outside(s);
	case AUTH_OK:
		return login_authenticated(s);
	case AUTH_PROTOCOL_ERROR:
		return session_fail(s, FAULT_PROTOCOL, "invalid authentication message");
	case AUTH_FAILED:
		break;
	}
	auth_query_doubt(l->env->cfg, l->asked.database, l->asked.user);
	return login_auth_refuse(s);
}

bool
login_recheck(struct session *s)
{
	struct login *l = s->login;
	enum login_wait wait;

	if (s->state != SESSION_LOGIN || l == NULL)
		return true;
	wait = l->wait;
	if (wait != LOGIN_WAITS_USER && wait != LOGIN_WAITS_SECRET)
		return true;
	login_auth_resume(s);
	if (wait == LOGIN_WAITS_USER)
		return login_auth_go(s);
	if (l->method == AUTH_IAM)
		return login_auth_iam(s);
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

	if (console_is(l->asked.database) || db == NULL || db->secret == NULL || all == NULL)
		return NULL;
	return secrets_find(all, db->secret);
}

/* Is it the secret's user, as far as anybody knows? */
static bool
is_of_secret(struct secret *secret, const char *user)
{
	struct secret_version *v[SECRET_CANDIDATES];
	size_t n = secret_candidates(secret, user, v);

	for (size_t i = 0; i < n; i++)
		secret_version_unref(v[i]);
	return n > 0 || secret_is_cold(secret);
}

/* A user may be one whom only the database knows. */
static enum login_step
look_up(struct session *s, struct login *l)
{
	struct secret *secret = secret_of(s, l);

	if (l->method == AUTH_ANY || login_auth_is_outside(l->method) ||
	    console_is(l->asked.database) || l->users != NULL ||
	    userlist_find(l->env->users, l->asked.user) != NULL ||
	    (secret != NULL && is_of_secret(secret, l->asked.user)))
		return LOGIN_STEP_ON;
	switch (auth_query_find(session_worker(s), l->env->cfg, l->asked.database, l->asked.user,
	    &l->users)) {
	case AUTH_QUERY_WAIT:
		l->wait = LOGIN_WAITS_USER;
		return LOGIN_STEP_WAITS;
	case AUTH_QUERY_FAULT:
		(void)session_fail_as(s, "08006", "the user cannot be looked up at present", NULL);
		return LOGIN_STEP_GONE;
	default:
		return LOGIN_STEP_ON;
	}
}

static enum auth_verdict
start_dialogue(struct session *s, struct login *l)
{
	char cn[256];
	struct client_auth_offer offer = {
		.method = l->method,
		.user = l->asked.user,
		.users = l->users != NULL ? l->users : l->env->users,
		.secret = secret_of(s, l),
		.outside = login_auth_is_outside(l->method),
		.tls = s->stream.ssl != NULL,
		.cb_hash = l->env->cb_len > 0 ? l->env->cb_hash : NULL,
		.cb_len = l->env->cb_len,
		.scram_iterations = l->env->cfg->scram_iterations,
	};
	enum auth_verdict v;

	if (s->stream.ssl != NULL && tls_peer_cn(s->stream.ssl, cn, sizeof(cn)))
		offer.cert_cn = cn;
	l->auth = client_auth_new(&offer, &l->out, &v);
	return v;
}

bool
login_auth_go(struct session *s)
{
	struct login *l = s->login;
	enum auth_verdict v;
	enum login_step step;

	if (console_is(l->asked.database) && console_trusts(s, l->asked.user))
		return login_authenticated(s);
	step = login_auth_choose(s);
	if (step == LOGIN_STEP_ON)
		step = look_up(s, l);
	if (step != LOGIN_STEP_ON)
		return step == LOGIN_STEP_WAITS;
	v = start_dialogue(s, l);
	if (l->auth == NULL)
		return session_fail(s, FAULT_MEMORY, NULL);
	return verdict(s, v);
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
	return login_auth_go(s);
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
	if (s->login->wait == LOGIN_GOES_ON)
		return take_password(s);
	/* it is read only to see whether it is still there */
	if (buf_len(&s->in) > CLIENT_AUTH_PAYLOAD_MAX)
		stream_pause(&s->stream);
	return true;
}
