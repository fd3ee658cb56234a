/* client_statements.h -- the prepared statements of one client by the names it gave them, and its unnamed one.
 * Not thread-safe; lives with its session. Must not know servers: prepared.c joins the two. */
#ifndef PROXY_SESSION_CLIENT_STATEMENTS_H
#define PROXY_SESSION_CLIENT_STATEMENTS_H

#include "proxy/base/buf.h"
#include "proxy/base/hmap.h"

#include <stdbool.h>

struct session;
struct statement;

struct client_statement {
	struct hnode node;
	struct statement *st;
	bool asked;    /* its Parse has not been answered yet */
	uint8_t hints; /* of its text, sql_peek.h */
	char name[];
};

struct client_statements {
	struct hmap map;
	uint8_t *unnamed; /* body of the last unnamed Parse */
	uint32_t unnamed_len, unnamed_size;
	uint64_t
	    unnamed_token;    /* tells one unnamed statement from the next; see server.unnamed_of */
	bool unnamed_earlier; /* a Sync was sent since the unnamed Parse */
	uint8_t unnamed_hints; /* of its text, sql_peek.h */
	/* Names, each with its NUL: left on the server by prepared.c's parse_stray() ... */
	struct buf strays;
	/* ... and of custom parameters that the client has set. */
	struct buf custom;
};

/* What a Parse or Close did to the map, so that it can be undone. */
struct client_change {
	struct client_statement *added, *removed;
};

/* The session's, made when it has none; NULL when out of memory. */
struct client_statements *client_statements_of(struct session *);
struct client_statement *client_statements_find(const struct session *, const char *name);
/* NULL when out of memory or there are too many. */
struct client_statement *client_statements_add(struct session *, const char *name,
    const uint8_t *body, size_t n);
/* Takes it out of the map; it is the caller's. */
void client_statements_take(struct session *, struct client_statement *);
void client_statement_free(struct client_statement *);
/* A copy of the unnamed statement, with a new token; false when out of memory. */
bool client_statements_keep_unnamed(struct session *, const uint8_t *body, size_t n);

#endif
