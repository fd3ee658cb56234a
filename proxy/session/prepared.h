/* prepared.h -- a client's prepared statements, which follow it from server to server.
 * The client's name stands for a shared statement (pool/statement.h); on each server that has one name for
 * everybody, parsed there when it is first needed. The unnamed statement is kept by text and parsed again
 * when its next Bind meets another server. What fails or is skipped is undone: the client then has what
 * PostgreSQL would say it has. Errors (42P05, 26000) are made by the server itself, in their place in the
 * pipeline. All return false when out of memory (the session cannot go on) unless said otherwise. */
#ifndef PROXY_SESSION_PREPARED_H
#define PROXY_SESSION_PREPARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PREPARED_NAMES_MAX 65536 /* named statements of one client */

struct buf;
struct client_statements;
struct relay_out;
struct session;

/* The note of the query that sets parameters; compared by address. */
extern char prepared_params_mark;

/* Transaction or statement pooling, and max_prepared_statements is not 0. */
bool prepared_is_on(const struct session *);

/* The message builds on what an unanswered earlier segment of the pipeline may yet undo: it must wait. */
bool prepared_must_wait(const struct session *, const uint8_t *msg, size_t have);
/* Whole messages, header included. They are passed on or replaced, and expected. */
bool prepared_parse(struct session *, struct relay_out *, const uint8_t *msg, size_t total);
bool prepared_close(struct session *, struct relay_out *, const uint8_t *msg, size_t total);
/* Passed on with what they need before them; the caller expects their own answer. Of a Bind only the first
 * `have` bytes are there. */
bool prepared_bind(struct session *, struct relay_out *, const uint8_t *msg, size_t have,
    size_t total);
bool prepared_describe(struct session *, struct relay_out *, const uint8_t *msg, size_t total);
/* While no server is attached and nothing is owed: a Parse that a server of this pool has accepted from
 * anybody, and a Close, need none. True when the message was dealt with and its answer put into `answers`. */
bool prepared_without_server(struct session *, const uint8_t *msg, size_t total,
    struct buf *answers);
/* Behind a Sync of the client. */
bool prepared_after_sync(struct session *, struct relay_out *);

/* SQL DEALLOCATE of a protocol-level name (PHP's PDO does that). False: the client has no such statement. */
bool prepared_deallocate(struct session *, struct relay_out *, const char *name);
/* A simple Query does away with the unnamed statement. */
void prepared_forget_unnamed(struct session *);
/* The tag of a CommandComplete: DEALLOCATE ALL and DISCARD ALL end all statements. */
void prepared_command_tag(struct session *, const char *tag, size_t n);
/* A note with .client came back. */
void prepared_settled(struct session *, void *change, bool ok);
unsigned prepared_count(const struct session *);
void prepared_free(struct client_statements *);

#endif
