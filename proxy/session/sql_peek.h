/* sql_peek.h -- the little that is looked at in a client's SQL: its first words. Pure. */
#ifndef PROXY_SESSION_SQL_PEEK_H
#define PROXY_SESSION_SQL_PEEK_H

#include <stdbool.h>
#include <stddef.h>

/* Is the text (n bytes, its NUL included or not) `DEALLOCATE [PREPARE] name` and nothing else? The name,
 * folded to lower case unless quoted, goes to `name`. */
bool sql_peek_deallocate(const char *sql, size_t n, char *name, size_t room);

#endif
