/* auth_user.h -- one user who may come in: a name and the secret that is held of it, plain, MD5 or
 * SCRAM verifier, told apart as PostgreSQL does. Owned by a userlist and unchangeable; only the
 * verifier of a plain secret is added at its first use, safely from any thread.
 * Must not know messages, methods or files. Nothing here prints a secret, and neither may a
 * caller. */
#ifndef AUTH_AUTH_USER_H
#define AUTH_AUTH_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scram_verifier;

#define AUTH_USER_NAME_MAX   63 /* bytes, as PostgreSQL's names */
#define AUTH_USER_SECRET_MAX 65530

enum auth_secret {
	AUTH_SECRET_NONE, /* an empty secret: nobody can log in with it */
	AUTH_SECRET_PLAIN,
	AUTH_SECRET_MD5,
	AUTH_SECRET_SCRAM,
	AUTH_SECRET_KINDS
};

struct auth_user;

/* Copies both. The caller has checked the lengths and that there is no NUL in either. NULL = no
 * memory, or (*malformed true) a SCRAM verifier that cannot be read. */
struct auth_user *auth_user_new(const char *name, size_t name_len, const char *secret,
    size_t secret_len, bool *malformed);
/* Wipes it. NULL is harmless. */
void auth_user_free(struct auth_user *);

const char *auth_user_name(const struct auth_user *);
enum auth_secret auth_user_kind(const struct auth_user *);
/* For connecting to PostgreSQL: the plain password, or NULL when the secret is not plain. Lives as
 * long as the userlist. */
const char *auth_user_plain(const struct auth_user *);

/* Is this clear password the user's? For a SCRAM secret this costs PBKDF2, for others next to
 * nothing. */
bool auth_user_check_plain(const struct auth_user *, const char *password, size_t len);
/* Is this the answer to an MD5 challenge? False for SCRAM secrets. */
bool auth_user_check_md5(const struct auth_user *, const uint8_t salt[4], const char *answer,
    size_t len);
/* The verifier, if one is known already: that of a SCRAM secret, or a derived one. NULL = none
 * yet. */
const struct scram_verifier *auth_user_verifier(const struct auth_user *);
/* The same, but derives one from a plain secret (PBKDF2, once per user and userlist) and keeps it.
 * NULL when the secret allows none, without memory, or when another salt or count was settled
 * meanwhile. */
const struct scram_verifier *auth_user_derive(const struct auth_user *, const uint8_t *salt,
    size_t salt_len, uint32_t iterations);

#endif
