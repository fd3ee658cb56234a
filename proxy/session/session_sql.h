/* session_sql.h -- what a client's SQL does to the session on the server, beyond what the protocol reports.
 * Parameters that it sets become the client's: after such a transaction the server is asked for all that are
 * set in the session, once, before anybody else gets it; on attach the next client's are put in their place.
 * What cannot be moved (temporary tables, session advisory locks, cursors WITH HOLD, LISTEN, PREPARE, LOAD)
 * pins the session to its server until it ends or discards all. Only with transaction and statement pooling. */
#ifndef PROXY_SESSION_SESSION_SQL_H
#define PROXY_SESSION_SESSION_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

/* A simple Query is on its way: its text (n bytes) has been looked at and its request pushed. */
void session_sql_query(struct session *, const char *sql, size_t n);
/* The text of a Parse. */
void session_sql_text(struct session *, const char *sql, size_t n);
/* A statement with these hints (sql_peek.h) is bound. */
void session_sql_hints(struct session *, uint8_t hints);
/* The tag of a CommandComplete. */
void session_sql_tag(struct session *, const char *tag, size_t n);
/* The transaction is over and the server stays until it has told its parameters; then the session goes on.
 * false: the session is gone. */
bool session_sql_snapshot(struct session *);

#endif
