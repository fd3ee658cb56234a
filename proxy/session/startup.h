/* startup.h -- the first bytes of a client: TLS in all its ways, cancel requests, the startup packet. */
#ifndef PROXY_SESSION_STARTUP_H
#define PROXY_SESSION_STARTUP_H

#include <stdbool.h>

struct session;

/* false: the session is gone. */
bool startup_readable(struct session *);
bool startup_secured(struct session *, bool ok);

#endif
