/* jwks.h -- a set of keys that sign tokens (JWK Set, RFC 7517 section 5): unchangeable, counted by
 * references, so a set may be replaced while others verify with it. May be used from any thread.
 * Must not know where the text comes from. */
#ifndef AUTH_JWKS_H
#define AUTH_JWKS_H

#include "auth/jwk.h"

#define JWKS_KEYS_MAX 64
#define JWKS_TEXT_MAX (256 * 1024) /* bytes; x5c chains make sets long */

struct jwks;

/* Told of each key that is left out, with the reason: `key 2 (kid "a"): ...`. */
typedef void jwks_say(void *arg, const char *text);

/* Reads a set, with one reference for the caller. Keys that are of no use here are left out (`say`,
 * which may be NULL, hears of each), as providers publish other keys beside those for tokens. NULL
 * with one line in err when the text is no set, has more than JWKS_KEYS_MAX keys or none that is of
 * use, or when two usable keys have the same kid. */
struct jwks *jwks_parse(const char *text, size_t len, jwks_say *say, void *arg, char *err,
    size_t errlen);

struct jwks *jwks_ref(struct jwks *);
/* NULL is harmless. */
void jwks_unref(struct jwks *);

size_t jwks_count(const struct jwks *);
/* The key of that kid; with kid NULL the only key of that algorithm. NULL = none, or more than one.
 * With a kid the algorithm is the caller's to compare. Lives as long as the set. */
const struct jwk *jwks_find(const struct jwks *, const char *kid, enum jwk_alg);

#endif
