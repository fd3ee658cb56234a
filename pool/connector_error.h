/* connector_error.h -- what libpq says about a failed login, as result, SQLSTATE and one line.
 * libpq 15 keeps the SQLSTATE of a login that failed to itself, and its trace does not show the
 * message either when it comes before the authentication; but with PQERRORS_VERBOSE the code is part
 * of the text. Whatever libpq found out by itself is told apart by its words (English: nobody here
 * calls setlocale()).
 * Pure: text in, values out. */
#ifndef POOL_CONNECTOR_ERROR_H
#define POOL_CONNECTOR_ERROR_H

#include "pool/connector.h"

struct connector_error {
	enum connect_result result; /* never CONNECT_OK */
	char sqlstate[6];
	char text[340]; /* one line without control characters, without the name of the host */
};

/* The text of PQerrorMessage(). */
void connector_error_read(const char *text, struct connector_error *);
/* For failures that libpq did not see: CONNECT_RETRY, 08006. */
void connector_error_set(struct connector_error *, const char *text);

#endif
