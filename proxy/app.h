/* app.h -- the whole program, built and joined: the only file that knows all parts.
 * The main thread runs app.main's loop: signals, reload, pause, shutdown, statistics. All functions here are
 * for the main thread, unless said otherwise. */
#ifndef PROXY_APP_H
#define PROXY_APP_H

#include "proxy/base/worker.h"
#include "proxy/session/session_set.h"

#include <stdbool.h>
#include <stddef.h>

#define PGSLUICE_VERSION "0.1.0"

struct config;
struct connectors;
struct https_calls;
struct jwks_source;
struct listeners;
struct secrets;
struct secrets_plan;
struct userlist;

enum app_shutdown {
	APP_RUNNING,
	APP_WAIT_CLIENTS, /* no new clients; ends when the last one has gone */
	APP_WAIT_SERVERS, /* clients end as they become idle; ends when no server is in use */
	APP_NOW,
};

struct app {
	const char *path; /* of the configuration */
	int verbose;	  /* -v on the command line */
	bool quiet, daemon;
	const char *user;	 /* -u */
	struct config *cfg;	 /* reference; the one in force */
	struct session_env *env; /* reference */
	struct session_totals totals;
	struct worker main;
	struct worker *workers;
	int n_workers;
	struct connectors *connectors;
	struct https_calls *calls; /* on main's loop */
	struct secrets *secrets;
	struct secrets_plan
	    *plan; /* of the configuration that was read last, until it is in force */
	struct jwks_source *keys;      /* of tokens; NULL = nobody needs them */
	struct jwks_source *keys_next; /* of the configuration that was read last */
	char *keys_from, *keys_ca;     /* where the keys come from */
	struct listeners *listeners;
	enum app_shutdown shutdown;
	int exit_code;
	struct deadline tick; /* while shutting down: is it time to go? */
};

/* Everything up to running workers; -1 after it has said what is wrong. */
int app_start(struct app *);
/* Runs until shutdown is complete. */
void app_run(struct app *);
void app_stop(struct app *);

/* Reads the configuration, auth_file and TLS files again: all of it takes effect, or nothing. On failure the
 * first fault is in err (all are in the log). */
bool app_reload(struct app *, char *err, size_t errlen);
/* One option replaced (SET on the console). */
bool app_set(struct app *, const char *key, const char *value, char *err, size_t errlen);
void app_shutdown(struct app *, enum app_shutdown);
/* name NULL: all databases. false: no such database, or (resume) it was not paused. Pausing closes servers as
 * they are released; app_is_paused() says when none is left. */
bool app_pause(struct app *, const char *name);
bool app_resume(struct app *, const char *name);
bool app_is_drained(struct app *, const char *name);

#endif
