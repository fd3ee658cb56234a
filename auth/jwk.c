#include "auth/jwk.h"

#include "auth/base64url.h"
#include "proxy/wire/json.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX (JWK_RSA_BITS_MAX / 8 + 1) /* some writers put a zero before n */
#define TEXT_MAX   ((NUMBER_MAX + 2) / 3 * 4)
#define COORD_LEN  32 /* of P-256, of Ed25519 */
#define DER_MAX	   80 /* two INTEGERs of 33 bytes in a SEQUENCE */

struct jwk {
	enum jwk_alg alg;
	bool has_kid;
	EVP_PKEY *pkey;
	char kid[JWK_KID_MAX + 1];
};

struct parser {
	const struct json *json;
	size_t at;
	char *err;
	size_t errlen;
};

static int
fail(struct parser *p, const char *why)
{
	snprintf(p->err, p->errlen, "%s", why);
	return -1;
}

bool
jwk_alg_find(const char *name, enum jwk_alg *alg)
{
	static const struct {
		const char *name;
		enum jwk_alg alg;
	} algs[] = {
		{ "RS256", JWK_RS256 }, { "ES256", JWK_ES256 }, { "EdDSA", JWK_EDDSA },
		{ "Ed25519", JWK_EDDSA }, /* its name since RFC 9864 */
	};

	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		if (strcmp(algs[i].name, name) == 0) {
			*alg = algs[i].alg;
			return true;
		}
	}
	return false;
}

/* A member that is a string: its length, -1 when it is absent, -2 after a complaint. */
static long
text_member(struct parser *p, const char *name, char *out, size_t size)
{
	size_t v = json_member(p->json, p->at, name);
	char why[64];
	long n;

	if (v == JSON_NONE)
		return -1;
	n = v != JSON_DUPLICATE ? json_string(p->json, v, out, size) : -1;
	if (n >= 0)
		return n;
	snprintf(why, sizeof(why), "\"%s\" %s", name,
	    v == JSON_DUPLICATE		       ? "occurs twice"
	    : json_is(p->json, v, JSON_STRING) ? "is too long or no text"
					       : "must be a string");
	fail(p, why);
	return -2;
}

/* A member that is base64url of at most `size` bytes; -1 after a complaint. */
static ssize_t
bytes_member(struct parser *p, const char *name, uint8_t *out, size_t size)
{
	char text[TEXT_MAX + 1], why[64];
	long len = text_member(p, name, text, sizeof(text));
	ssize_t n;

	if (len == -2)
		return -1;
	n = len > 0 ? base64url_decode(out, size, text, (size_t)len) : -1;
	if (n > 0)
		return n;
	snprintf(why, sizeof(why), "\"%s\" %s", name,
	    len == -1 ? "is missing" : "is not base64url, or of the wrong length");
	return fail(p, why);
}

/* ---- what the key is for ---- */

static int
check_use(struct parser *p)
{
	char use[32];
	long n = text_member(p, "use", use, sizeof(use));

	if (n == -2)
		return -1;
	if (n >= 0 && strcmp(use, "sig") != 0)
		return fail(p, "its \"use\" is not \"sig\"");
	return 0;
}

static int
check_ops(struct parser *p)
{
	size_t ops = json_member(p->json, p->at, "key_ops");

	if (ops == JSON_NONE)
		return 0;
	if (!json_is(p->json, ops, JSON_ARRAY))
		return fail(p, "\"key_ops\" must be one array");
	for (size_t i = json_first(p->json, ops); i != JSON_NONE; i = json_next(p->json, ops, i)) {
		if (json_equals(p->json, i, "verify"))
			return 0;
	}
	return fail(p, "its \"key_ops\" lack \"verify\"");
}

/* "alg" is optional; when it is there it must say what the key is anyway. */
static int
check_alg(struct parser *p, enum jwk_alg is)
{
	enum jwk_alg said;
	char alg[32];
	long n = text_member(p, "alg", alg, sizeof(alg));

	if (n == -2)
		return -1;
	if (n >= 0 && (!jwk_alg_find(alg, &said) || said != is))
		return fail(p,
		    "its \"alg\" is not served for such a key (RS256, ES256, EdDSA are)");
	return 0;
}

/* ---- making the EVP_PKEY ---- */

static EVP_PKEY *
make_key(const char *type, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *ctx = params != NULL ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
	EVP_PKEY *pkey = NULL;

	if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) == 1 &&
	    EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static int
check_rsa(struct parser *p, const BIGNUM *n, const BIGNUM *e)
{
	char why[80];
	int bits = BN_num_bits(n);

	if (bits < JWK_RSA_BITS_MIN || bits > JWK_RSA_BITS_MAX) {
		snprintf(why, sizeof(why), "its RSA modulus has %d bits, %d to %d are accepted",
		    bits, JWK_RSA_BITS_MIN, JWK_RSA_BITS_MAX);
		return fail(p, why);
	}
	if (!BN_is_odd(n))
		return fail(p, "its RSA modulus is even");
	if (!BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 64)
		return fail(p, "its RSA exponent is not an odd number from 3 to 64 bits");
	return 0;
}

static int
parse_rsa(struct parser *p, struct jwk *k)
{
	uint8_t n_bytes[NUMBER_MAX], e_bytes[16];
	ssize_t n_len = bytes_member(p, "n", n_bytes, sizeof(n_bytes));
	ssize_t e_len = n_len > 0 ? bytes_member(p, "e", e_bytes, sizeof(e_bytes)) : -1;
	OSSL_PARAM_BLD *bld = NULL;
	OSSL_PARAM *params = NULL;
	BIGNUM *n, *e;

	if (e_len < 0)
		return -1;
	k->alg = JWK_RS256;
	n = BN_bin2bn(n_bytes, (int)n_len, NULL);
	e = BN_bin2bn(e_bytes, (int)e_len, NULL);
	if (n == NULL || e == NULL)
		fail(p, "out of memory");
	else if (check_rsa(p, n, e) == 0) {
		bld = OSSL_PARAM_BLD_new();
		if (bld != NULL && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
		    OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, e) == 1)
			params = OSSL_PARAM_BLD_to_param(bld);
		k->pkey = make_key("RSA", params);
		if (k->pkey == NULL)
			fail(p, "OpenSSL does not accept it as an RSA key");
	}
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(bld);
	BN_free(n);
	BN_free(e);
	return k->pkey != NULL ? 0 : -1;
}

/* A point that is not on the curve would let tokens of somebody else through. */
static bool
is_on_curve(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	bool good = ctx != NULL && EVP_PKEY_public_check(ctx) == 1;

	EVP_PKEY_CTX_free(ctx);
	return good;
}

static int
parse_ec(struct parser *p, struct jwk *k)
{
	uint8_t point[1 + 2 * COORD_LEN] = { POINT_CONVERSION_UNCOMPRESSED };
	char group[] = "prime256v1", crv[32];
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end(),
	};
	long n = text_member(p, "crv", crv, sizeof(crv));

	if (n == -2)
		return -1;
	if (n == -1 || strcmp(crv, "P-256") != 0)
		return fail(p, "its \"crv\" is not P-256");
	/* RFC 7518 6.2.1.2: exactly 32 bytes, leading zeros included */
	if (bytes_member(p, "x", point + 1, COORD_LEN) != COORD_LEN ||
	    bytes_member(p, "y", point + 1 + COORD_LEN, COORD_LEN) != COORD_LEN)
		return fail(p, "\"x\" and \"y\" must be base64url of 32 bytes each");
	k->alg = JWK_ES256;
	k->pkey = make_key("EC", params);
	if (k->pkey == NULL || !is_on_curve(k->pkey))
		return fail(p, "it is no point of the curve P-256");
	return 0;
}

static int
parse_okp(struct parser *p, struct jwk *k)
{
	uint8_t x[COORD_LEN];
	char crv[32];
	long n = text_member(p, "crv", crv, sizeof(crv));

	if (n == -2)
		return -1;
	if (n == -1 || strcmp(crv, "Ed25519") != 0)
		return fail(p, "its \"crv\" is not Ed25519");
	if (bytes_member(p, "x", x, sizeof(x)) != COORD_LEN)
		return fail(p, "\"x\" must be base64url of 32 bytes");
	k->alg = JWK_EDDSA;
	k->pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x));
	if (k->pkey == NULL)
		return fail(p, "OpenSSL does not accept it as an Ed25519 key");
	return 0;
}

static int
parse_kind(struct parser *p, struct jwk *k)
{
	char kty[16];
	long n = text_member(p, "kty", kty, sizeof(kty));

	if (n == -2)
		return -1;
	if (n == -1)
		return fail(p, "\"kty\" is missing");
	if (strcmp(kty, "oct") == 0)
		return fail(p, "it is a shared secret, which cannot verify tokens here");
	if (json_member(p->json, p->at, "d") != JSON_NONE)
		return fail(p, "it is a private key, which must not be published");
	if (strcmp(kty, "RSA") == 0)
		return parse_rsa(p, k);
	if (strcmp(kty, "EC") == 0)
		return parse_ec(p, k);
	if (strcmp(kty, "OKP") == 0)
		return parse_okp(p, k);
	return fail(p, "its \"kty\" is not served (RSA, EC, OKP are)");
}

struct jwk *
jwk_parse(const struct json *json, size_t at, char *err, size_t errlen)
{
	struct parser p = { json, at, err, errlen };
	struct jwk *k = calloc(1, sizeof(*k));
	long n;

	if (k == NULL) {
		fail(&p, "out of memory");
		return NULL;
	}
	if (!json_is(json, at, JSON_OBJECT)) {
		fail(&p, "it is no object");
		goto fail_key;
	}
	n = text_member(&p, "kid", k->kid, sizeof(k->kid));
	if (n == -2)
		goto fail_key;
	k->has_kid = n >= 0;
	if (check_use(&p) == -1 || check_ops(&p) == -1 || parse_kind(&p, k) == -1 ||
	    check_alg(&p, k->alg) == -1)
		goto fail_key;
	return k;
fail_key:
	/* what is left in OpenSSL's queue would be taken for a fault of the next TLS call */
	ERR_clear_error();
	jwk_free(k);
	return NULL;
}

void
jwk_free(struct jwk *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

enum jwk_alg
jwk_algorithm(const struct jwk *k)
{
	return k->alg;
}

const char *
jwk_kid(const struct jwk *k)
{
	return k->has_kid ? k->kid : NULL;
}

/* ---- signatures ---- */

/* Raw r and s, as tokens have them, to the DER that OpenSSL wants; its length, 0 = no memory, or no
 * such signature. OpenSSL checks that both are in range. */
static size_t
ecdsa_der(const uint8_t *raw, size_t raw_len, uint8_t der[DER_MAX])
{
	ECDSA_SIG *sig;
	BIGNUM *r, *s;
	int n = 0;

	if (raw_len != 2 * COORD_LEN)
		return 0;
	sig = ECDSA_SIG_new();
	r = BN_bin2bn(raw, COORD_LEN, NULL);
	s = BN_bin2bn(raw + COORD_LEN, COORD_LEN, NULL);
	if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
		r = s = NULL; /* the signature's now */
		n = i2d_ECDSA_SIG(sig, &der);
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return n > 0 ? (size_t)n : 0;
}

bool
jwk_verify(const struct jwk *k, const void *text, size_t len, const void *sig, size_t sig_len)
{
	const EVP_MD *md = k->alg == JWK_EDDSA ? NULL : EVP_sha256();
	EVP_MD_CTX *ctx;
	uint8_t der[DER_MAX];
	bool good;

	if (k->alg == JWK_ES256) {
		sig_len = ecdsa_der(sig, sig_len, der);
		sig = der;
	}
	if (sig_len == 0 || sig_len > (size_t)EVP_PKEY_get_size(k->pkey))
		return false;
	ctx = EVP_MD_CTX_new();
	/* RSA: PKCS #1 v1.5 is OpenSSL's default, and what RS256 means */
	good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, md, NULL, k->pkey) == 1 &&
	       EVP_DigestVerify(ctx, sig, sig_len, text, len) == 1;
	EVP_MD_CTX_free(ctx);
	if (!good)
		ERR_clear_error();
	return good;
}
