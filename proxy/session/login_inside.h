/* login_inside.h -- what login.c (may it come in) and login_auth*.c (who is it) share; for these only. */
#ifndef PROXY_SESSION_LOGIN_INSIDE_H
#define PROXY_SESSION_LOGIN_INSIDE_H

#include "proxy/base/buf.h"
#include "proxy/session/login.h"
#include "proxy/session/startup_params.h"

struct client_auth;
struct hba_line;
struct login_job;
struct login_jobs;
struct login_method;
struct login_request;
struct session_env;
struct userlist;

/* What a login waits for; other things that happen do not concern it. */
enum login_wait {
	LOGIN_GOES_ON,
	LOGIN_WAITS_USER,   /* for auth_query */
	LOGIN_WAITS_SECRET, /* for a secret of [secrets] */
	LOGIN_WAITS_JOB,    /* for a helper thread: a name, LDAP, PAM */
};

struct login {
	struct session_env *env; /* a reload in mid-login changes nothing for it */
	struct client_auth *auth;
	struct startup_params asked;
	struct buf out; /* not sent yet */
	uint32_t minor;
	enum login_wait wait;

	int method;		     /* of the dialogue, enum auth_type; by auth_type or the line */
	const struct hba_line *line; /* that decides; NULL = none was asked */
	const char *how;	     /* for the message of a refusal: "password" */
	struct userlist *users;	     /* of auth_query, a reference; NULL = those of auth_file */
	struct login_job *job;	     /* under way */
	bool searched;		     /* for a newer key of tokens */
	unsigned searches;	     /* how many had been answered before */
	char *host, *peer; /* names of the client's address and system user; NULL = not known */
};

/* Sends what is in login.out. false: the session is gone. */
bool login_send(struct session *, struct login *);
/* It is who it says it is. false: the session is gone. */
bool login_authenticated(struct session *);

/* ---- login_auth.c ---- */

/* From the top, when what it waited for is there. false: the session is gone. */
bool login_auth_go(struct session *);
/* It is not. Always false. */
bool login_auth_refuse(struct session *);
/* Why not, or why nobody knows: for the log only. */
void login_auth_note(const struct session *, const char *why);
/* What it waited for is there. */
void login_auth_resume(struct session *);
/* Gives up what belongs to the proof, jobs included. */
void login_auth_release(struct login *);

enum login_step { LOGIN_STEP_ON, LOGIN_STEP_WAITS, LOGIN_STEP_GONE };

/* ---- login_auth_hba.c ---- */

/* Settles method, line and how, and what a line wants besides its method. */
enum login_step login_auth_choose(struct session *);

/* ---- login_auth_outside.c ---- */

/* Is the method one whose clear password or token somebody else judges? */
bool login_auth_is_outside(int method);
/* The client has sent it. false: the session is gone. */
bool login_auth_outside(struct session *);
/* Starts a helper thread; asker, timeout, done's argument and peer are filled in here. false: the session is gone. */
bool login_auth_job(struct session *, struct login_jobs *, struct login_request *);

/* ---- login_auth_iam.c ---- */

/* Decides about a token, or waits for the secret and is called again then. false: the session is gone. */
bool login_auth_iam(struct session *);

#endif
