/* command.h -- one query of our own on a server that no client has: check, reset, rollback,
 * connect_query, a session snapshot. Its answers go nowhere but to the verdict (and rows to `row`).
 * Exactly one `done` follows, never from inside command_run(). Timeout in ms. */
#ifndef POOL_COMMAND_H
#define POOL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

struct command_result {
	bool ok;
	char sqlstate[6]; /* "" when the server did not say */
	char why[200];	  /* one line */
};

struct command_ops {
	/* ok: no error, ReadyForQuery 'I'. Not ok: the callee closes the server, or gives it back if it is
	 * clean and the error was to be expected. Nobody holds the server now. */
	void (*done)(struct server *, const struct command_result *, void *arg);
	/* A DataRow's payload; NULL = not wanted. */
	void (*row)(struct server *, const uint8_t *payload, size_t n, void *arg);
};

/* false: out of memory or the server is gone; `done` does not follow. */
bool command_run(struct server *, const char *sql, int64_t timeout, const struct command_ops *,
    void *arg);

/* The same by the extended protocol, with one bound parameter. */
bool command_run_with(struct server *, const char *sql, const char *param, int64_t timeout,
    const struct command_ops *, void *arg);

#endif
