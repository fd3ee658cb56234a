/* connector_scram.h -- how much work a server asks of libpq. PQconnectPoll() computes any number of SCRAM rounds in one
 * call: a thousand million of them hold up a connector thread, and all logins with it, for many minutes. So the
 * server's message is looked at before libpq reads it. On TLS connections it cannot be seen: who answers there has
 * shown a certificate, where that is verified. Format: RFC 5802; PostgreSQL docs, AuthenticationSASLContinue. */
#ifndef POOL_CONNECTOR_SCRAM_H
#define POOL_CONNECTOR_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNECTOR_SCRAM_ROUNDS_MAX 1000000 /* about a second */

/* Do these bytes begin with a server-first message that asks for more rounds than that? */
bool connector_scram_asks_too_much(const uint8_t *p, size_t n);
/* The same of what waits in a socket, which is left there. */
bool connector_scram_peek(int fd);

#endif
