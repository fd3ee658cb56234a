/* login_auth_outside.c -- clear passwords and tokens, which are judged elsewhere: by LDAP and PAM in helper
 * threads, by the keys of an issuer of tokens here. */
#include "proxy/session/login_inside.h"

#include "auth/client_auth.h"
#include "auth/hba.h"
#include "auth/jwks.h"
#include "auth/jwks_source.h"
#include "auth/jwt.h"
#include "auth/login_job.h"
#include "auth/user_map.h"
#include "proxy/config/config.h"
#include "proxy/session/login_auth_names.h"
#include "proxy/session/login_auth_rules.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"

#include <string.h>
#include <time.h>

#define JOB_MS	  60000 /* where client_login_timeout sets no limit */
#define CLAIM_MAX 256

bool
login_auth_is_outside(int method)
{
	return method == AUTH_LDAP || method == AUTH_PAM || method == AUTH_JWT ||
	       method == AUTH_IAM;
}

/* ---- helper threads ---- */

/* Nobody waits for the answer when the time for the login is over. */
static int64_t
time_left(const struct session *s)
{
	int64_t limit = session_set_of(session_worker(s))->env->cfg->client_login_timeout;
	int64_t spent = (int64_t)(session_now_ms(s) - s->connected_ms);

	if (limit <= 0)
		return JOB_MS;
	return spent < limit ? limit - spent : 1;
}

bool
login_auth_job(struct session *s, struct login_jobs *jobs, struct login_request *r)
{
	struct login *l = s->login;
	char addr[64] = "";
	int port;

	if (!s->local_socket)
		session_peer(s, addr, sizeof(addr), &port);
	r->asker = session_worker(s);
	if (r->peer == NULL)
		r->peer = addr;
	r->timeout_ms = time_left(s);
	r->arg = s;
	l->job = jobs != NULL ? login_job_start(jobs, r) : NULL;
	if (l->job == NULL)
		return session_fail(s, FAULT_TOO_MANY_LOGINS,
		    "too many logins wait to be checked (auth_threads)");
	l->wait = LOGIN_WAITS_JOB;
	return true;
}

static void
on_checked(void *arg, enum login_result r, const char *why)
{
	struct session *s = arg;
	struct login *l = s->login;

	l->job = NULL;
	login_auth_resume(s);
	if (r == LOGIN_OK) {
		(void)login_authenticated(s);
		return;
	}
	login_auth_note(s, why);
	(void)login_auth_refuse(s);
}

static bool
ask(struct session *s, struct login *l)
{
	const struct login_auth_way *way = login_auth_rules_way(l->env->rules, l->line);
	struct login_request r = { .user = l->asked.user, .done = on_checked };

	if (l->line != NULL && l->line->pam_use_hostname && l->host != NULL && l->host[0] != '\0')
		r.peer = l->host;
	if (way == NULL)
		return login_auth_refuse(s);
	r.method = way->method;
	r.settings = way->settings;
	r.password = client_auth_password(l->auth, &r.password_len);
	return login_auth_job(s, session_set_of(session_worker(s))->totals->jobs, &r);
}

/* ---- tokens ---- */

/* Whom the token speaks for, and may that be this user? */
static bool
speaks_for(const struct login *l, const struct jwt *token)
{
	const char *claim = l->env->cfg->jwt_role_claim,
		   *map = l->line != NULL ? l->line->map : NULL;
	char name[CLAIM_MAX];

	if (claim == NULL)
		return false;
	if (map == NULL)
		return jwt_claim_has(token, claim, l->asked.user);
	return jwt_claim_text(token, claim, name, sizeof(name)) > 0 &&
	       user_map_allows(l->env->rules->maps, map, name, l->asked.user);
}

static const char *
judge(const struct login *l, struct jwks_source *source)
{
	struct jwks *keys = source != NULL ? jwks_source_get(source) : NULL;
	struct jwt *token = NULL;
	const char *text, *why = NULL;
	enum jwt_fault fault;
	size_t len;

	if (keys == NULL)
		return "there are no keys to check tokens with yet";
	text = client_auth_password(l->auth, &len);
	fault = jwt_open(&token, text, len, keys, &l->env->rules->jwt, (int64_t)time(NULL));
	jwks_unref(keys);
	if (fault == JWT_UNKNOWN_KEY)
		jwks_source_unknown_kid(source);
	if (fault != JWT_OK)
		return jwt_fault_text(fault);
	if (!speaks_for(l, token))
		why = "the token is not for this user";
	jwt_free(token);
	return why;
}

static bool
check_token(struct session *s, struct login *l)
{
	const char *why = "no tokens are expected";

	if (l->env->rules != NULL)
		why = judge(l, l->env->rules->keys);
	if (why == NULL)
		return login_authenticated(s);
	login_auth_note(s, why);
	return login_auth_refuse(s);
}

bool
login_auth_outside(struct session *s)
{
	struct login *l = s->login;

	switch (l->method) {
	case AUTH_LDAP:
	case AUTH_PAM:
		return ask(s, l);
	case AUTH_JWT:
		return check_token(s, l);
	default:
		return login_auth_iam(s);
	}
}
