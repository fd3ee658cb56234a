/* secret_version.h -- one version of a secret: a user, a password and what belongs to them, as they
 * were fetched. Unchangeable but for the flags, counted by references, used from any thread; lives in
 * locked memory that no core file shows (proxy/base/secure.h) and is wiped when the last reference
 * goes. No printer. Must not know providers, the cache or connections. */
#ifndef AUTH_SECRET_VERSION_H
#define AUTH_SECRET_VERSION_H

#include "auth/secret_value.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SECRET_ID_MAX 128 /* characters of a version id that are kept */

struct scram_verifier;

struct secret_version {
	atomic_int refs;
	uint64_t serial;      /* unique in the process */
	const char *user;     /* NULL = the secret names none */
	const char *password; /* with a NUL */
	size_t password_len;
	const char *host, *dbname; /* NULL = none */
	int port;		   /* 0 = none */
	_Atomic int64_t
	    expires_unix_ms;	/* the role or token ends then, 0 = never; renewals move it */
	char id[SECRET_ID_MAX]; /* as the provider calls it */
	char *lease;		/* NULL = none */
	/* Nobody may be given a server connection that was opened with it: another user has taken over,
	 * or its lease is about to end. Those who have one may finish. */
	atomic_bool retired;
	atomic_bool refused; /* PostgreSQL said no to it; for the cache, as is the next one */
	atomic_bool worked;  /* PostgreSQL has let it in */
	/* Runs on whatever thread drops the last reference, before the version is wiped. */
	void (*gone)(void *arg, const struct secret_version *);
	void *gone_arg;
	struct scram_verifier
	    *verifier; /* of the password, made when it was fetched; NULL = no user */
};

/* NULL = no memory. Costs PBKDF2 when there is a user. The salt of the verifier is the one that an unknown
 * user of that name would be shown, so that all versions of a secret fit one exchange. */
struct secret_version *secret_version_new(const struct secret_value *, const char *id,
    const char *lease, int64_t expires_unix_ms, int iterations);
struct secret_version *secret_version_ref(struct secret_version *);
void secret_version_unref(struct secret_version *); /* NULL is harmless */

/* Is this its id (of which SECRET_ID_MAX - 1 characters count)? */
bool secret_version_is(const struct secret_version *, const char *id);
/* Same user, password and place: an answer that changed nothing but its id. */
bool secret_version_says(const struct secret_version *, const struct secret_value *);
/* Do two versions log in as the same user? */
bool secret_version_same_user(const struct secret_version *, const struct secret_version *);

#endif
