/* login.h -- from the startup packet to the first ReadyForQuery: who is it, may it come in, what it asked for. */
#ifndef PROXY_SESSION_LOGIN_H
#define PROXY_SESSION_LOGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct login;
struct server;
struct session;

/* The payload of a version 3 startup packet. User, database and parameters are settled here once and for
 * all. What came behind it is in session.in. false: the session is gone. */
bool login_begin(struct session *, uint32_t minor, const uint8_t *payload, size_t n);
bool login_readable(struct session *);
/* The login waited for a server of its pool, and here it is: what the client is to be told is known now, and
 * what it asked for can be tried. */
void login_granted(struct session *, struct server *);
/* A secret has changed: logins that wait for one look again. false: the session is gone. */
bool login_recheck(struct session *);
void login_free(struct login *);

#endif
