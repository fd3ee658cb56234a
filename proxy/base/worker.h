/* worker.h -- a thread with its loop and a mailbox.
 * Workers, connectors and the main thread are all of this kind. Everything in a worker belongs to
 * its thread; the only way in from outside is worker_post(). A letter is owned by the receiver from
 * the moment it is posted. Delivery is in order per sender, in batches, one wake-up per batch.
 * Knows nothing of sessions and pools: their per-worker state hangs on opaque pointers. */
#ifndef PROXY_BASE_WORKER_H
#define PROXY_BASE_WORKER_H

#include "proxy/base/list.h"
#include "proxy/base/loop.h"

#include <pthread.h>

#define WORKER_MAX	 64
#define WORKER_RBUF_SIZE (256u * 1024)

struct worker;

struct letter {
	struct list_node node;
	void (*deliver)(struct worker *, struct letter *);
};

struct worker {
	int index; /* 0.. among the workers; -1 for main and connectors */
	struct loop loop;
	uint8_t *rbuf; /* WORKER_RBUF_SIZE bytes: every read of this thread goes here */
	pthread_t thread;
	bool running;
	char name[16];

	pthread_mutex_t mail_lock;
	struct list_node mail;
	ev_async mail_bell;

	void *sessions; /* struct session_set *, proxy/session */
	void *pools;	/* struct pool_worker *, pool */
};

/* -1 with errno. The thread is not started yet: worker_start(), or run the loop in this thread. */
int worker_init(struct worker *, const char *name, int index);
int worker_start(struct worker *);
/* Makes loop_run() return in its own thread, then joins it (not for the calling thread itself). */
void worker_stop(struct worker *);
/* After it has stopped: delivers what is still in its mailbox, in the calling thread. */
void worker_drain(struct worker *);
void worker_destroy(struct worker *);

/* From any thread. */
void worker_post(struct worker *, struct letter *);

/* A tour visits every worker in turn, each in its own thread, and comes home to `home`. */
struct tour {
	struct letter letter;
	struct worker *home;
	struct worker *workers;
	int n, next;
	void (*visit)(struct worker *, struct tour *);
	void (*done)(struct worker *home, struct tour *); /* owns the tour again */
};

void tour_start(struct tour *);

#endif
