/* pool.h -- the server connections of one (database, user) pair.
 * Nothing here blocks; an answer to a ticket never arrives from inside the call that queued it. Times are
 * ms, unless said otherwise. Knows servers, credentials and limits; must not know sessions, HTTP or wire
 * messages of clients.
 *
 * Threads: a pool is shared, its `local[i]` belongs to worker i alone; only the atomics in it are read by
 * others. Totals are exact: `n_servers` of pool, database and user change only when a connection is
 * opened or closed, by compare-and-swap against the limit. A freed server goes straight to a waiter:
 * the oldest one of its own worker, unless another worker's oldest has waited POOL_SLACK_MS longer. */
#ifndef POOL_POOL_H
#define POOL_POOL_H

#include "pool/stats.h"
#include "proxy/base/fault.h"
#include "proxy/base/hmap.h"
#include "proxy/base/worker.h"

#include <stdatomic.h>

#define POOL_SLACK_MS	 20
#define POOL_OPENING_MAX 8 /* connections one pool opens at the same time */
#define POOL_TURN_MS	 50 /* a pool that a shared limit blocks gets the next free room after this */
#define POOL_RETRY_MS	 50 /* between attempts while clients wait and nobody answers */

struct server;
struct secrets;
struct pool;

/* Why a ticket was refused. The texts are valid during the callback. */
struct pool_refusal {
	enum fault fault;
	const char *sqlstate, *message;
};

struct pool_ticket;

struct pool_ticket_ops {
	void (*granted)(struct pool_ticket *, struct server *); /* call server_hold() at once */
	void (*refused)(struct pool_ticket *, const struct pool_refusal *);
};

/* Lives inside the asker; the pool borrows it until it answers or is asked to give it back. */
struct pool_ticket {
	struct list_node place; /* the pool's while queued */
	uint64_t since_ms;
	const struct pool_ticket_ops *ops;
};

/* Limits and times that RELOAD changes while workers read them. 0 = none unless said otherwise. */
struct pool_rules {
	atomic_int mode; /* enum pool_mode */
	atomic_int size, min_size, reserve_size, max_statements;
	_Atomic int64_t reserve_timeout, query_wait_timeout, server_lifetime, server_idle_timeout;
	_Atomic int64_t server_check_delay, server_login_retry;
	_Atomic int64_t query_timeout, idle_transaction_timeout, transaction_timeout,
	    client_idle_timeout;
	_Atomic int64_t query_wait_notify;
	atomic_bool round_robin_servers, reset_always;
};

/* What databases and users have in common: a name, a limit and who counts against it. */
struct quota {
	struct hnode node;
	atomic_int n_servers, n_clients;
	atomic_int max_servers, max_clients; /* 0 = no limit */
	atomic_int refs;
	atomic_int blocked; /* pools that could not open a connection for this limit */
	_Atomic uint64_t blocked_since_ms; /* since when one of them waits for its next turn */
	char *name;
};

struct database {
	struct quota quota;	/* first */
	struct list_node pools; /* under the lock of pool_set.h */
	atomic_bool paused, disabled;
	bool from_fallback;  /* made from "*" */
	bool listed;	     /* in the configuration in force */
	struct stats *stats; /* per worker */
	_Atomic uint64_t unused_since_ms;
};

struct pool_local {
	struct worker *worker;
	struct list_node idle;	  /* servers, last used first */
	struct list_node active;  /* servers that somebody holds, or that are being tested */
	struct list_node waiting; /* tickets, oldest first */
	atomic_int n_idle, n_active, n_tested;
	atomic_int hungry;	    /* waiting tickets */
	atomic_int coming;	    /* servers on their way here from another worker */
	_Atomic uint64_t oldest_ms; /* since when the first ticket waits; UINT64_MAX = none */
	atomic_int n_clients, n_clients_active;
	struct letter ask; /* "somebody elsewhere is waiting" */
	atomic_bool asked;
	atomic_bool hurry;     /* opening is worth a try before `retry` */
	struct deadline retry; /* try to open again; also the reserve pool */
	bool dispatching;
	struct pool *pool;
} __attribute__((aligned(64)));

/* What every login needs to know of a server before it has one. */
struct welcome;

struct pool {
	struct hnode node;
	struct list_node place; /* in its database */
	struct database *db;
	struct quota *user;
	struct pool_rules rules;
	atomic_int refs;
	atomic_int n_servers; /* open or being opened */
	atomic_int opening;
	atomic_uint epoch; /* raised by RECONNECT and by a changed address or password */
	atomic_uint next_host;
	pthread_mutex_t lock; /* of the next four */
	struct welcome *welcome;
	char fail_sqlstate[6];
	char fail_message[512];
	_Atomic uint64_t refused_until_ms; /* new clients are refused until then */
	_Atomic bool failing;
	bool forced_user;
	atomic_bool
	    user_of_entry; /* its user is that of the entry (user= or secret=), whoever the client is */
	atomic_bool blocked_by_db, blocked_by_user; /* hungry, but that limit is reached */
	/* value of that startup parameter, "true" or "database"; pool_for_auth; or NULL */
	const char *replication;
	atomic_bool stay_on_host;
	int n_local;
	struct pool_local local[];
};

/* What the pools of one worker use; hangs on worker->pools. A reload replaces cfg and users. */
struct pool_worker {
	struct worker *workers; /* all of them */
	int n_workers;
	struct connectors *connectors; /* NULL once the program ends */
	struct config *cfg;	       /* references, owned */
	struct userlist *users;
	struct secrets *secrets; /* of the program; NULL = there are none */
	void (*recheck)(
	    struct worker *); /* logins that wait for an answer look again; NULL = nobody does */
};

static inline struct pool_worker *
pool_worker(const struct worker *w)
{
	return w->pools;
}

static inline struct pool_local *
pool_local(struct pool *p, const struct worker *w)
{
	return &p->local[w->index];
}

struct pool *pool_ref(struct pool *);
void pool_unref(struct pool *);

/* ---- for those who want a server (pool.c) ---- */

/* An idle server (the asker calls server_hold() at once), or NULL and the ticket is queued: exactly one of
 * granted/refused follows, unless pool_withdraw() comes first. */
struct server *pool_take(struct pool *, struct worker *, struct pool_ticket *);
void pool_withdraw(struct pool *, struct worker *, struct pool_ticket *);

static inline bool
pool_is_queued(const struct pool_ticket *t)
{
	return list_linked(&t->place);
}

/* The holder has let go. If the server is clean it goes to the next waiter, else it is closed. */
void pool_give_back(struct server *);
/* Closes a server that nobody holds; a waiting connection takes its room. */
void pool_close_server(struct server *, const char *reason);

/* ---- inside the folder, and for reload and console ---- */

/* Waiters and idle servers of one worker find each other; idle ones go to hungrier workers. */
void pool_dispatch(struct pool_local *);
/* On this worker: close idle servers (all, or only those of an older epoch). */
void pool_close_idle(struct pool *, struct worker *, bool all, const char *reason);
/* Wakes the worker of `l` from any thread: somebody may need its idle servers, or there is room now, or
 * min_pool_size wants more. */
void pool_ask(struct pool_local *);
/* The same, and a failure of before is no reason to wait any longer. */
void pool_try_now(struct pool_local *);
/* Why a server that nobody holds must not go to anybody else; NULL = it may. */
const char *pool_reason_to_close(struct server *);
/* More connections than the limit, which a reload has lowered. */
bool pool_is_over_limit(struct pool *);
/* Closes the idle server that was used longest ago, if any (on the worker of `l`). */
void pool_evict_one(struct pool_local *);

/* Connections that are waited for are opened, as far as limits allow (pool_open.c). */
void pool_grow(struct pool *, struct worker *);
/* Counts one more connection against all limits, or against none: false when one is reached, or `limit` of
 * the pool (0 = none). */
bool pool_count_server(struct pool *, int limit, uint64_t now_ms);
/* After a connection closed: its room is taken by who waits for it. */
void pool_uncount_server(struct pool *, struct worker *);
void pool_refuse_waiting(struct pool_local *);
/* Nobody waits any more (if so): other pools need not make room. */
void pool_unblock(struct pool *);
/* The deadline pool_local.retry: opens again, or tells who waits that it is no use. */
void pool_on_retry(struct deadline *);
/* Why connections cannot be opened at present; false when they can. */
bool pool_failure(struct pool *, char *sqlstate, size_t n_sqlstate, char *message,
    size_t n_message);
/* A reference, or NULL until the first server has connected. */
struct welcome *pool_welcome(struct pool *);

/* ---- limits that pools share (pool_share.c) ---- */

/* Room was made under p's database or user: of the pools that wait for it, the one whose client has waited
 * longest may open a connection. */
void pool_share_room(struct pool *);
/* That pool has taken what it can: what is left is for the next one. */
void pool_share_pass_on(struct pool *);
/* An idle connection of another pool under the limit that blocks p is closed. */
void pool_share_evict(struct pool *);
/* Counts a client against pool, database and user; FAULT_NONE, or the limit that is reached. */
enum fault pool_client_enters(struct pool *, struct quota *user, struct worker *);
void pool_client_leaves(struct pool *, struct quota *user, struct worker *);

#endif
