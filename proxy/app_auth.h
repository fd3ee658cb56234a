/* app_auth.h -- what logins need besides auth_file, joined: rules, keys of tokens, helper threads. Main thread. */
#ifndef PROXY_APP_AUTH_H
#define PROXY_APP_AUTH_H

#include <stdbool.h>

struct app;
struct session_env;

typedef void app_auth_say(void *arg, bool is_error, const char *file, int line, const char *text);

/* Rules and keys for the configuration of env; nothing is in force yet. false after say was told of every
 * fault. */
bool app_auth_prepare(struct app *, struct session_env *env, app_auth_say *say, void *arg);
/* a->env, prepared last, comes into force; workers have not seen it, or do not serve clients yet. */
void app_auth_commit(struct app *);
void app_auth_discard(struct app *);

/* Helper threads start when they are needed, but not before the process is what it will stay. -1 = no
 * memory. */
int app_auth_start(struct app *);
/* After the workers have ended; hanging threads are left behind. */
void app_auth_stop(struct app *);

#endif
