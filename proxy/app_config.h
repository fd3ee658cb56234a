/* app_config.h -- from files to what workers use: configuration, users, TLS; at start and at reload. */
#ifndef PROXY_APP_CONFIG_H
#define PROXY_APP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

struct app;
struct config;
struct session_env;

/* Reads a->path and all files it names. NULL after every fault has been logged (the first is in err). */
struct session_env *app_config_load(struct app *, char *err, size_t errlen);
/* The same for a configuration that is at hand; takes the reference. */
struct session_env *app_config_with(struct app *, struct config *, char *err, size_t errlen);
/* Gives the workers, pools and the log what a->env holds. */
void app_config_spread(struct app *, const struct config *old);
/* log_setup() by the configuration and the command line. */
int app_config_log(const struct app *, const struct config *);

#endif
