/* relay_attach.h -- joining a session to a server and parting them; for relay.c and relay_server.c. */
#ifndef PROXY_SESSION_RELAY_ATTACH_H
#define PROXY_SESSION_RELAY_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay_out;
struct server;
struct session;

/* Gets a server for the session, and puts what brings the server's parameters in line before the client's
 * bytes. false: the session is queued now. */
bool relay_attach(struct session *, struct relay_out *);
/* The transaction is over: the server goes back. false: the session is gone. */
bool relay_release(struct session *);
/* Releases the server if all was answered before (a COPY that failed early) and what was still on its way
 * there has arrived. false: the session is gone. */
bool relay_settle(struct session *);
/* The server ended the connection: so does the session. Always false. */
bool relay_server_lost(struct session *);
/* Does any of the limits that start with a request apply? */
bool relay_has_time_limits(const struct session *);

/* Deals with input; from a buffer that is not session.in (relay.c). false: the session is gone. */
bool relay_feed(struct session *, const uint8_t *p, size_t n);
/* Deals with what is kept in session.in. */
bool relay_refeed(struct session *);
bool relay_read_large(struct session *);

#endif
