#include "auth/jwt.h"
#include "auth/jwks.h"
#include "tests/unit/auth/jwt_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct jwks *keys;
static const struct jwt_rules rules = { VECTOR_ISSUER, VECTOR_AUDIENCE, 30 };
static const struct jwt_rules any = { NULL, NULL, 0 };

static int
set_up(void **state)
{
	char err[128];

	(void)state;
	keys = jwks_parse(VECTOR_JWKS, strlen(VECTOR_JWKS), NULL, NULL, err, sizeof(err));
	return keys != NULL ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	jwks_unref(keys);
	return 0;
}

/* An exactly sized copy, so that ASan sees a byte read behind the end. */
static enum jwt_fault
open_text(struct jwt **out, const char *token, size_t len, const struct jwt_rules *r, int64_t now)
{
	char *copy = malloc(len > 0 ? len : 1);
	enum jwt_fault f;

	assert_non_null(copy);
	memcpy(copy, token, len);
	f = jwt_open(out, copy, len, keys, r, now);
	free(copy);
	assert_true((f == JWT_OK) == (*out != NULL));
	return f;
}

/* goal: every token of the table, good or an attack, gets the answer that the table says */
static void
test_vectors(void **state)
{
	struct jwt *t;

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];
		enum jwt_fault f = open_text(&t, v->token, strlen(v->token), &rules, VECTOR_NOW);

		if (f != v->want)
			fail_msg("%s: \"%s\", not \"%s\"", v->name, jwt_fault_text(f),
			    jwt_fault_text(v->want));
		jwt_free(t);
	}
}

/* goal: the examples of RFC 7515 A.2 and A.3 are verified, until the second in which they expire */
static void
test_rfc7515(void **state)
{
	static const char *const texts[] = { VECTOR_RFC7515_A2, VECTOR_RFC7515_A3 };
	struct jwt_rules joe = { "joe", NULL, 0 };
	char text[8];
	struct jwt *t;

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t len = strlen(texts[i]);

		assert_int_equal(open_text(&t, texts[i], len, &joe, 1300819379), JWT_OK);
		assert_int_equal(jwt_expires_unix_s(t), 1300819380);
		assert_int_equal(
		    jwt_claim_text(t, "http://example.com/is_root", text, sizeof(text)), 4);
		assert_string_equal(text, "true");
		jwt_free(t);
		assert_int_equal(open_text(&t, texts[i], len, &joe, 1300819380), JWT_EXPIRED);
		assert_int_equal(open_text(&t, texts[i], len, &rules, 1300819379), JWT_ISSUER);
	}
}

/* goal: the signature of RFC 8037 A.4 is verified; its payload is no claims, which is seen after it,
 * and a changed signature before */
static void
test_rfc8037(void **state)
{
	static const char set[] = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
				  "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
	struct jwks *all = keys;
	char text[sizeof(VECTOR_RFC8037_A4)], err[128];
	struct jwt *t;

	(void)state;
	keys = jwks_parse(set, strlen(set), NULL, NULL, err, sizeof(err));
	assert_non_null(keys);
	memcpy(text, VECTOR_RFC8037_A4, sizeof(text));
	assert_int_equal(open_text(&t, text, strlen(text), &any, 0), JWT_CLAIMS);
	text[strlen(text) - 20] ^= 1;
	assert_int_equal(open_text(&t, text, strlen(text), &any, 0), JWT_SIGNATURE);
	jwks_unref(keys);
	keys = all;
}

/* goal: no token is good when it is cut anywhere, or when any one character of it is changed */
static void
test_damaged(void **state)
{
	size_t len = strlen(VECTOR_CLAIMS);
	char text[sizeof(VECTOR_CLAIMS)];
	struct jwt *t;

	(void)state;
	memcpy(text, VECTOR_CLAIMS, sizeof(text));
	for (size_t i = 0; i < len; i++)
		assert_int_not_equal(open_text(&t, text, i, &any, VECTOR_NOW), JWT_OK);
	for (size_t i = 0; i < len; i++) {
		char was = text[i];

		text[i] = was == 'A' ? 'B' : 'A';
		assert_int_not_equal(open_text(&t, text, len, &any, VECTOR_NOW), JWT_OK);
		text[i] = '\0';
		assert_int_not_equal(open_text(&t, text, len, &any, VECTOR_NOW), JWT_OK);
		text[i] = was;
	}
	assert_int_equal(open_text(&t, text, len, &any, VECTOR_NOW), JWT_OK);
	jwt_free(t);
	jwt_free(NULL);
}

/* goal: a leeway beyond the bound does not count, and a negative one is none */
static void
test_leeway(void **state)
{
	struct jwt_rules wide = { NULL, NULL, 1000000 }, negative = { NULL, NULL, -1000000 };
	size_t len = strlen(VECTOR_CLAIMS);
	int64_t exp = VECTOR_NOW + 600;
	struct jwt *t;

	(void)state;
	assert_int_equal(open_text(&t, VECTOR_CLAIMS, len, &wide, exp + JWT_LEEWAY_MAX_S - 1),
	    JWT_OK);
	jwt_free(t);
	assert_int_equal(open_text(&t, VECTOR_CLAIMS, len, &wide, exp + JWT_LEEWAY_MAX_S),
	    JWT_EXPIRED);
	assert_int_equal(open_text(&t, VECTOR_CLAIMS, len, &negative, exp - 1), JWT_OK);
	jwt_free(t);
}

static void
is_text(const struct jwt *t, const char *path, const char *want)
{
	char text[16];
	long n = jwt_claim_text(t, path, text, sizeof(text));

	if (want == NULL) {
		assert_int_equal(n, -1);
		return;
	}
	assert_int_equal(n, strlen(want));
	assert_string_equal(text, want);
}

/* goal: claims are found by path, and those that make no role are not */
static void
test_claims(void **state)
{
	struct jwt *t;

	(void)state;
	assert_int_equal(open_text(&t, VECTOR_CLAIMS, strlen(VECTOR_CLAIMS), &rules, VECTOR_NOW),
	    JWT_OK);
	is_text(t, "sub", "u1");
	is_text(t, "role", "app");
	is_text(t, "realm_access.role", "deep");
	is_text(t, "https://x.example/db.role", "dotted");
	is_text(t, "one", "only");
	is_text(t, "n", "42");
	is_text(t, "yes", "true");
	is_text(t, "iss", NULL); /* does not fit */
	is_text(t, "", NULL);
	is_text(t, ".", NULL);
	is_text(t, "role.x", NULL);
	is_text(t, "realm_access", NULL);
	is_text(t, "realm_access.roles", NULL);
	is_text(t, "realm_access.none", NULL);
	is_text(t, "realm_access.role.", "deep");
	is_text(t, "empty", NULL);
	is_text(t, "nul", NULL);
	is_text(t, "obj", NULL);
	is_text(t, "nothing", NULL);
	assert_true(jwt_claim_has(t, "role", "app"));
	assert_false(jwt_claim_has(t, "role", "ap"));
	assert_true(jwt_claim_has(t, "realm_access.roles", "b"));
	assert_false(jwt_claim_has(t, "realm_access.roles", "c"));
	assert_true(jwt_claim_has(t, "mixed", "y"));
	assert_false(jwt_claim_has(t, "mixed", "7"));
	assert_false(jwt_claim_has(t, "n", "42"));
	assert_false(jwt_claim_has(t, "nul", "a"));
	jwt_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_rfc7515),
		cmocka_unit_test(test_rfc8037),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_leeway),
		cmocka_unit_test(test_claims),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
