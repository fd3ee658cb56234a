#include "auth/jwks.h"

#include "proxy/wire/json.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KID_SHOWN 64 /* bytes of a kid that a message quotes */

struct jwks {
	atomic_uint refs;
	size_t n;
	struct jwk *keys[JWKS_KEYS_MAX];
};

/* Which key, and why: into out. Its kid is cut, and only what is printable. */
static void
explain(char *out, size_t size, const struct json *j, size_t at, size_t index, const char *why)
{
	size_t v = json_member(j, at, "kid");
	char kid[JWK_KID_MAX + 1];

	if (v == JSON_NONE || v == JSON_DUPLICATE || json_string(j, v, kid, sizeof(kid)) <= 0) {
		snprintf(out, size, "key %zu: %s", index, why);
		return;
	}
	for (char *c = kid; *c != '\0'; c++) {
		if (!isgraph((unsigned char)*c))
			*c = '?';
	}
	snprintf(out, size, "key %zu (kid \"%.*s\"): %s", index, KID_SHOWN, kid, why);
}

static const struct jwk *
find_kid(const struct jwks *s, const char *kid)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *has = jwk_kid(s->keys[i]);

		if (has != NULL && strcmp(has, kid) == 0)
			return s->keys[i];
	}
	return NULL;
}

/* All keys of array token `keys` that are of use; -1 with err. */
static int
read_keys(struct jwks *s, const struct json *j, size_t keys, jwks_say *say, void *arg, char *err,
    size_t errlen)
{
	char why[128], text[256], first[256] = "";
	size_t index = 0;

	for (size_t i = json_first(j, keys); i != JSON_NONE; i = json_next(j, keys, i)) {
		struct jwk *k;

		if (++index > JWKS_KEYS_MAX) {
			snprintf(err, errlen, "more than %d keys", JWKS_KEYS_MAX);
			return -1;
		}
		k = jwk_parse(j, i, why, sizeof(why));
		if (k == NULL) {
			explain(text, sizeof(text), j, i, index, why);
			if (say != NULL)
				say(arg, text);
			if (index == 1)
				snprintf(first, sizeof(first), "%s", text);
			continue;
		}
		if (jwk_kid(k) != NULL && find_kid(s, jwk_kid(k)) != NULL) {
			explain(err, errlen, j, i, index, "an earlier key has the same kid");
			jwk_free(k);
			return -1;
		}
		s->keys[s->n++] = k;
	}
	if (s->n > 0)
		return 0;
	if (index == 0)
		snprintf(err, errlen, "\"keys\" is empty");
	else
		snprintf(err, errlen, "no usable key; %s", first);
	return -1;
}

struct jwks *
jwks_parse(const char *text, size_t len, jwks_say *say, void *arg, char *err, size_t errlen)
{
	size_t max = len / 2 + 2, keys; /* no token is shorter than two bytes, but the last */
	struct json_token *tape = NULL;
	struct jwks *s = NULL;
	struct json j;
	char why[128];

	if (len > JWKS_TEXT_MAX) {
		snprintf(err, errlen, "longer than %d bytes", JWKS_TEXT_MAX);
		return NULL;
	}
	tape = malloc(max * sizeof(*tape));
	s = calloc(1, sizeof(*s));
	if (tape == NULL || s == NULL) {
		snprintf(err, errlen, "out of memory");
		goto fail;
	}
	atomic_init(&s->refs, 1);
	if (json_parse(&j, text, len, tape, max, why, sizeof(why)) == -1) {
		snprintf(err, errlen, "not JSON: %s", why);
		goto fail;
	}
	keys = json_member(&j, 0, "keys");
	if (!json_is(&j, keys, JSON_ARRAY)) {
		snprintf(err, errlen, "no key set: it must be an object with one array \"keys\"");
		goto fail;
	}
	if (read_keys(s, &j, keys, say, arg, err, errlen) == -1)
		goto fail;
	free(tape);
	return s;
fail:
	free(tape);
	jwks_unref(s);
	return NULL;
}

struct jwks *
jwks_ref(struct jwks *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void
jwks_unref(struct jwks *s)
{
	if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		jwk_free(s->keys[i]);
	free(s);
}

size_t
jwks_count(const struct jwks *s)
{
	return s->n;
}

const struct jwk *
jwks_find(const struct jwks *s, const char *kid, enum jwk_alg alg)
{
	const struct jwk *found = NULL;

	if (kid != NULL)
		return find_kid(s, kid);
	for (size_t i = 0; i < s->n; i++) {
		if (jwk_algorithm(s->keys[i]) != alg)
			continue;
		if (found != NULL)
			return NULL;
		found = s->keys[i];
	}
	return found;
}
