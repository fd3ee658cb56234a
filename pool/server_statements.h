/* server_statements.h -- the prepared statements that one server connection has, oldest use first.
 * Not thread-safe: it moves with its server. Holds a reference to each statement.
 * What the server really has is known only when it answered; until then an entry is `asked`. An entry
 * that may no longer be valid (its plan, or a DEALLOCATE ALL) is `stale`: it is closed on the server and
 * parsed again before the next use. Must not know sessions. */
#ifndef POOL_SERVER_STATEMENTS_H
#define POOL_SERVER_STATEMENTS_H

#include "proxy/base/hmap.h"
#include "proxy/base/list.h"

struct statement;

struct server_statement {
	struct hnode node;
	struct list_node lru;
	struct statement *st;
	bool stale;
};

struct server_statements {
	struct hmap map;
	struct list_node lru; /* least recently used first */
};

void server_statements_init(struct server_statements *);
void server_statements_release(struct server_statements *);
/* NULL when the server does not have it. Makes it the most recently used one. */
struct server_statement *server_statements_find(struct server_statements *, struct statement *);
/* A new entry, the most recently used; NULL when out of memory. Must not be there yet. */
struct server_statement *server_statements_add(struct server_statements *, struct statement *);
/* Takes it out; it is the caller's until put back or freed. */
void server_statements_take(struct server_statements *, struct server_statement *);
/* Back in, as stale, unless the statement has another entry by now (then it is freed). */
void server_statements_put_back(struct server_statements *, struct server_statement *);
void server_statement_free(struct server_statement *);
struct server_statement *server_statements_oldest(const struct server_statements *);
uint32_t server_statements_count(const struct server_statements *);
void server_statements_all_stale(struct server_statements *);

#endif
