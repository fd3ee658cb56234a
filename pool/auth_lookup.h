/* auth_lookup.h -- one run of auth_query: a server of auth_user's own pool, one bound parameter, one row.
 * Everything happens on the asker's thread. Must not know the cache. */
#ifndef POOL_AUTH_LOOKUP_H
#define POOL_AUTH_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct userlist;
struct worker;

struct auth_lookup_answer {
	bool ok;		/* the query ran; else the log says why not */
	struct userlist *users; /* a list of the user; NULL: not there, or without a secret */
	int64_t valid_until;	/* seconds since 1970, 0 = for ever */
};

/* `key` is copied, and comes back with the answer, exactly once; from inside
 * auth_lookup() only when memory is short. */
typedef void auth_lookup_done(struct worker *, const char *key, size_t key_len,
    const struct auth_lookup_answer *);

/* false: no memory, or the database does not exist; then there is no answer. */
bool auth_lookup(struct worker *, const struct config *, const char *database,
    const char *auth_user, const char *user, const char *query, const char *key, size_t key_len,
    auth_lookup_done *);

#endif
