/* relay.h -- bytes both ways between a client and a server: message boundaries, when a server is needed,
 * when it is free again. The hot path: the worker's read buffer goes out as it came in; only what must be
 * changed is copied. */
#ifndef PROXY_SESSION_RELAY_H
#define PROXY_SESSION_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct pool_ticket_ops;
struct server;
struct server_holder_ops;
struct session;

extern const struct server_holder_ops relay_holder_ops;
extern const struct pool_ticket_ops relay_ticket_ops;

/* false: the session is gone. */
bool relay_client_readable(struct session *);

/* What goes to the server: a run of the input as it is, or the worker's scratch buffer when anything was
 * changed. Used by prepared.c. */
struct relay_out {
	struct session *s;
	struct buf *scratch;
	const uint8_t *start, *end;
};

/* These bytes of the input go on unchanged. */
void relay_pass(struct relay_out *, const uint8_t *p, size_t n);
/* Other bytes come next: append them to the buffer this returns. */
struct buf *relay_insert(struct relay_out *);

/* A cancel request for a queued session: its request is answered with an error. */
bool relay_cancel_queued(struct session *);

#endif
