/* auth_query.h -- users whom only the database knows, looked up by auth_query and remembered for all workers.
 * The query runs as auth_user in a pool of its own, which no client ever uses and which no parameter of a client
 * reaches; the user's name is a bound parameter. One look-up serves everybody who asks for the same user. An answer
 * is good for auth_query_ttl, "no such user" for auth_query_negative_ttl, and a secret no longer than its VALID
 * UNTIL; when the database cannot be asked, an answer of before goes on to be used. At most AUTH_QUERY_MAX are
 * kept. The query returns name and secret, and as third column, if it likes, the end of validity as seconds since
 * 1970. Must not know sessions. Times are ms. */
#ifndef POOL_AUTH_QUERY_H
#define POOL_AUTH_QUERY_H

#include <stdbool.h>

#define AUTH_QUERY_MAX 10000

struct config;
struct userlist;
struct worker;

enum auth_query_result {
	AUTH_QUERY_NONE,  /* no such user, or nobody may look: as if it were unknown */
	AUTH_QUERY_FOUND, /* *out is a list of that one user, a reference */
	AUTH_QUERY_WAIT, /* pool_worker.recheck runs on all workers when there is an answer: ask again then */
	AUTH_QUERY_FAULT, /* it cannot be known at present; the log says why */
};

/* `database` is the one the client asked for. */
enum auth_query_result auth_query_find(struct worker *, const struct config *, const char *database,
    const char *user, struct userlist **out);
/* The user's password did not fit what is remembered: the next login looks again, within bounds. */
void auth_query_doubt(const struct config *, const char *database, const char *user);
/* A reload: nothing that is remembered counts any more. */
void auth_query_forget(void);

#endif
