/* jwt.h -- a signed token (JWS compact form, RFC 7515 and 7519) verified, and its claims read.
 * The key decides the algorithm, never the token: `none`, HS256 and all keys that a token brings
 * along (jwk, jku, x5u, x5c) are refused or ignored, as is what RFC 8725 warns of.
 * The claims can be reached only through a token that has been verified. Pure: the caller says what
 * time it is. A token is as good as a password while it lives: never log it.
 * Must not know roles, sessions or where keys come from. */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_MAX		 (16 * 1024) /* bytes of a token */
#define JWT_HEADER_MAX	 4096	     /* bytes of its header, decoded */
#define JWT_LEEWAY_MAX_S 300

struct jwks;
struct jwt;

struct jwt_rules {
	const char *issuer; /* iss must be this; NULL = any */
	const char
	    *audience; /* aud must be or contain this; NULL = any, but then the token may be meant
			       * for somebody else */
	int64_t leeway_s; /* for clocks that differ; at most JWT_LEEWAY_MAX_S counts */
};

enum jwt_fault {
	JWT_OK,
	JWT_TOO_LONG,
	JWT_MALFORMED,
	JWT_ALGORITHM, /* not served, or not the key's */
	JWT_CRITICAL,
	JWT_TYPE,	 /* a token of another kind, such as logout+jwt */
	JWT_UNKNOWN_KEY, /* no key of that kid: worth a look for new ones */
	JWT_NO_KEY,	 /* no kid, and not exactly one key that fits */
	JWT_SIGNATURE,
	JWT_CLAIMS, /* payload unreadable, exp missing, or a claim of the wrong type or twice */
	JWT_EXPIRED,
	JWT_NOT_YET,
	JWT_ISSUER,
	JWT_AUDIENCE,
	JWT_NO_MEMORY
};

/* Verifies; *out is the caller's when JWT_OK, else NULL. Costs a signature check (30 to 100 us) only
 * when a key fits. */
enum jwt_fault jwt_open(struct jwt **out, const char *token, size_t len, const struct jwks *,
    const struct jwt_rules *, int64_t now_unix_s);
/* Wipes. NULL is harmless. */
void jwt_free(struct jwt *);

/* For the log: "the token has expired". Quotes nothing. */
const char *jwt_fault_text(enum jwt_fault);

int64_t jwt_expires_unix_s(const struct jwt *);

/* A claim as text: a string, an integer, true or false, or an array of exactly one of these. `path`
 * goes into objects at dots ("realm_access.role"); where members' names have dots themselves, the
 * longest name that is there is taken. Length of the text in out, or -1: no such claim, it occurs
 * twice, is of another type, empty, has a NUL, or does not fit. */
long jwt_claim_text(const struct jwt *, const char *path, char *out, size_t size);
/* Is the claim this string, or an array that contains it? */
bool jwt_claim_has(const struct jwt *, const char *path, const char *text);

#endif
