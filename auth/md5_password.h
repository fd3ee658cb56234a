/* md5_password.h -- PostgreSQL's MD5 passwords: a secret is "md5" and the hex of md5(password
 * user), an answer to a challenge is "md5" and the hex of md5(hex salt). Pure. Must not know
 * messages or users. */
#ifndef AUTH_MD5_PASSWORD_H
#define AUTH_MD5_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MD5_PASSWORD_LEN  35 /* characters of a secret and of an answer */
#define MD5_PASSWORD_SALT 4

/* True if the text has the form of an MD5 secret. */
bool md5_password_is(const char *text, size_t len);
/* Writes the secret of this password and user, and a NUL. -1 = the digest is not available. */
int md5_password_make(char out[MD5_PASSWORD_LEN + 1], const char *password, size_t len,
    const char *user);
/* Writes the answer that proves a secret, and a NUL. -1 as above. */
int md5_password_answer(char out[MD5_PASSWORD_LEN + 1], const char secret[MD5_PASSWORD_LEN],
    const uint8_t salt[MD5_PASSWORD_SALT]);

#endif
