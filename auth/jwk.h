/* jwk.h -- one public key that signs tokens: read from its JSON (RFC 7517, 7518, 8037), and asked
 * whether a signature is its own. A key has one algorithm, given by what it is and never by what a
 * token claims: RSA is RS256, P-256 is ES256, Ed25519 is EdDSA. Shared secrets (oct, HS256) and all
 * else are refused. Unchangeable, so any number of threads may use one. Knows no sets, no claims. */
#ifndef AUTH_JWK_H
#define AUTH_JWK_H

#include <stdbool.h>
#include <stddef.h>

#define JWK_RSA_BITS_MIN 2048
#define JWK_RSA_BITS_MAX 8192
#define JWK_KID_MAX	 255 /* bytes */

struct json;
struct jwk;

enum jwk_alg { JWK_RS256, JWK_ES256, JWK_EDDSA };

/* The algorithm of that name, as tokens write it; false: it is none that is served. */
bool jwk_alg_find(const char *name, enum jwk_alg *);

/* Reads object token `at`. NULL with one line in err: what is wrong, or why such a key is of no use
 * here (another algorithm, for encryption only, a private key). */
struct jwk *jwk_parse(const struct json *, size_t at, char *err, size_t errlen);
/* NULL is harmless. */
void jwk_free(struct jwk *);

enum jwk_alg jwk_algorithm(const struct jwk *);
/* NULL = it has none. */
const char *jwk_kid(const struct jwk *);

/* Is `sig` (as it stands in a token: raw r and s for ES256) this key's signature of the text? */
bool jwk_verify(const struct jwk *, const void *text, size_t len, const void *sig, size_t sig_len);

#endif
