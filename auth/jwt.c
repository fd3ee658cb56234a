#include "auth/jwt.h"

#include "auth/base64url.h"
#include "auth/jwks.h"
#include "proxy/base/secret.h"
#include "proxy/wire/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_TOKENS 128
#define SIGNATURE_MAX (JWK_RSA_BITS_MAX / 8)
#define NAME_MAX_LEN  255	   /* of a claim */
#define DEPTH_MAX     8		   /* objects that a path goes into */
#define TIME_MAX      253402300799 /* end of the year 9999 */

struct jwt {
	struct json claims;
	int64_t expires_unix_s;
	struct json_token *tape;
	char *payload;
	size_t len;
};

/* The three parts of the text. */
struct parts {
	const char *header, *payload, *signature;
	size_t header_len, payload_len, signature_len;
};

const char *
jwt_fault_text(enum jwt_fault f)
{
	static const char *const texts[] = {
		[JWT_OK] = "the token is good",
		[JWT_TOO_LONG] = "the token is too long",
		[JWT_MALFORMED] = "the token is malformed",
		[JWT_ALGORITHM] = "the token's algorithm is not served, or not that of its key",
		[JWT_CRITICAL] = "the token has critical header parameters, none is served",
		[JWT_TYPE] = "the token is of another type",
		[JWT_UNKNOWN_KEY] = "the token is signed by an unknown key",
		[JWT_NO_KEY] = "the token names no key, and not exactly one key fits",
		[JWT_SIGNATURE] = "the token's signature is wrong",
		[JWT_CLAIMS] = "the token's claims are incomplete or malformed",
		[JWT_EXPIRED] = "the token has expired",
		[JWT_NOT_YET] = "the token is not valid yet",
		[JWT_ISSUER] = "the token is by another issuer",
		[JWT_AUDIENCE] = "the token is meant for another audience",
		[JWT_NO_MEMORY] = "out of memory",
	};

	return texts[f];
}

/* ---- form and signature ---- */

static enum jwt_fault
split(const char *token, size_t len, struct parts *p)
{
	const char *first, *second, *end = token + len;

	if (len > JWT_MAX)
		return JWT_TOO_LONG;
	first = memchr(token, '.', len);
	if (first == NULL)
		return JWT_MALFORMED;
	second = memchr(first + 1, '.', (size_t)(end - first - 1));
	/* a third dot fails as base64 of the signature: an encrypted token has four */
	if (second == NULL)
		return JWT_MALFORMED;
	p->header = token;
	p->header_len = (size_t)(first - token);
	p->payload = first + 1;
	p->payload_len = (size_t)(second - first - 1);
	p->signature = second + 1;
	p->signature_len = (size_t)(end - second - 1);
	return JWT_OK;
}

/* A header parameter that is a string: its length, -1 when absent, -2 when it is none. */
static long
header_text(const struct json *h, const char *name, char *out, size_t size)
{
	size_t v = json_member(h, 0, name);
	long n;

	if (v == JSON_NONE)
		return -1;
	n = v != JSON_DUPLICATE ? json_string(h, v, out, size) : -1;
	return n >= 0 ? n : -2;
}

/* RFC 8725 3.11: tokens of other kinds by the same issuer are no logins. */
static enum jwt_fault
check_type(const struct json *h)
{
	char typ[64];
	const char *name = typ;
	long n = header_text(h, "typ", typ, sizeof(typ));

	if (n == -1)
		return JWT_OK;
	if (n == -2)
		return JWT_TYPE;
	if (strncasecmp(name, "application/", 12) == 0)
		name += 12;
	if (strcasecmp(name, "JWT") != 0 && strcasecmp(name, "at+jwt") != 0)
		return JWT_TYPE;
	return JWT_OK;
}

/* Which key the header asks for; the header alone is not to be believed in anything else. */
static enum jwt_fault
choose_key(const struct json *h, const struct jwks *keys, const struct jwk **key)
{
	char name[32], kid[JWK_KID_MAX + 1];
	enum jwk_alg alg;
	enum jwt_fault f;
	long n;

	if (json_member(h, 0, "crit") != JSON_NONE)
		return JWT_CRITICAL;
	if (header_text(h, "alg", name, sizeof(name)) < 0 || !jwk_alg_find(name, &alg))
		return JWT_ALGORITHM;
	f = check_type(h);
	if (f != JWT_OK)
		return f;
	n = header_text(h, "kid", kid, sizeof(kid));
	if (n == -2)
		return JWT_UNKNOWN_KEY;
	*key = jwks_find(keys, n >= 0 ? kid : NULL, alg);
	if (*key == NULL)
		return n >= 0 ? JWT_UNKNOWN_KEY : JWT_NO_KEY;
	return jwk_algorithm(*key) == alg ? JWT_OK : JWT_ALGORITHM;
}

static enum jwt_fault
read_header(const struct parts *p, const struct jwks *keys, const struct jwk **key)
{
	struct json_token tape[HEADER_TOKENS];
	char text[JWT_HEADER_MAX], err[128];
	struct json h;
	ssize_t len = base64url_decode(text, sizeof(text), p->header, p->header_len);

	if (len < 0 ||
	    json_parse(&h, text, (size_t)len, tape, HEADER_TOKENS, err, sizeof(err)) == -1 ||
	    !json_is(&h, 0, JSON_OBJECT))
		return JWT_MALFORMED;
	return choose_key(&h, keys, key);
}

static enum jwt_fault
check_signature(const struct parts *p, const struct jwk *key)
{
	uint8_t sig[SIGNATURE_MAX];
	ssize_t len = base64url_decode(sig, sizeof(sig), p->signature, p->signature_len);

	if (len < 0)
		return JWT_MALFORMED;
	/* the signature is over header and payload as they were sent, with the dot */
	if (!jwk_verify(key, p->header, p->header_len + 1 + p->payload_len, sig, (size_t)len))
		return JWT_SIGNATURE;
	return JWT_OK;
}

/* ---- claims ---- */

/* A NumericDate; false when it is there and is none. *has tells whether it is there. */
static bool
time_claim(const struct json *c, const char *name, bool *has, double *out)
{
	size_t v = json_member(c, 0, name);

	*has = v != JSON_NONE;
	if (!*has)
		return true;
	return json_is(c, v, JSON_NUMBER) && json_double(c, v, out) == 0 && *out >= 0 &&
	       *out <= (double)TIME_MAX;
}

static enum jwt_fault
check_times(struct jwt *t, int64_t leeway_s, int64_t now_unix_s)
{
	double now = (double)now_unix_s, leeway, exp, nbf, iat;
	bool has_exp, has_nbf, has_iat;

	leeway_s = leeway_s < 0 ? 0 : leeway_s > JWT_LEEWAY_MAX_S ? JWT_LEEWAY_MAX_S : leeway_s;
	leeway = (double)leeway_s;
	if (!time_claim(&t->claims, "exp", &has_exp, &exp) || !has_exp ||
	    !time_claim(&t->claims, "nbf", &has_nbf, &nbf) ||
	    !time_claim(&t->claims, "iat", &has_iat, &iat))
		return JWT_CLAIMS;
	if (now >= exp + leeway)
		return JWT_EXPIRED;
	if ((has_nbf && nbf > now + leeway) || (has_iat && iat > now + leeway))
		return JWT_NOT_YET;
	t->expires_unix_s = (int64_t)exp;
	return JWT_OK;
}

static enum jwt_fault
check_audience(const struct json *c, const char *want)
{
	size_t aud = json_member(c, 0, "aud");
	bool found = false;

	if (aud == JSON_NONE)
		return JWT_AUDIENCE;
	if (json_is(c, aud, JSON_STRING))
		return json_equals(c, aud, want) ? JWT_OK : JWT_AUDIENCE;
	if (!json_is(c, aud, JSON_ARRAY))
		return JWT_CLAIMS;
	for (size_t i = json_first(c, aud); i != JSON_NONE; i = json_next(c, aud, i)) {
		if (!json_is(c, i, JSON_STRING))
			return JWT_CLAIMS;
		found = found || json_equals(c, i, want);
	}
	return found ? JWT_OK : JWT_AUDIENCE;
}

static enum jwt_fault
check_claims(struct jwt *t, const struct jwt_rules *rules, int64_t now_unix_s)
{
	enum jwt_fault f = check_times(t, rules->leeway_s, now_unix_s);
	size_t iss = json_member(&t->claims, 0, "iss");

	if (f != JWT_OK)
		return f;
	if (iss == JSON_DUPLICATE || (iss != JSON_NONE && !json_is(&t->claims, iss, JSON_STRING)))
		return JWT_CLAIMS;
	if (rules->issuer != NULL &&
	    (iss == JSON_NONE || !json_equals(&t->claims, iss, rules->issuer)))
		return JWT_ISSUER;
	return rules->audience != NULL ? check_audience(&t->claims, rules->audience) : JWT_OK;
}

static enum jwt_fault
read_payload(struct jwt *t, const struct parts *p)
{
	size_t tokens;
	char err[128];
	ssize_t n;

	t->len = p->payload_len / 4 * 3 + 3;
	t->payload = malloc(t->len);
	if (t->payload == NULL)
		return JWT_NO_MEMORY;
	n = base64url_decode(t->payload, t->len, p->payload, p->payload_len);
	if (n < 0)
		return JWT_MALFORMED;
	tokens = (size_t)n / 2 + 2; /* no token is shorter than two bytes, but the last */
	t->tape = malloc(tokens * sizeof(*t->tape));
	if (t->tape == NULL)
		return JWT_NO_MEMORY;
	if (json_parse(&t->claims, t->payload, (size_t)n, t->tape, tokens, err, sizeof(err)) ==
		-1 ||
	    !json_is(&t->claims, 0, JSON_OBJECT))
		return JWT_CLAIMS;
	return JWT_OK;
}

enum jwt_fault
jwt_open(struct jwt **out, const char *token, size_t len, const struct jwks *keys,
    const struct jwt_rules *rules, int64_t now_unix_s)
{
	const struct jwk *key = NULL;
	struct jwt *t = NULL;
	struct parts p;
	enum jwt_fault f = split(token, len, &p);

	*out = NULL;
	if (f == JWT_OK)
		f = read_header(&p, keys, &key);
	if (f == JWT_OK)
		f = check_signature(&p, key);
	if (f != JWT_OK)
		return f;
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return JWT_NO_MEMORY;
	f = read_payload(t, &p);
	if (f == JWT_OK)
		f = check_claims(t, rules, now_unix_s);
	if (f == JWT_OK)
		*out = t;
	else
		jwt_free(t);
	return f;
}

void
jwt_free(struct jwt *t)
{
	if (t == NULL)
		return;
	secret_free(t->payload, t->len);
	free(t->tape);
	free(t);
}

int64_t
jwt_expires_unix_s(const struct jwt *t)
{
	return t->expires_unix_s;
}

/* The member of object `at` whose name is the longest piece of the path, up to a dot or its end;
 * *path is moved behind it. */
static size_t
step(const struct json *c, size_t at, const char **path)
{
	size_t len = strlen(*path);
	char name[NAME_MAX_LEN + 1];

	if (len > NAME_MAX_LEN)
		return JSON_NONE;
	memcpy(name, *path, len + 1);
	for (;;) {
		size_t v = json_member(c, at, name);
		char *dot;

		if (v != JSON_NONE) {
			*path += len + ((*path)[len] == '.');
			return v;
		}
		dot = strrchr(name, '.');
		if (dot == NULL)
			return JSON_NONE;
		*dot = '\0';
		len = (size_t)(dot - name);
	}
}

/* JSON_NONE also for a claim that occurs twice: nobody can say which one counts. */
static size_t
find_claim(const struct jwt *t, const char *path)
{
	size_t at = 0;

	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		if (!json_is(&t->claims, at, JSON_OBJECT))
			return JSON_NONE;
		at = step(&t->claims, at, &path);
		if (at == JSON_NONE || at == JSON_DUPLICATE)
			return JSON_NONE;
		if (*path == '\0')
			return at;
	}
	return JSON_NONE;
}

static long
scalar_text(const struct json *c, size_t v, char *out, size_t size)
{
	int64_t number;
	int n = -1;

	if (json_is(c, v, JSON_STRING))
		return json_string(c, v, out, size);
	if (json_is(c, v, JSON_NUMBER) && json_int(c, v, &number) == 0)
		n = snprintf(out, size, "%" PRId64, number);
	else if (json_is(c, v, JSON_TRUE) || json_is(c, v, JSON_FALSE))
		n = snprintf(out, size, "%s", json_is(c, v, JSON_TRUE) ? "true" : "false");
	return n >= 0 && (size_t)n < size ? n : -1;
}

long
jwt_claim_text(const struct jwt *t, const char *path, char *out, size_t size)
{
	const struct json *c = &t->claims;
	size_t v = find_claim(t, path);
	long n;

	if (json_is(c, v, JSON_ARRAY)) {
		size_t only = json_first(c, v);

		if (only == JSON_NONE || json_next(c, v, only) != JSON_NONE)
			return -1;
		v = only;
	}
	n = v != JSON_NONE ? scalar_text(c, v, out, size) : -1;
	return n > 0 ? n : -1;
}

bool
jwt_claim_has(const struct jwt *t, const char *path, const char *text)
{
	const struct json *c = &t->claims;
	size_t v = find_claim(t, path);

	if (json_is(c, v, JSON_STRING))
		return json_equals(c, v, text);
	if (!json_is(c, v, JSON_ARRAY))
		return false;
	for (size_t i = json_first(c, v); i != JSON_NONE; i = json_next(c, v, i)) {
		if (json_is(c, i, JSON_STRING) && json_equals(c, i, text))
			return true;
	}
	return false;
}
