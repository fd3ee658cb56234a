/* session_set.h -- all sessions of one worker, and the limits on clients that hold over all workers. */
#ifndef PROXY_SESSION_SESSION_SET_H
#define PROXY_SESSION_SESSION_SET_H

#include "proxy/base/buf.h"
#include "proxy/base/list.h"
#include "proxy/base/tls.h"
#include "proxy/base/worker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct config;
struct login_auth_names;
struct login_auth_rules;
struct login_jobs;
struct session;
struct userlist;

/* Shared by all workers. */
struct session_totals {
	atomic_int clients;	   /* logged in, the console not counted */
	atomic_int logins;	   /* accepted and not logged in yet */
	atomic_bool shutting_down; /* no new client comes in */
	_Atomic uint64_t last_id;
	/* helper threads for LDAP and PAM, and for names of clients; set before the workers start */
	struct login_jobs *jobs, *names;
};

/* What a login needs; a reload replaces it as a whole. Counted. */
struct session_env {
	atomic_int refs;
	struct config *cfg;
	struct userlist *users;
	struct login_auth_rules *rules; /* owned; NULL = auth_type says it all */
	SSL_CTX *tls;			/* NULL: no TLS towards clients */
	uint8_t cb_hash[64];
	size_t cb_len;
};

struct session_env *session_env_ref(struct session_env *);
void session_env_unref(struct session_env *);

/* Hangs on worker->sessions. */
struct session_set {
	struct list_node all;	 /* logged in */
	struct list_node logins; /* not yet, oldest first */
	struct session **slots;	 /* by number; NULL = free */
	uint32_t n_slots, first_free;
	struct session_totals *totals;
	struct session_env *env;
	struct login_auth_names *names; /* of clients, found by helper threads */
	struct buf scratch; /* for what is put together on the way to a server or client */
	struct buf fakes;   /* answers made up, until they are written */
	struct worker *workers;
	int n_workers;
	/* The console's commands, joined by app.c: takes a whole command line. */
	void *console_owner;
};

static inline struct session_set *
session_set_of(const struct worker *w)
{
	return w->sessions;
}

int session_set_init(struct worker *, struct session_totals *, struct session_env *,
    struct worker *workers, int n_workers);
void session_set_destroy(struct worker *);

/* A number below 2^25 for the session; false when out of memory or numbers. */
bool session_set_number(struct session_set *, struct session *);
void session_set_forget(struct session_set *, struct session *);
/* The session with that cancel key on this worker, or NULL. Constant time in the key. */
struct session *session_set_by_key(struct session_set *, uint32_t slot, const uint8_t *key,
    size_t n);

/* The session of that number, if it is still the one with this id. */
struct session *session_set_by_id(struct session_set *, uint32_t slot, uint64_t id);

/* One more login in progress; when there are too many, the one that has been silent longest goes. false:
 * that was this one, and it is gone. */
bool session_set_login_begins(struct session_set *, struct session *);
void session_set_login_ends(struct session_set *, struct session *);
/* Counts against max_client_conn. */
bool session_set_enter(struct session_set *);
void session_set_leave(struct session_set *);

/* A secret has changed: who waits for one in its login looks again. */
void session_set_recheck(struct worker *);
/* Ends idle sessions (and those not logged in) with a word; busy ones as soon as they are idle. */
void session_set_drain(struct worker *);
/* Ends all at once. */
void session_set_end_all(struct worker *, const char *reason);

#endif
