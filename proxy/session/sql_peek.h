/* sql_peek.h -- the little that is looked at in a client's SQL: its first words. Pure. */
#ifndef PROXY_SESSION_SQL_PEEK_H
#define PROXY_SESSION_SQL_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a text may do to the session on the server beyond what the protocol reports. A guess that errs on the
 * careful side: it looks at words, not at syntax. */
enum sql_hint {
	SQL_SETS = 1, /* set_config(): parameters change without a tag that says so */
	SQL_LOCAL_SET =
	    2, /* one SET LOCAL, SET TRANSACTION or SET CONSTRAINTS: gone with the transaction */
	SQL_TEMP = 4,	  /* a temporary table, view or sequence */
	SQL_ADVISORY = 8, /* a session-level advisory lock */
	SQL_HOLD = 16,	  /* a cursor WITH HOLD */
	SQL_IDENTITY =
	    32, /* SET SESSION AUTHORIZATION: only its own server can go on as somebody else */
	SQL_PINS = SQL_TEMP | SQL_ADVISORY | SQL_HOLD | SQL_IDENTITY,
};

/* Hints for a text of n bytes (a NUL at its end may be included). One pass, no allocation. */
uint8_t sql_peek_hints(const char *sql, size_t n);
/* The dotted name that a `SET [SESSION] a.b` begins with: a custom parameter, which pg_settings hides. */
bool sql_peek_custom(const char *sql, size_t n, char *name, size_t room);

/* Is the text one SET [SESSION] of a name, with nothing before or behind it? */
bool sql_peek_plain_set(const char *sql, size_t n);

/* Is the text (n bytes, its NUL included or not) `DEALLOCATE [PREPARE] name` and nothing else? The name,
 * folded to lower case unless quoted, goes to `name`. */
bool sql_peek_deallocate(const char *sql, size_t n, char *name, size_t room);

#endif
