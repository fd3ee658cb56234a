/* params.h -- sets of session parameters (GUC name = value), interned: two equal sets are one pointer.
 * A client has the set it wants, a server the set it has; "nothing to do" is one comparison.
 * Immutable and counted; shared by all threads (a lock is taken when a set is made or goes, never when
 * sets are compared). Names compare without case, as PostgreSQL's do. Parameters that no client can
 * change (server_version ...) never get in. Must not know sessions or servers. */
#ifndef POOL_PARAMS_H
#define POOL_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct params;

#define PARAMS_MAX	 256	     /* parameters of one set */
#define PARAMS_BYTES_MAX (64 * 1024) /* names and values of one set */

/* The empty set; never NULL. Like all others to be unref'd, which for this one does nothing. */
struct params *params_empty(void);
struct params *params_ref(struct params *);
void params_unref(struct params *); /* NULL is harmless */

/* `base` with name = value (NULL: without name). Takes the caller's reference to base and returns one to
 * the result; NULL, and base is untouched, when there is no memory or a bound is exceeded. */
struct params *params_with(struct params *base, const char *name, const char *value);

/* Has a server accepted a set like this one (application_name apart, of which any value will do)? */
bool params_is_proven(const struct params *);
void params_set_proven(struct params *);

const char *params_get(const struct params *, const char *name); /* NULL when not in the set */
size_t params_count(const struct params *);
void params_each(const struct params *,
    void (*each)(void *arg, const char *name, const char *value), void *arg);

/* Appends SQL that brings a session from one set to the other; nothing when there is no difference. */
void params_sql(const struct params *from, const struct params *to, struct buf *sql);

/* A parameter whose value belongs to the server, not to the session. */
bool params_is_fixed(const char *name);
/* Appends 'text' as an SQL literal. */
void params_quote(struct buf *sql, const char *text);

#endif
