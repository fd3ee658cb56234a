/* console_secrets.h -- SHOW SECRETS: what the cache of secrets is doing, and never a value. */
#ifndef PROXY_SESSION_CONSOLE_SECRETS_H
#define PROXY_SESSION_CONSOLE_SECRETS_H

struct console_host;
struct table;
struct worker;

extern const char *const console_secrets_columns[];

void console_secrets(struct worker *home, struct console_host *, struct table *, void *state);

#endif
