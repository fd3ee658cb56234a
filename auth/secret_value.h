/* secret_value.h -- what a secret says: user, password and, perhaps, where to connect. Read from the
 * JSON of RDS secrets (and everybody who copied it) or from a plain text. Pure.
 * Must not know providers or the cache. The one buffer belongs to whoever owns the struct; wipe it.
 * Format: reference/secrets-and-metrics.md sections 4 and 12. */
#ifndef AUTH_SECRET_VALUE_H
#define AUTH_SECRET_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_TEXT_MAX	    65536 /* bytes a provider may give */
#define SECRET_PASSWORD_MAX 4096  /* session tokens in RDS tokens are long */
#define SECRET_USER_MAX	    63
#define SECRET_HOST_MAX	    255

struct secret_value {
	char user[SECRET_USER_MAX + 1]; /* "" = the secret names none */
	char password[SECRET_PASSWORD_MAX + 1];
	size_t password_len;
	char host[SECRET_HOST_MAX + 1];	  /* "" = none */
	char dbname[SECRET_USER_MAX + 1]; /* "" = none */
	int port;			  /* 0 = none */
	int64_t expires_unix_ms;	  /* from an Expiration member, 0 = none */
	char version[128];		  /* from a VersionId member (exec), "" = none */
};

/* Names of the JSON members; NULL: username, password, host, port, dbname. */
struct secret_names {
	const char *user, *password, *host, *port, *dbname;
};

/* Reads a JSON object; or, when plain_ok and the text is none, takes all of it (less one trailing
 * newline) as the password. Also accepts Username and Password (credential_process style),
 * Expiration (RFC 3339) and VersionId. 0, or -1 with one line in err that says what is wrong and
 * quotes nothing: not JSON, no password, duplicate member, too long, NUL, not UTF-8, bad port. */
int secret_value_parse(struct secret_value *, const char *text, size_t len,
    const struct secret_names *, bool plain_ok, char *err, size_t errlen);
void secret_value_wipe(struct secret_value *);

#endif
