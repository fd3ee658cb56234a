/* secret_state.h -- struct secret, for secret.c, secret_*.c and secrets.c only.
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
#include <string.h>

#define SECRET_MESSAGE_MAX 256

struct config_secret;

struct secrets {
	struct secrets_settings use;
	struct secret_source_env env;
	pthread_mutex_t lock; /* of the map */
	struct hmap by_name;
	int iterations; /* of the verifiers made here */
	bool ending;	/* nothing is asked any more */
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
	struct deadline end;   /* the lease in use is left */
	unsigned failures_in_row;
	struct secret_pace forced_pace, client_pace;
	uint64_t not_before_ms; /* the provider, or the budget, wants to be left alone */
	enum secret_error last_class;
	bool renewable;
	int64_t lease_life_ms;	      /* of the lease in use, as first given */
	unsigned leases;	      /* that versions hold */
	uint64_t refused_serial;      /* the version whose refusal the log has told */
	char tried[2][SECRET_ID_MAX]; /* versions that were tried as early: pending, previous */
	char former[SECRET_ID_MAX];   /* the version that current has replaced */
	struct secret_budget budget;
};

/* secret_cache.c; all on the main thread */
void secret_start(struct secret *);
/* REFRESH: ask now. */
void secret_ask_now(struct secret *);
void secret_ask(struct secret *, enum secret_asking);
/* At that time at the latest: the next refresh. */
void secret_wake_by(struct secret *, uint64_t at_ms);
/* Ends what is under way, and what was learnt about the provider; versions stay. */
void secret_stop(struct secret *);
/* No longer in the configuration: versions go, and the source as soon as their leases have been given
 * back. */
void secret_remove(struct secret *);
/* The last reference to the version of a lease has gone. */
void secret_lease_given_back(struct secret *);
void secret_on_timer(struct deadline *);

/* secret_search.c; all on the main thread. A search asks for the current version, then for others. */
/* The current one has not changed, and that does not answer who asked. */
void secret_search_on(struct secret *);
void secret_on_other(struct secret *, const struct secret_answer *, enum secret_asking stage);
/* Whoever asked has his answer; what it brought is published already, and is told after this. */
void secret_search_over(struct secret *);
void secret_on_refused(struct secret *, struct secret_version *);
void secret_on_proven(struct secret *, struct secret_version *);
void secret_on_wanted(struct secret *);
void secret_on_client_refused(struct secret *);

/* secret_publish.c; all take the reference over. The caller tells who waits, after he has noted the end of
 * a search: who is told looks at both. */
struct secret_version *secret_version_of(struct secret *, const struct secret_answer *);
/* Becomes the current one. */
void secret_publish(struct secret *, struct secret_version *);
/* Not the current one yet, or the other user of two: for clients, and for servers while current is
 * refused. */
void secret_publish_early(struct secret *, struct secret_version *, const char *stage);
/* For clients only, for the time of grace. */
void secret_publish_previous(struct secret *, struct secret_version *);
void secret_tell_changed(struct secret *);
/* Drops all versions. */
void secret_forget(struct secret *);
/* The lease in use has begun, or has been renewed. */
void secret_watch_end(struct secret *);
void secret_on_grace(struct deadline *);
void secret_on_end(struct deadline *);

/* secret.c */
void secret_search_ends(struct secret *);
uint64_t secret_now_ms(void);
/* Locked by the caller: is there anything to log in with, or to let clients in by? */
bool secret_has_version(const struct secret *, int64_t unix_ms, uint64_t now_ms);
/* The contrary, unlocked. */
bool secret_has_none(struct secret *);
const char *secret_state_word(struct secret *);

/* Is it the id that is kept here ("" = none)? */
static inline bool
secret_id_is(const char kept[SECRET_ID_MAX], const char *id)
{
	return kept[0] != '\0' && strncmp(kept, id, SECRET_ID_MAX - 1) == 0;
}

#endif
