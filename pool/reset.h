/* reset.h -- making a server that a client has left clean again, or closing it. */
#ifndef POOL_RESET_H
#define POOL_RESET_H

#include <stdbool.h>

struct server;

/* Nobody holds the server. Rolls an open transaction back, then (with `full`) runs server_reset_query; a
 * server that owes answers or fails at this is cancelled and closed. In the end it is given back. */
void reset_server(struct server *, bool full);
/* Sends a CancelRequest for what runs on the server; until it is delivered the server goes to nobody. Then
 * `told` (may be NULL) runs on the server's worker, in any case. */
void reset_cancel(struct server *, void (*told)(void *arg), void *arg);

#endif
