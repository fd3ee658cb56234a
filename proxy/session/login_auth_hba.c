/* login_auth_hba.c -- which method stands for this client: auth_type, or the line of auth_hba_file that fits, and
 * what the line wants to be told first. */
#include "proxy/session/login_inside.h"

#include "auth/hba.h"
#include "auth/login_job.h"
#include "auth/peer.h"
#include "auth/user_map.h"
#include "proxy/base/log.h"
#include "proxy/base/tls.h"
#include "proxy/config/config.h"
#include "proxy/session/console_session.h"
#include "proxy/session/login_auth_names.h"
#include "proxy/session/login_auth_rules.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CN_MAX 256

static const struct {
	int method;
	const char *how;
} ways[] = {
	[HBA_TRUST] = { AUTH_TRUST, "\"trust\"" },
	[HBA_REJECT] = { AUTH_TRUST, "host-based" }, /* never gets so far */
	[HBA_MD5] = { AUTH_MD5, "password" },
	[HBA_PASSWORD] = { AUTH_PLAIN, "password" },
	[HBA_SCRAM] = { AUTH_SCRAM, "password" },
	/* what they prove is settled before: then the user has only to exist */
	[HBA_CERT] = { AUTH_TRUST, "certificate" },
	[HBA_PEER] = { AUTH_TRUST, "Peer" },
	[HBA_LDAP] = { AUTH_LDAP, "LDAP" },
	[HBA_PAM] = { AUTH_PAM, "PAM" },
	[HBA_JWT] = { AUTH_JWT, "token" },
	[HBA_IAM] = { AUTH_IAM, "IAM token" },
};

/* ---- names, from helper threads ---- */

static enum login_step
no_step(bool alive)
{
	return alive ? LOGIN_STEP_WAITS : LOGIN_STEP_GONE;
}

/* The name that was asked for goes where it is missing; "" = there is none. */
static bool
keep_name(struct login *l, const char *name)
{
	char **where = l->line->method == HBA_PEER ? &l->peer : &l->host;

	free(*where);
	*where = strdup(name);
	return *where != NULL;
}

static void
name_key(const struct session *s, char *key, size_t n)
{
	uid_t uid;
	int port;

	if (s->login->line->method != HBA_PEER)
		session_peer(s, key, n, &port);
	else if (peer_uid(stream_fd(&s->stream), &uid) == 0)
		snprintf(key, n, "uid %lu", (unsigned long)uid);
	else
		key[0] = '\0';
}

static void
on_name(void *arg, enum login_result r, const char *why)
{
	struct session *s = arg;
	struct login *l = s->login;
	struct session_set *set = session_set_of(session_worker(s));
	const char *name = r == LOGIN_OK ? why : "";
	char key[64];

	l->job = NULL;
	login_auth_resume(s);
	name_key(s, key, sizeof(key));
	if (r == LOGIN_UNAVAILABLE)
		login_auth_note(s,
		    why[0] != '\0' ? why : "its name cannot be looked up at present");
	else
		login_auth_names_keep(set->names, key, name, session_now_ms(s));
	if (!keep_name(l, name))
		(void)session_fail(s, FAULT_MEMORY, NULL);
	else
		(void)login_auth_go(s);
}

/* l->line is the line that needs it, and says by its method which name. */
static enum login_step
find_name(struct session *s, struct login *l)
{
	struct session_set *set = session_set_of(session_worker(s));
	struct login_request r = { .method = &login_auth_names_host,
		.user = "",
		.password = "-",
		.password_len = 1,
		.done = on_name };
	const char *name;
	char key[64];

	if (set->names == NULL)
		set->names = login_auth_names_new();
	if (set->names == NULL) {
		(void)session_fail(s, FAULT_MEMORY, NULL);
		return LOGIN_STEP_GONE;
	}
	name_key(s, key, sizeof(key));
	name = login_auth_names_find(set->names, key, session_now_ms(s));
	if (name != NULL && keep_name(l, name))
		return LOGIN_STEP_ON;
	if (l->line->method == HBA_PEER) {
		r.method = &login_auth_names_uid;
		r.user = key[0] != '\0' ? key + strlen("uid ") : "";
	}
	return no_step(login_auth_job(s, set->totals->names, &r));
}

/* ---- which line ---- */

static void
describe_peer(const struct session *s, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	out->ss_family = s->peer_family;
	if (s->peer_family == AF_INET)
		memcpy(&((struct sockaddr_in *)out)->sin_addr, s->peer_addr, 4);
	else if (s->peer_family == AF_INET6)
		memcpy(&((struct sockaddr_in6 *)out)->sin6_addr, s->peer_addr, 16);
}

/* The console goes by two names, and a line for either stands for it: else a client could choose the name
 * that no line rejects. */
static enum hba_outcome
match(const struct hba *rules, const struct hba_query *q, const struct hba_line **line)
{
	const struct hba_line *other_line;
	struct hba_query other = *q;
	enum hba_outcome outcome = hba_match(rules, q, line), other_outcome;

	if (!console_is(q->database))
		return outcome;
	other.database = strcmp(q->database, "pgsluice") == 0 ? "pgbouncer" : "pgsluice";
	other_outcome = hba_match(rules, &other, &other_line);
	/* all lines are in one array, in their order */
	if (other_line == NULL || (*line != NULL && *line <= other_line))
		return outcome;
	*line = other_line;
	return other_outcome;
}

static enum login_step
reject(struct session *s, const struct hba_query *q, enum hba_outcome outcome)
{
	char message[HBA_MESSAGE_BYTES];

	(void)session_fail_as(s, fault_sqlstate(FAULT_NO_USER),
	    hba_reject_message(message, q, outcome), NULL);
	return LOGIN_STEP_GONE;
}

static enum login_step
choose_line(struct session *s, struct login *l, struct hba_query *q)
{
	struct session_set *set = session_set_of(session_worker(s));
	const struct hba *rules = l->env->rules->hba;
	enum login_step step = LOGIN_STEP_ON;
	enum hba_outcome outcome;

	for (;;) {
		outcome = match(rules, q, &l->line);
		if (outcome == HBA_NEEDS_INTERFACES && q->interfaces == NULL) {
			if (set->names == NULL)
				set->names = login_auth_names_new();
			if (set->names != NULL)
				q->interfaces = login_auth_names_networks(set->names,
				    session_now_ms(s));
			if (q->interfaces != NULL)
				continue;
		}
		if (outcome == HBA_NEEDS_DNS && q->dns_name == NULL) {
			step = find_name(s, l);
			q->dns_name = l->host;
			if (step == LOGIN_STEP_ON && q->dns_name != NULL)
				continue;
			if (step != LOGIN_STEP_ON)
				return step;
		}
		break;
	}
	if (outcome == HBA_MATCH && l->line->method != HBA_REJECT)
		return LOGIN_STEP_ON;
	if (outcome == HBA_MATCH || outcome == HBA_NO_MATCH || outcome == HBA_NO_CERT)
		return reject(s, q, outcome);
	/* nobody can say what the line wants to know, so it may be one that rejects */
	log_error("%s:%d: nobody can say whether the line fits: the client is refused",
	    l->line->file, l->line->number);
	return reject(s, q, HBA_NO_MATCH);
}

/* ---- what the line wants besides a password ---- */

static bool
is_allowed(const struct login *l, const char *name)
{
	return user_map_allows(l->env->rules->maps, l->line->map, name, l->asked.user);
}

static enum login_step
refused(struct session *s, const char *how, const char *why, const char *name)
{
	struct login *l = s->login;
	char note[300];

	l->how = how;
	snprintf(note, sizeof(note), "%s \"%.200s\"%s%.60s", why, name,
	    l->line->map != NULL ? ", map=" : "", l->line->map != NULL ? l->line->map : "");
	login_auth_note(s, note);
	(void)login_auth_refuse(s);
	return LOGIN_STEP_GONE;
}

static enum login_step
check_line(struct session *s, struct login *l, const char *cn)
{
	if (l->line->cert == HBA_CERT_FULL && !is_allowed(l, cn))
		return refused(s, "certificate", "the user is not that of the certificate", cn);
	if (l->line->pam_use_hostname && l->host == NULL && !s->local_socket)
		return find_name(s, l);
	if (l->line->method != HBA_PEER)
		return LOGIN_STEP_ON;
	if (l->peer == NULL) {
		enum login_step step = find_name(s, l);

		if (step != LOGIN_STEP_ON)
			return step;
	}
	if (l->peer[0] == '\0' || !is_allowed(l, l->peer))
		return refused(s, "Peer", "the user is not the system user", l->peer);
	return LOGIN_STEP_ON;
}

static enum login_step
choose_by_lines(struct session *s, struct login *l)
{
	struct sockaddr_storage peer;
	char cn[CN_MAX] = "";
	struct hba_query q = { .is_local = s->local_socket,
		.tls = s->stream.ssl != NULL,
		.cert_verified = s->stream.ssl != NULL &&
				 tls_peer_cn(s->stream.ssl, cn, sizeof(cn)),
		.replication = l->asked.replication != NULL &&
			       strcmp(l->asked.replication, "true") == 0,
		.peer = (const struct sockaddr *)&peer,
		.database = l->asked.database,
		.user = l->asked.user,
		.dns_name = l->host };
	enum login_step step;

	describe_peer(s, &peer);
	step = choose_line(s, l, &q);
	if (step != LOGIN_STEP_ON)
		return step;
	l->method = ways[l->line->method].method;
	l->how = ways[l->line->method].how;
	return check_line(s, l, cn);
}

/* ---- auth_type ---- */

static const char *
how_of(int auth_type)
{
	switch (auth_type) {
	case AUTH_LDAP:
		return "LDAP";
	case AUTH_PAM:
		return "PAM";
	case AUTH_JWT:
		return "token";
	case AUTH_IAM:
		return "IAM token";
	default:
		return "password";
	}
}

enum login_step
login_auth_choose(struct session *s)
{
	struct login *l = s->login;
	enum login_step step = LOGIN_STEP_ON;

	l->method = l->env->cfg->auth_type;
	l->how = how_of(l->method);
	if (l->method == AUTH_HBA)
		step = choose_by_lines(s, l);
	if (step != LOGIN_STEP_ON || (l->method != AUTH_JWT && l->method != AUTH_IAM) ||
	    s->stream.ssl != NULL || s->local_socket)
		return step;
	(void)session_fail(s, FAULT_TLS_REQUIRED, "logging in with a token needs TLS");
	return LOGIN_STEP_GONE;
}
