/* stage.h -- the vocabulary of scenarios: real sessions, pools and servers on the fake loop and fake
 * connector; the test plays the clients and PostgreSQL. Everything settles before a call returns.
 *
 * Messages are written as their type letters. Of servers: Z ReadyForQuery idle, z in a transaction,
 * x in a failed one; E is an ERROR 42601. */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include "tests/scenario/fake_connector.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;

enum { STAGE_WORKERS = 3 };

/* A stage with one worker; `options` are lines of [pgsluice], `database` what follows host=... of both the
 * database and "the other" one. Users: web, kim, lee. */
void stage_begin(const char *options, const char *database);
void stage_begin_workers(int workers, const char *options, const char *database);
/* Everybody leaves; checks that nothing is counted or held any more. */
void stage_end(void);
void stage_clock(uint64_t ms); /* +ms */
/* As RELOAD does with such a file. */
void stage_reload(const char *options, const char *database);
/* PAUSE, or RESUME, of all databases. */
void stage_pause(bool paused);
/* Servers that are idle on that worker; that are open or being opened. */
int stage_idle_at(int worker);
int stage_servers(void);
/* Counts agree with lists, and no server is idle while a client waits for one. */
void stage_check(void);

/* ---- clients ---- */

/* Connects, logs in as "web" and has been told so. */
struct client *client_in(void);
/* The same, but it may still be waiting (or refused): nothing is expected. */
struct client *client_knocks(void);
/* With one startup parameter more. */
struct client *client_in_with(const char *name, const char *value);
/* On that worker (from 0); as that user, in the other database. */
struct client *client_in_at(int worker);
struct client *client_in_as(int worker, const char *user, bool other);
struct client *client_knocks_at(int worker, const char *user, bool other);
void client_leaves(struct client *);   /* closes without a word */
void client_vanishes(struct client *); /* the same, and nobody has noticed yet */
void client_sends_bytes(struct client *, const void *, size_t);
void client_query(struct client *, const char *sql);
/* Appended to what is sent by client_go(); so that a pipeline is one packet. */
void client_parse(struct client *, const char *name, const char *sql);
void client_bind(struct client *, const char *name);
void client_describe(struct client *, const char *name);
void client_execute(struct client *);
void client_close(struct client *, const char *name);
void client_sync(struct client *);
void client_go(struct client *);
/* Exactly these messages have come since the last look. */
void client_gets(struct client *, const char *types);
/* Whole answers since the last look: the last one's row (its query's text, see servers_answer()), "" when it
 * had none; NULL when nothing has come. */
const char *client_answer(struct client *);
/* Exactly one error with this SQLSTATE has come (and, when FATAL, the end). */
void client_gets_error(struct client *, const char *sqlstate);
void client_gets_fatal(struct client *, const char *sqlstate);
/* Bytes so far, without looking at them; for large transfers. */
size_t client_drains(struct client *);
/* Sends what is taken at once, without waiting for room; the number of bytes. */
size_t client_pours(struct client *, const void *, size_t);
/* Sends a CancelRequest with its key, on a connection of its own. True when that was closed already. */
bool client_cancels(struct client *);
bool client_cancel_is_over(void);

/* ---- servers, numbered from 1 as they are opened ---- */

int servers_opened(void);
void servers_forget(void); /* for stage_end() */
void server_sends(int n, const char *types);
void server_sends_bytes(int n, const void *, size_t);
size_t server_pours(int n, const void *, size_t);
size_t server_drains(int n);
void server_sends_error(int n, const char *severity, const char *sqlstate, const char *message);
void server_reports(int n, const char *name, const char *value);
/* Exactly these messages have arrived since the last look. */
void server_gets(int n, const char *types);
/* The payload of the nth message (from 0) of the last look; a Parse, Bind or Describe begins with its name. */
const char *server_got(int n, int nth);
/* Each server answers the queries that have come: begin and commit as such, to others a row with their
 * text. The number of queries. */
int servers_answer(void);
void server_dies(int n);
bool server_is_closed(int n); /* by us */

/* begin; the client is in a transaction on that server. */
void client_begins_on(struct client *, int n);
void client_runs_on(struct client *, int n, const char *sql);

#endif
