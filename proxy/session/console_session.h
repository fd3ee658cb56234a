/* console_session.h -- the admin console spoken as PostgreSQL, on databases "pgsluice" and "pgbouncer".
 * Simple and extended protocol. The commands are in proxy/admin; this file carries them over the wire. */
#ifndef PROXY_SESSION_CONSOLE_SESSION_H
#define PROXY_SESSION_CONSOLE_SESSION_H

#include <stdbool.h>

struct buf;
struct console;
struct session;

/* Is it the console's database? */
bool console_is(const char *database);
/* The operating system vouches for it: user "pgsluice" or "pgbouncer" over the Unix socket, same uid. */
bool console_trusts(const struct session *, const char *user);
/* Logged in: appends the rest of the greeting to `out`, sends it, and enters state CONSOLE; the login is
 * freed. false: refused (neither admin nor stats user), the session is gone. */
bool console_begin(struct session *, const char *user, struct buf *out);
/* Deals with what has been read already: a client in a hurry sends its first command with its password. */
bool console_continue(struct session *);
bool console_readable(struct session *);
void console_session_free(struct console *);
/* The name it logged in with. */
const char *console_user(const struct console *);

#endif
