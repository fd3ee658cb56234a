#include "auth/jwks.h"
#include "tests/unit/auth/jwt_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ED                                                                                         \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define RSA_N                                                                                      \
	"\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\""

static void
hear(void *arg, const char *text)
{
	snprintf(arg, 256, "%s", text);
}

static struct jwks *
parse(const char *text, char said[256], char err[256])
{
	size_t len = strlen(text);
	char *copy = malloc(len > 0 ? len : 1);
	struct jwks *s;

	assert_non_null(copy);
	memcpy(copy, text, len);
	said[0] = err[0] = '\0';
	s = jwks_parse(copy, len, hear, said, err, 256);
	free(copy);
	return s;
}

/* The set {"keys":[key]} is refused, with this reason. */
static void
no_use(const char *key, const char *why)
{
	char text[4096], said[256], err[256];

	snprintf(text, sizeof(text), "{\"keys\":[%s]}", key);
	assert_null(parse(text, said, err));
	if (strstr(said, "key 1") == NULL || strstr(said, why) == NULL || strstr(err, why) == NULL)
		fail_msg("%s: \"%s\" and \"%s\" do not say \"%s\"", key, said, err, why);
}

static void
of_use(const char *key, enum jwk_alg alg)
{
	char text[4096], said[256], err[256];
	struct jwks *s;

	snprintf(text, sizeof(text), "{\"keys\":[%s]}", key);
	s = parse(text, said, err);
	if (s == NULL)
		fail_msg("%s: %s", key, err);
	assert_int_equal(jwks_count(s), 1);
	assert_non_null(jwks_find(s, NULL, alg));
	assert_int_equal(jwk_algorithm(jwks_find(s, NULL, alg)), alg);
	jwks_unref(s);
}

/* goal: a kid finds its key; without one only the sole key of the algorithm is found */
static void
test_find(void **state)
{
	char said[256], err[256];
	struct jwks *s = parse(VECTOR_JWKS, said, err);

	(void)state;
	assert_non_null(s);
	assert_string_equal(said, "");
	assert_int_equal(jwks_count(s), 4);
	assert_string_equal(jwk_kid(jwks_find(s, "rsa", JWK_RS256)), "rsa");
	assert_ptr_equal(jwks_find(s, NULL, JWK_RS256), jwks_find(s, "rsa", JWK_RS256));
	assert_non_null(jwks_find(s, NULL, JWK_ES256));
	assert_null(jwks_find(s, NULL, JWK_EDDSA));
	assert_null(jwks_find(s, "none", JWK_EDDSA));
	assert_null(jwks_find(s, "", JWK_EDDSA));
	assert_ptr_equal(jwks_ref(s), s);
	jwks_unref(s);
	jwks_unref(s);
	jwks_unref(NULL);
}

/* goal: keys that are no signing keys of a served kind are left out, and it is said why */
static void
test_no_use(void **state)
{
	(void)state;
	no_use("7", "no object");
	no_use("{}", "\"kty\" is missing");
	no_use("{\"kty\":7}", "must be a string");
	no_use("{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ\"}", "shared secret");
	no_use("{\"kty\":\"XYZ\"}", "\"kty\"");
	no_use(ED ",\"kty\":\"OKP\"}", "\"kty\" occurs twice");
	no_use(ED ",\"use\":\"enc\"}", "\"use\"");
	no_use(ED ",\"use\":1}", "\"use\" must be a string");
	no_use(ED ",\"key_ops\":[\"sign\"]}", "\"key_ops\"");
	no_use(ED ",\"key_ops\":\"verify\"}", "\"key_ops\"");
	no_use(ED ",\"alg\":\"ES256\"}", "\"alg\"");
	no_use(ED ",\"alg\":\"HS256\"}", "\"alg\"");
	no_use(ED ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}", "private key");
	no_use(ED ",\"kid\":7}", "\"kid\" must be a string");
	no_use(ED ",\"kid\":\"a\\u0000b\"}", "\"kid\"");
	no_use("{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}", "\"crv\"");
	no_use("{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}", "\"x\"");
	no_use("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}", "32 bytes");
	no_use("{\"kty\":\"EC\",\"crv\":\"P-384\"}", "P-256");
	no_use("{\"kty\":\"EC\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}", "P-256");
	no_use("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_X "\"}",
	    "no point");
	no_use("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"AA" EC_Y "\"}",
	    "32 bytes");
	no_use("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "=\"}",
	    "32 bytes");
}

/* goal: RSA keys that are short, long, or no RSA keys at all are left out */
static void
test_rsa(void **state)
{
	char n[3000], key[4096];

	(void)state;
	of_use("{\"kty\":\"RSA\"," RSA_N ",\"e\":\"AQAB\"}", JWK_RS256);
	of_use("{\"kty\":\"RSA\"," RSA_N ",\"e\":\"Aw\",\"alg\":\"RS256\"}", JWK_RS256);
	no_use("{\"kty\":\"RSA\"," RSA_N ",\"e\":\"AQAB\",\"alg\":\"PS256\"}", "\"alg\"");
	no_use("{\"kty\":\"RSA\"," RSA_N "}", "\"e\" is missing");
	no_use("{\"kty\":\"RSA\",\"e\":\"AQAB\"}", "\"n\" is missing");
	no_use("{\"kty\":\"RSA\"," RSA_N ",\"e\":\"AQ\"}", "exponent");
	no_use("{\"kty\":\"RSA\"," RSA_N ",\"e\":\"AA\"}", "exponent");
	no_use("{\"kty\":\"RSA\"," RSA_N ",\"e\":\"AQAA\"}", "exponent");
	no_use("{\"kty\":\"RSA\"," RSA_N ",\"e\":\"AQAAAAAAAAAB\"}", "exponent");
	no_use("{\"kty\":\"RSA\",\"n\":\"n\",\"e\":\"AQAB\"}", "base64url");
	memset(n, '_', sizeof(n));
	snprintf(key, sizeof(key), "{\"kty\":\"RSA\",\"n\":\"%.172s\",\"e\":\"AQAB\"}", n);
	no_use(key, "1032 bits");
	snprintf(key, sizeof(key), "{\"kty\":\"RSA\",\"n\":\"%.340sA\",\"e\":\"AQAB\"}", n);
	no_use(key, "base64url");
	snprintf(key, sizeof(key), "{\"kty\":\"RSA\",\"n\":\"%.343sA\",\"e\":\"AQAB\"}", n);
	no_use(key, "even");
	snprintf(key, sizeof(key), "{\"kty\":\"RSA\",\"n\":\"%.1368s\",\"e\":\"AQAB\"}", n);
	no_use(key, "wrong length");
	snprintf(key, sizeof(key), "{\"kty\":\"RSA\",\"n\":\"%.2900s\",\"e\":\"AQAB\"}", n);
	no_use(key, "too long");
}

/* goal: what else belongs to a key does not disturb */
static void
test_of_use(void **state)
{
	(void)state;
	of_use(ED "}", JWK_EDDSA);
	of_use(ED
	    ",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"],\"alg\":\"EdDSA\",\"x5c\":[\"x\"]}",
	    JWK_EDDSA);
	of_use("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}",
	    JWK_ES256);
}

/* goal: a set keeps its good keys beside others, names the others, and never has one kid twice */
static void
test_sets(void **state)
{
	char said[256], err[256];
	struct jwks *s;

	(void)state;
	s = parse("{\"keys\":[" ED ",\"kid\":\"a\"}," ED ",\"kid\":\"a\",\"use\":\"enc\"}]}", said,
	    err);
	assert_non_null(s);
	assert_int_equal(jwks_count(s), 1);
	assert_string_equal(said, "key 2 (kid \"a\"): its \"use\" is not \"sig\"");
	jwks_unref(s);
	assert_null(
	    parse("{\"keys\":[" ED ",\"kid\":\"a b\"}," ED ",\"kid\":\"a b\"}]}", said, err));
	assert_string_equal(err, "key 2 (kid \"a?b\"): an earlier key has the same kid");
	s = parse("{\"keys\":[" ED "}," ED "}]}", said, err);
	assert_int_equal(jwks_count(s), 2);
	assert_null(jwks_find(s, NULL, JWK_EDDSA));
	jwks_unref(s);
}

/* goal: texts that are no set are refused */
static void
test_no_set(void **state)
{
	static const char *const texts[] = { "", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}",
		ED "}", "{\"keys\":[" ED "}],\"keys\":[" ED "}]}", "{\"keys\":[" ED "}]",
		"{\"keys\":[" ED "}]}x" };
	char said[256], err[256];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_null(parse(texts[i], said, err));
		assert_int_not_equal(err[0], '\0');
	}
}

/* goal: 64 keys are a set, 65 are too many, and so is a text that is too long */
static void
test_many(void **state)
{
	char *text = malloc(JWKS_TEXT_MAX + 2), said[256], err[256];
	struct jwks *s;
	size_t n;

	(void)state;
	assert_non_null(text);
	for (int keys = 64; keys <= 65; keys++) {
		n = (size_t)snprintf(text, JWKS_TEXT_MAX, "{\"keys\":[");
		for (int i = 0; i < keys; i++)
			n += (size_t)snprintf(text + n, JWKS_TEXT_MAX - n,
			    "%s" ED ",\"kid\":\"%d\"}", i > 0 ? "," : "", i);
		memcpy(text + n, "]}", 3);
		s = parse(text, said, err);
		assert_true((s != NULL) == (keys == 64));
		jwks_unref(s);
	}
	assert_non_null(strstr(err, "64"));
	memset(text, ' ', JWKS_TEXT_MAX + 1);
	text[JWKS_TEXT_MAX + 1] = '\0';
	assert_null(parse(text, said, err));
	assert_non_null(strstr(err, "longer"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_no_use),
		cmocka_unit_test(test_rsa),
		cmocka_unit_test(test_of_use),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_no_set),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
