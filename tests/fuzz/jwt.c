/* jwt.c -- fuzz harness: tokens and key sets that may be anything.
 * Input: one byte, then: s: the text of a key set. t: a token, verified with fixed keys; the fuzzer
 * cannot sign, so none may be good but the one that the corpus holds. c: the path of a claim, a line
 * break, and a payload that the harness signs itself, so that what comes after the signature is
 * reached. h: a header, signed too. */
#include "auth/jwks.h"
#include "auth/jwt.h"
#include "tests/unit/auth/jwt_vectors.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* RFC 8037 A.1: a key that everybody knows. */
static const uint8_t ed_d[32] = "\x9d\x61\xb1\x9d\xef\xfd\x5a\x60\xba\x84\x4a\xf4\x92\xec\x2c\xc4"
				"\x44\x49\xc5\x69\x7b\x32\x69\x19\x70\x3b\xac\x03\x1c\xae\x7f\x60";

static size_t
encode(char *out, const uint8_t *in, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)in[i] << 16;

		v |= have > 1 ? (uint32_t)in[i + 1] << 8 : 0;
		v |= have > 2 ? in[i + 2] : 0;
		for (size_t k = 0; k <= have; k++)
			out[n++] = digits[v >> (18 - 6 * k) & 63];
	}
	return n;
}

/* header.payload.signature into out; its length. */
static size_t
sign(char *out, const char *header, size_t header_len, const uint8_t *payload, size_t payload_len)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, ed_d, sizeof(ed_d));
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = encode(out, (const uint8_t *)header, header_len), sig_len = 64;
	uint8_t sig[64];

	out[n++] = '.';
	n += encode(out + n, payload, payload_len);
	if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, sig, &sig_len, (uint8_t *)out, n) != 1)
		abort();
	out[n++] = '.';
	n += encode(out + n, sig, sig_len);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return n;
}

static void
set(const uint8_t *data, size_t size)
{
	char err[128] = "";
	struct jwks *s = jwks_parse((const char *)data, size, NULL, NULL, err, sizeof(err));

	if ((s == NULL) != (err[0] != '\0') || (s != NULL && jwks_count(s) == 0))
		abort();
	jwks_unref(s);
}

static enum jwt_fault
verify(const struct jwks *keys, const char *token, size_t len, const char *path)
{
	struct jwt_rules rules = { NULL, NULL, 0 };
	struct jwt *t;
	enum jwt_fault f = jwt_open(&t, token, len, keys, &rules, VECTOR_NOW);
	char text[64];

	if ((f == JWT_OK) != (t != NULL))
		abort();
	if (t != NULL) {
		long n = jwt_claim_text(t, path, text, sizeof(text));

		if (n == 0 || n >= (long)sizeof(text) || (n > 0 && strlen(text) != (size_t)n))
			abort();
		/* a text that is the whole claim, or the only one in it */
		(void)jwt_claim_has(t, path, n > 0 ? text : "x");
		if (jwt_expires_unix_s(t) < VECTOR_NOW)
			abort();
	}
	jwt_free(t);
	return f;
}

/* A token must not be good with its signature broken. */
static void
forge(const struct jwks *keys, char *token, size_t len)
{
	char *last = &token[len - 10];

	*last = *last == 'A' ? 'B' : 'A';
	if (verify(keys, token, len, "x") == JWT_OK)
		abort();
}

static void
signed_token(const struct jwks *keys, bool is_header, const uint8_t *data, size_t size)
{
	static const char header[] = "{\"alg\":\"EdDSA\",\"kid\":\"ed\"}",
			  claims[] = "{\"exp\":9999999999}";
	const uint8_t *nl = size > 0 ? memchr(data, '\n', size) : NULL;
	char *token = malloc(size * 2 + 512), path[64] = "role";
	size_t len;

	if (token == NULL)
		return;
	if (!is_header && nl != NULL && (size_t)(nl - data) < sizeof(path)) {
		memcpy(path, data, (size_t)(nl - data));
		path[nl - data] = '\0';
		size -= (size_t)(nl + 1 - data);
		data = nl + 1;
	}
	if (is_header)
		len = sign(token, (const char *)data, size, (const uint8_t *)claims,
		    strlen(claims));
	else
		len = sign(token, header, strlen(header), data, size);
	if (verify(keys, token, len, path) == JWT_OK)
		forge(keys, token, len);
	free(token);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwks *keys;
	char err[128];

	if (keys == NULL)
		keys = jwks_parse(VECTOR_JWKS, strlen(VECTOR_JWKS), NULL, NULL, err, sizeof(err));
	if (keys == NULL)
		abort();
	if (size == 0)
		return 0;
	switch (data[0]) {
	case 's':
		set(data + 1, size - 1);
		break;
	case 'c':
	case 'h':
		signed_token(keys, data[0] == 'h', data + 1, size - 1);
		break;
	default:
		if (verify(keys, (const char *)data + 1, size - 1, "x") == JWT_OK &&
		    (size - 1 != strlen(VECTOR_CLAIMS) ||
			memcmp(data + 1, VECTOR_CLAIMS, size - 1) != 0))
			abort();
	}
	return 0;
}
