/* app_secrets.h -- the secrets cache joined to pools and logins. Main thread. */
#ifndef PROXY_APP_SECRETS_H
#define PROXY_APP_SECRETS_H

struct app;

/* Before the configuration is read for the first time; needs the main loop. -1 = no memory. */
int app_secrets_init(struct app *);
/* The plan that came with a configuration takes effect. */
void app_secrets_commit(struct app *);
void app_secrets_discard(struct app *);
/* Leases are given back; takes a second or two when there are any. The loop must not be running. */
void app_secrets_revoke(struct app *);
void app_secrets_free(struct app *);

#endif
