/* cancel.h -- cancel requests of clients: found by key, delivered to the right server, never to another
 * client's query. */
#ifndef PROXY_SESSION_CANCEL_H
#define PROXY_SESSION_CANCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

/* A CancelRequest packet of `len` bytes is at p, n are there. false: the session is gone. */
bool cancel_request(struct session *, const uint8_t *p, size_t n, uint32_t len);

#endif
