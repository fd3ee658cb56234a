/* saslprep.h -- passwords as SCRAM compares them: RFC 4013, by libidn. Pure. */
#ifndef AUTH_SASLPREP_H
#define AUTH_SASLPREP_H

#include <stddef.h>

/* The prepared form of a password, to be given to saslprep_free() with its length; NULL when it is ASCII or
 * cannot be prepared (not UTF-8, forbidden characters, no memory): then its bytes are used as they are, which
 * is what PostgreSQL and libpq do. */
char *saslprep(const char *password, size_t len, size_t *prepared_len);
void saslprep_free(char *prepared, size_t len); /* wipes; NULL is harmless */

#endif
