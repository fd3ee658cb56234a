/* login_inside.h -- what login_auth.c (who is it) and login.c (may it come in) share; for these two only. */
#ifndef PROXY_SESSION_LOGIN_INSIDE_H
#define PROXY_SESSION_LOGIN_INSIDE_H

#include "proxy/base/buf.h"
#include "proxy/session/login.h"
#include "proxy/session/startup_params.h"

struct client_auth;
struct session_env;

struct login {
	struct session_env *env; /* a reload in mid-login changes nothing for it */
	struct client_auth *auth;
	struct startup_params asked;
	struct buf out; /* not sent yet */
	bool waits;	/* for a secret; the client is not read meanwhile */
	uint32_t minor;
};

/* Sends what is in login.out. false: the session is gone. */
bool login_send(struct session *, struct login *);
/* It is who it says it is. false: the session is gone. */
bool login_authenticated(struct session *);

#endif
