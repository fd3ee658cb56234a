/* connector_trace.h -- what PQtrace() writes about a login: the cancel key, and the names of the
 * parameters that the server reported (libpq has no list of them).
 * The text is treated as a secret: it lives in memory that is wiped, never in a file.
 *
 * libpq prints strings as they are, so a hostile value could look like a line of its own. Therefore
 * only names are read from here (libpq knows the values), and a key counts only next to the process
 * id that libpq knows. Must not know libpq. */
#ifndef POOL_CONNECTOR_TRACE_H
#define POOL_CONNECTOR_TRACE_H

#include "proxy/base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct connector_trace {
	FILE *file; /* for PQtrace(); unbuffered */
	struct buf text;
};

/* A trace of all zeros is closed. -1 with errno. */
int connector_trace_open(struct connector_trace *);
void connector_trace_clear(struct connector_trace *);
/* Not while libpq has the file. Harmless when closed. */
void connector_trace_close(struct connector_trace *);

/* The cancel key of this backend: its length, 0 when the text does not show one. */
size_t connector_trace_key(const char *text, size_t len, uint32_t backend_pid, uint8_t *key,
    size_t room);

/* Has ReadyForQuery come, the end of the login? */
bool connector_trace_ready(const char *text, size_t len);

/* The name in the next ParameterStatus at or after *at, which moves on. False at the end. Names that
 * do not fit are passed over. */
bool connector_trace_parameter(const char *text, size_t len, size_t *at, char *name, size_t room);

#endif
