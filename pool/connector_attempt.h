/* connector_attempt.h -- one login at one address: a PGconn that libpq drives as the loop says.
 * Has no deadline of its own; the owner closes it. Must not know hosts beyond this one. */
#ifndef POOL_CONNECTOR_ATTEMPT_H
#define POOL_CONNECTOR_ATTEMPT_H

#include "pool/connector_trace.h"
#include "proxy/base/loop.h"

#include <stdbool.h>

struct connect_job;
struct connect_target;
struct connector_attempt;
struct connector_error;

struct connector_attempt_ops {
	/* From the loop only. The TCP connection (and no more) is up. */
	void (*reached)(struct connector_attempt *);
	/* From the loop only. NULL: logged in, connector_attempt_take() is next. Else it is closed.
	 * The loop lets go of the socket in its next turn, not at once. */
	void (*ended)(struct connector_attempt *, const struct connector_error *);
};

struct connector_attempt {
	const struct connector_attempt_ops *ops;
	struct loop *loop;
	void *pg; /* NULL = closed */
	struct watch watch;
	struct connector_trace trace;
	const char *host;
	bool tracing, reached, logged_in;
	bool late_notice; /* libpq met one behind ReadyForQuery */
};

/* Closed; its memory may be freed. */
void connector_attempt_init(struct connector_attempt *, struct loop *,
    const struct connector_attempt_ops *);
/* addr: as text, NULL for a Unix socket. -1 when it failed at once, with the error. */
int connector_attempt_open(struct connector_attempt *, const struct connect_target *,
    const char *host, const char *addr, struct connector_error *);
/* Harmless when closed. */
void connector_attempt_close(struct connector_attempt *);
/* Hands the connection over: fills in the job's pg, fd, ssl, backend_pid, key, params and peer. The
 * attempt is closed. -1 when the connection cannot be used, with the error. */
int connector_attempt_take(struct connector_attempt *, struct connect_job *,
    struct connector_error *);

#endif
