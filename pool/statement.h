/* statement.h -- prepared statements by content: text and parameter types, interned and counted.
 * One struct statement serves every client and every server that has it; its server-side name cannot be
 * guessed, so no client can EXECUTE another's by name. Shared by all threads; a lock is taken when a
 * statement is made or goes. Must not know sessions or servers. */
#ifndef POOL_STATEMENT_H
#define POOL_STATEMENT_H

#include "proxy/base/hmap.h"

#include <stdatomic.h>

#define STATEMENT_NAME_SIZE 40

struct statement {
	struct hnode node;
	atomic_uint refs;
	_Atomic(const void *)
	    proven; /* the pool on whose server it was parsed without error last */
	char name[STATEMENT_NAME_SIZE]; /* on every server */
	uint32_t len;
	uint8_t body[]; /* of the Parse message behind the name: text NUL, count, type OIDs */
};

/* A reference to the statement with that body; NULL when out of memory. */
struct statement *statement_intern(const uint8_t *body, size_t len);
struct statement *statement_ref(struct statement *);
void statement_unref(struct statement *); /* NULL is harmless */

#endif
