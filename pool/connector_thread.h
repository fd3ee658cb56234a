/* connector_thread.h -- what the connector's own files share: one thread, and the jobs it runs.
 * Internal to connector.c, connector_dial.c and connector_cancel.c. Everything but the fields of
 * struct connectors belongs to the thread; after it was joined, to whoever stops it. */
#ifndef POOL_CONNECTOR_THREAD_H
#define POOL_CONNECTOR_THREAD_H

#include "proxy/base/worker.h"

#include "proxy/base/stream.h"

#include <stdatomic.h>

struct connect_job;
struct cancel_job;
struct connectors;
struct resolver;

struct connector_thread {
	struct worker worker;
	struct connectors *all;
	struct list_node dials;	  /* struct dial */
	struct list_node cancels; /* struct delivery */
	bool stopped;		  /* jobs that still come are refused */
};

struct connectors {
	atomic_uint next; /* round robin */
	struct resolver *resolver;
	SSL_CTX *cancel_ctx;
	int n;
	struct connector_thread thread[];
};

static inline struct connector_thread *
connector_thread(struct worker *w)
{
	return list_entry(w, struct connector_thread, worker);
}

/* On the thread. The job is posted back when it ends, never from inside the call. */
void connector_dial_start(struct connector_thread *, struct connect_job *);
void connector_cancel_start(struct connector_thread *, struct cancel_job *);
/* Ends all jobs of the thread: CONNECT_RETRY, not ok. */
void connector_dial_stop(struct connector_thread *);
void connector_cancel_stop(struct connector_thread *);

#endif
