/* scram_client.h -- the client's half of SCRAM, for tests only; static, so that each test stays one
 * file. */
#ifndef TESTS_SCRAM_CLIENT_H
#define TESTS_SCRAM_CLIENT_H

#include "auth/hmac.h"
#include "proxy/base/secret.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* client-final for a server-first text (NUL-terminated): gs2 is the header, cb its binding data. */
static inline size_t
scram_client_final(char *out, size_t size, const char *password, const char *gs2, const void *cb,
    size_t cb_len, const char *client_first_bare, const char *server_first)
{
	uint8_t raw[256], salt[64], salted[32], key[32], stored[32], signature[32];
	char c_text[512], auth[4096], proof[64], bare[2048];
	const char *s = strstr(server_first, ",s="), *i = strstr(server_first, ",i=");
	struct hmac_key k;
	ssize_t salt_len;

	assert(s != NULL && i != NULL);
	salt_len = secret_base64_decode(salt, sizeof(salt), s + 3, (size_t)(i - s - 3));
	assert(salt_len > 0);
	memcpy(raw, gs2, strlen(gs2));
	if (cb_len != 0)
		memcpy(raw + strlen(gs2), cb, cb_len);
	secret_base64_encode(c_text, sizeof(c_text), raw, strlen(gs2) + cb_len);
	snprintf(bare, sizeof(bare), "c=%s,%.*s", c_text, (int)(s - server_first), server_first);
	snprintf(auth, sizeof(auth), "%s,%s,%s", client_first_bare, server_first, bare);
	hmac_pbkdf2(password, strlen(password), salt, (size_t)salt_len,
	    (uint32_t)strtoul(i + 3, NULL, 10), salted);
	hmac_key_init(&k, salted, 32);
	hmac_sign(&k, "Client Key", 10, key);
	hmac_digest(key, 32, stored);
	hmac_key_init(&k, stored, 32);
	hmac_sign(&k, auth, strlen(auth), signature);
	for (size_t n = 0; n < 32; n++)
		key[n] ^= signature[n];
	secret_base64_encode(proof, sizeof(proof), key, 32);
	return (size_t)snprintf(out, size, "%s,p=%s", bare, proof);
}

#endif
