/* secret_state.h -- struct secret, for secret.c, secret_cache.c, secret_publish.c and secrets.c only.
 * The first part is read by all threads under `lock`, which is never held across anything slow; the
 * second belongs to the main thread. */
#ifndef AUTH_SECRET_STATE_H
#define AUTH_SECRET_STATE_H

#include "auth/secret.h"
#include "auth/secret_schedule.h"
#include "auth/secret_source.h"
#include "auth/secret_version.h"
#include "auth/secrets.h"
#include "proxy/base/hmap.h"
#include "proxy/base/worker.h"

#include <pthread.h>
#include <stdatomic.h>

#define SECRET_MESSAGE_MAX 256

struct config_secret;

struct secrets {
	struct secrets_settings use;
	struct secret_source_env env;
	pthread_mutex_t lock; /* of the map */
	struct hmap by_name;
	int iterations; /* of the verifiers made here */
};

/* What is being asked for, and why. */
enum secret_asking { ASK_NOTHING, ASK_CURRENT, ASK_PENDING, ASK_PREVIOUS, ASK_RENEWAL };

struct secret {
	struct hnode node;
	struct secrets *all;
	char *name;

	/* ---- for all threads ---- */
	pthread_mutex_t lock;
	/* References. early: AWSPENDING, or another user's AWSPREVIOUS, while current is refused; and what
	 * clients may know already. */
	struct secret_version *current, *early, *previous;
	bool early_proven;	    /* PostgreSQL has let early in: it counts before current */
	uint64_t previous_until_ms; /* monotonic, as all times here unless said otherwise */
	uint64_t refused_until_ms;  /* all that is refused may be tried once more then */
	int64_t max_stale_ms;	    /* 0 = without limit */
	char error[SECRET_MESSAGE_MAX];
	_Atomic uint64_t answered_ms; /* when the provider last gave a value; 0 = never */
	atomic_bool wanted;	      /* somebody waits for a version */
	atomic_bool asked;	      /* a letter that says so is under way */
	_Atomic uint64_t hits;
	atomic_uint searches;  /* for the sake of a client's password, that have ended */
	atomic_bool searching; /* one is under way */
	atomic_bool live;      /* in the configuration in force */
	/* for SHOW SECRETS; the main thread alone writes them */
	_Atomic uint64_t calls, failures, forces, changes, fetched_ms, due_ms; /* due 0 = not */
	const char *_Atomic provider;
	atomic_bool deleted;

	/* ---- for the main thread ---- */
	const struct config_secret *entry; /* of cfg */
	struct config *cfg;		   /* reference; entry and its texts live in here */
	struct secret_source *source;
	enum secret_asking asking;
	bool forced;	       /* the answer to ASK_CURRENT decides about a refused login */
	bool client_asks;      /* ... or about a client's password */
	bool again;	       /* ask once more after the answer that is awaited */
	struct deadline timer; /* next refresh, retry or renewal */
	struct deadline grace; /* previous is dropped */
	unsigned failures_in_row, forced_in_row;
	uint64_t forced_after_ms; /* no forced refresh before */
	enum secret_error last_class;
	bool renewable;
	int64_t lease_life_ms;	      /* of the lease in use, as first given */
	char tried[2][SECRET_ID_MAX]; /* versions that were tried as early: pending, previous */
	struct secret_budget budget;
};

/* secret_cache.c; all on the main thread */
void secret_start(struct secret *);
/* REFRESH, or a file has changed: ask now. */
void secret_ask_now(struct secret *);
void secret_stop(struct secret *);
void secret_on_timer(struct deadline *);
void secret_on_grace(struct deadline *);
void secret_on_refused(struct secret *, struct secret_version *);
void secret_on_proven(struct secret *, struct secret_version *);
void secret_on_wanted(struct secret *);
void secret_on_client_refused(struct secret *);

/* secret_publish.c; all take the reference over, and tell who waits. */
struct secret_version *secret_version_of(struct secret *, const struct secret_answer *);
/* Becomes the current one. */
void secret_publish(struct secret *, struct secret_version *);
/* Not the current one yet, or the other user of two: for clients, and for servers while current is
 * refused. */
void secret_publish_early(struct secret *, struct secret_version *, const char *stage);
/* For clients only, for the time of grace. */
void secret_publish_previous(struct secret *, struct secret_version *);
void secret_tell_changed(struct secret *);

/* secret.c */
void secret_search_ends(struct secret *);
uint64_t secret_now_ms(void);
/* Locked by the caller: is there anything to log in with, or to let clients in by? */
bool secret_has_version(const struct secret *, int64_t unix_ms, uint64_t now_ms);
const char *secret_state_word(struct secret *);

#endif
