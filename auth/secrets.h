/* secrets.h -- all secrets of the configuration: opened, reloaded, found, shown. One struct secrets in
 * the program; secrets_find() and secrets_each() are for any thread, all else for the main thread, on
 * whose loop everything runs. A reload is all or nothing: what is wrong with any entry is said before anything
 * changes. Must not know databases or sessions. */
#ifndef AUTH_SECRETS_H
#define AUTH_SECRETS_H

#include "auth/secret_source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config;
struct secret;
struct secrets;
struct secrets_plan;
struct worker;

struct secrets_settings {
	struct worker *main; /* its loop, its mailbox */
	struct https_calls *calls;
	const struct secret_source_ops *(*find)(const char *provider);
	const char *(*names)(void);
	/* A version came, went or was let in; or an answer came that changed nothing but that somebody
	 * waits for. From the loop of main. NULL = nobody asks. */
	void (*changed)(void *arg, struct secret *);
	void *arg;
	int64_t (*unix_ms)(void); /* NULL: the wall clock */
};

struct secrets *secrets_new(const struct secrets_settings *); /* NULL = no memory */
/* After the workers have ended and dropped their references. NULL is harmless. */
void secrets_free(struct secrets *);

typedef void secrets_say(void *arg, bool is_error, const char *file, int line, const char *text);

/* Opens the sources of all entries that are new or have changed. NULL after any fault, all of which
 * `say` was told. */
struct secrets_plan *secrets_prepare(struct secrets *, const struct config *, secrets_say *say,
    void *arg);
/* Makes it so: new entries begin to be fetched, those that are gone are fetched no more. Consumes the
 * plan. */
void secrets_commit(struct secrets *, struct secrets_plan *);
void secrets_discard(struct secrets_plan *); /* NULL is harmless */

/* NULL = not in the configuration in force. */
struct secret *secrets_find(struct secrets *, const char *name);
/* Asks the provider now (REFRESH SECRET). false: no such secret. */
bool secrets_refresh(struct secrets *, const char *name);
/* Gives leases back. Best effort: true when there are any, and the loop has to run a little longer. */
bool secrets_revoke(struct secrets *);

struct secret_view {
	const char *name, *provider, *version, *user, *state, *error; /* never NULL; "" = none */
	int64_t age_ms;		 /* since the version in use was fetched; -1 = none */
	int64_t checked_ms;	 /* since the provider last answered; -1 = never */
	int64_t next_refresh_ms; /* from now; -1 = none due */
	int64_t expires_ms;	 /* from now; -1 = never */
	uint64_t calls, hits, failures, forced, changes;
};

/* SHOW SECRETS, by name. Never a value. */
void secrets_each(struct secrets *, void (*row)(void *arg, const struct secret_view *), void *arg);

#endif
