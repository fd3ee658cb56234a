/* secret_source.h -- the interface of a provider of secrets. Everything runs on the main thread's
 * loop; a fetch never blocks. The cache (auth/secret_cache.h) decides when to fetch, a source how.
 * A source holds no state about the secret's life but its own login to the service, which several
 * sources of the same identity may share. Must not know databases, pools or clients. */
#ifndef AUTH_SECRET_SOURCE_H
#define AUTH_SECRET_SOURCE_H

#include "auth/secret_value.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_secret;
struct https_calls;
struct loop;
struct secret_source;

/* What sources may use; all outlive them. */
struct secret_source_env {
	struct loop *loop;
	struct https_calls *calls;
	int64_t (*unix_ms)(void); /* wall clock */
};

enum secret_stage {
	SECRET_CURRENT,
	SECRET_PENDING, /* AWSPENDING; SECRET_NOT_SERVED where a provider has no such thing */
	SECRET_PREVIOUS /* AWSPREVIOUS, or the version before the newest */
};

/* Classes of failure, by what the cache does then (reference section 1.1). */
enum secret_error {
	SECRET_OK,
	SECRET_TRANSIENT, /* no answer, 5xx, unreadable: back off */
	SECRET_THROTTLED, /* back off longer, or by retry_after_ms */
	SECRET_DENIED, /* our own credentials, after the source has renewed them once and tried again */
	SECRET_GONE,	  /* not found, deleted, access denied, disabled: people repair these */
	SECRET_BAD_VALUE, /* there is a version, but it cannot be used */
	SECRET_NOT_SERVED /* this provider has no such stage */
};

struct secret_answer {
	enum secret_error error;
	const char *message;	    /* one line for log and SHOW SECRETS, no secret; NULL when OK */
	int64_t retry_after_ms;	    /* 0 = as the cache likes */
	struct secret_value *value; /* when OK; the source wipes it after done() */
	const char *version;	    /* version id; never NULL when OK */
	bool deleted;		    /* still readable, but marked for deletion */
	/* Vault: the value ends at expiry unless renewed. 0 = no end. Unix ms. */
	int64_t expires_unix_ms;
	const char *lease; /* id to be given to renew() and revoke(), NULL = none */
	bool renewable;
	/* When the value changes by itself (static roles, rds-iam): fetch again then; 0 = unknown. */
	int64_t refresh_unix_ms;
};

struct secret_fetch;
/* The answer and all it points to are valid during the call only. May start another fetch. */
typedef void secret_fetched(void *arg, const struct secret_answer *);

struct secret_source_ops {
	const char *name; /* provider= in the configuration */
	/* Checks the entry and prepares. No I/O that can block. NULL with one line in err (for the file
	 * and line of the entry): which key, what is wrong, what is accepted. */
	struct secret_source *(*open)(const struct config_secret *,
	    const struct secret_source_env *, char *err, size_t errlen);
	/* One at a time per source. done runs once, from the loop, never from inside this call. */
	void (*fetch)(struct secret_source *, enum secret_stage, secret_fetched *, void *arg);
	/* NULL where there are no leases. The answer has expires_unix_ms and no value. */
	void (*renew)(struct secret_source *, const char *lease, secret_fetched *, void *arg);
	/* Best effort; no answer. After close() it still goes out if the loop runs. NULL as above. */
	void (*revoke)(struct secret_source *, const char *lease);
	/* Files: calls changed(arg) (from the loop) when it is worth fetching again. NULL where a source
	 * cannot know. */
	void (*watch)(struct secret_source *, void (*changed)(void *arg), void *arg);
	/* A fetch under way ends without a word. */
	void (*close)(struct secret_source *);
};

struct secret_source {
	const struct secret_source_ops *ops; /* first member of every source */
};

#endif
