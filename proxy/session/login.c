#include "proxy/session/login_inside.h"

#include "pool/command.h"
#include "pool/params.h"
#include "pool/pool_set.h"
#include "pool/welcome.h"
#include "proxy/base/log.h"
#include "proxy/base/secret.h"
#include "proxy/base/tls.h"
#include "proxy/config/config.h"
#include "proxy/session/console_session.h"
#include "proxy/session/relay_attach.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/session/startup_params.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHORT_KEY_BYTES	 4
#define LONG_KEY_BYTES	 32
#define PID_SLOT_BITS	 25
#define TRIAL_TIMEOUT_MS 15000

void
login_free(struct login *l)
{
	if (l == NULL)
		return;
	login_auth_release(l);
	startup_params_release(&l->asked);
	session_env_unref(l->env);
	buf_release(&l->out);
	free(l);
}

/* ---- after authentication ---- */

static void
put_status(void *arg, const char *name, const char *value)
{
	struct session *s = arg;
	const char *own = params_get(s->params, name);

	/* its default is the name that the server logged in with: among the fixed ones */
	if (strcasecmp(name, "session_authorization") == 0)
		return;
	pgwrite_parameter_status(&s->login->out, name, own != NULL ? own : value);
}

static bool
make_key(struct session *s)
{
	uint8_t *key = s->key;
	uint8_t len = SHORT_KEY_BYTES;

	if (s->login->minor >= 2) {
		len = LONG_KEY_BYTES;
		key = malloc(len);
		if (key == NULL)
			return false;
		s->long_key = key;
	}
	s->key_len = len;
	return secret_random(key, len) == 0;
}

static bool
finish(struct session *s, const struct welcome *w)
{
	struct session_set *set = session_set_of(session_worker(s));
	struct login *l = s->login;
	char name[256];
	bool was_login = s->state < SESSION_WELCOME;

	if (!make_key(s))
		return session_fail(s, FAULT_MEMORY, NULL);
	pgwrite_auth_ok(&l->out);
	for (const char *at = w->fixed; at < w->fixed + w->len;) {
		const char *value = at + strlen(at) + 1;

		pgwrite_parameter_status(&l->out, at, value);
		at = value + strlen(value) + 1;
	}
	params_each(w->params, put_status, s);
	pgwrite_backend_key(&l->out, (uint32_t)session_worker(s)->index << PID_SLOT_BITS | s->slot,
	    session_key(s), s->key_len);
	pgwrite_ready(&l->out, 'I');
	s->pool->db->stats[session_worker(s)->index].client_logins++;
	if (l->env->cfg->log_connections)
		log_info("%s login attempt: db=%s user=%s tls=%s",
		    session_name(s, name, sizeof(name)), s->pool->db->quota.name, s->user->name,
		    s->stream.ssl != NULL ? "yes" : "no");
	if (!login_send(s, l))
		return false;
	if (was_login) {
		session_set_login_ends(set, s);
		list_push_back(&set->all, &s->place);
	}
	login_free(l);
	s->login = NULL;
	session_enter(s, SESSION_IDLE);
	stream_resume(&s->stream);
	/* a client in a hurry may have sent its first request already */
	if (buf_len(&s->in) > 0)
		return relay_refeed(s);
	buf_release(&s->in);
	s->in.wipe = false;
	return true;
}

static void
merge(void *arg, const char *name, const char *value)
{
	struct session *s = arg;
	struct params *p = params_with(s->params, name, value);

	if (p != NULL)
		s->params = p;
	else
		s->params_failed = true;
}

/* The session starts with what the server has, then what the client asked for. */
static bool
settle_params(struct session *s, const struct welcome *w)
{
	if (params_count(s->params) > 0)
		return true;
	s->params = params_ref(w->params);
	startup_params_each(&s->login->asked, merge, s);
	return !s->params_failed;
}

/* What a query of ours on the way to an answer knows of the session, which may end meanwhile. */
struct trial {
	struct worker *worker;
	uint32_t slot;
	uint64_t id;
	struct params *params;
};

static void
on_tried(struct server *server, const struct command_result *r, void *arg)
{
	struct trial *t = arg;
	struct session *s = session_set_by_id(session_set_of(t->worker), t->slot, t->id);
	struct welcome *w;

	if (r->ok) {
		params_set_proven(t->params);
		params_unref(server->params);
		server->params = params_ref(t->params);
	}
	/* a refused SET was rolled back as a whole: the server is as before */
	pool_give_back(server);
	params_unref(t->params);
	free(t);
	if (s == NULL)
		return;
	if (!r->ok) {
		(void)session_fail_as(s, r->sqlstate[0] != '\0' ? r->sqlstate : "08006", r->why,
		    NULL);
		return;
	}
	w = pool_welcome(s->pool);
	(void)finish(s, w);
	welcome_unref(w);
}

static const struct command_ops trial_ops = { .done = on_tried };

/* Nobody has asked for these parameters yet: a server must say whether they are valid, before the client is
 * told that it is in. */
static void
try_params(struct session *s, struct server *server)
{
	struct trial *t = calloc(1, sizeof(*t));
	struct buf sql;

	buf_init(&sql, 4 * PARAMS_BYTES_MAX);
	params_sql(server->params, s->params, &sql);
	buf_put_u8(&sql, '\0');
	server->used = true;
	if (t != NULL && !buf_failed(&sql)) {
		*t = (struct trial){ session_worker(s), s->slot, s->id, params_ref(s->params) };
		if (command_run(server, (const char *)buf_data(&sql), TRIAL_TIMEOUT_MS, &trial_ops,
			t)) {
			buf_release(&sql);
			return;
		}
		params_unref(t->params);
	}
	buf_release(&sql);
	free(t);
	pool_close_server(server, "cannot try session parameters");
	(void)session_fail(s, FAULT_MEMORY, NULL);
}

void
login_granted(struct session *s, struct server *server)
{
	struct welcome *w = pool_welcome(s->pool);

	if (w == NULL || !settle_params(s, w)) {
		pool_give_back(server);
		(void)session_fail(s, FAULT_MEMORY, NULL);
	} else if (params_is_proven(s->params)) {
		pool_give_back(server);
		(void)finish(s, w);
	} else {
		try_params(s, server);
	}
	welcome_unref(w);
}

/* Nobody has connected for this pool yet, so nobody knows what the server reports; or the client asks for what
 * only a server can judge. */
static bool
wait_for_server(struct session *s)
{
	struct session_set *set = session_set_of(session_worker(s));
	struct server *server;
	uint32_t slot = s->slot;
	uint64_t id = s->id;

	session_set_login_ends(set, s);
	list_push_back(&set->all, &s->place);
	s->ticket.since_ms = session_now_ms(s);
	session_enter(s, SESSION_WELCOME);
	server = pool_take(s->pool, session_worker(s), &s->ticket);
	if (server == NULL)
		return true;
	login_granted(s, server);
	return session_set_by_id(set, slot, id) != NULL;
}

static bool
enter_pool(struct session *s)
{
	struct session_set *set = session_set_of(session_worker(s));
	struct login *l = s->login;
	char message[200];
	struct welcome *w;
	enum fault f;
	bool alive;

	f = pool_set_get(l->env->cfg, l->asked.database, l->asked.user, l->asked.replication,
	    &s->pool);
	if (f == FAULT_NO_DATABASE) {
		snprintf(message, sizeof(message), "database \"%.100s\" does not exist",
		    l->asked.database);
		return session_fail(s, f, message);
	}
	if (f != FAULT_NONE)
		return session_fail(s, f, NULL);
	s->user = pool_set_user(l->env->cfg, l->asked.user);
	if (s->user == NULL)
		return session_fail(s, FAULT_MEMORY, NULL);
	if (l->asked.replication != NULL && atomic_load(&s->pool->rules.mode) != POOL_SESSION)
		return session_fail(s, FAULT_NOT_IN_TRANSACTION_POOLING, NULL);
	if (!session_set_enter(set))
		return session_fail(s, FAULT_TOO_MANY_CLIENTS, NULL);
	f = pool_client_enters(s->pool, s->user, session_worker(s));
	if (f != FAULT_NONE) {
		session_set_leave(set);
		return session_fail(s, f, NULL);
	}
	s->counted = true;
	w = pool_welcome(s->pool);
	if (w == NULL)
		return wait_for_server(s);
	if (!settle_params(s, w))
		alive = session_fail(s, FAULT_MEMORY, NULL);
	else if (!params_is_proven(s->params))
		alive = wait_for_server(s);
	else
		alive = finish(s, w);
	welcome_unref(w);
	return alive;
}

bool
login_authenticated(struct session *s)
{
	struct login *l = s->login;

	login_auth_release(l);
	if (atomic_load(&session_set_of(session_worker(s))->totals->shutting_down) &&
	    !console_is(l->asked.database))
		return session_fail(s, FAULT_SHUTDOWN, "the pooler is shutting down");
	if (l->asked.fault != FAULT_NONE)
		return session_fail(s, l->asked.fault, l->asked.why);
	if (console_is(l->asked.database)) {
		pgwrite_auth_ok(&l->out);
		return console_begin(s, l->asked.user, &l->out) && console_continue(s);
	}
	return enter_pool(s);
}
