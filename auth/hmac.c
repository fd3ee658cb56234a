/* The one-call interfaces of OpenSSL 3 look algorithms up by name and allocate at every use, 3 us
 * for one HMAC; the low-level block functions are deprecated but use the same assembler code. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "auth/hmac.h"

#include <openssl/sha.h>
#include <string.h>

#define BLOCK SHA256_CBLOCK

static void
start(SHA256_CTX *c, const uint32_t state[8])
{
	SHA256_Init(c);
	memcpy(c->h, state, sizeof(c->h));
	c->Nl = BLOCK * 8; /* bits hashed so far: the key block */
}

static void
key_state(uint32_t state[8], const uint8_t key[BLOCK], uint8_t pad)
{
	uint8_t block[BLOCK];
	SHA256_CTX c;

	for (size_t i = 0; i < BLOCK; i++)
		block[i] = key[i] ^ pad;
	SHA256_Init(&c);
	SHA256_Transform(&c, block);
	memcpy(state, c.h, sizeof(c.h));
	explicit_bzero(block, sizeof(block));
	explicit_bzero(&c, sizeof(c));
}

void
hmac_key_init(struct hmac_key *k, const void *key, size_t len)
{
	uint8_t padded[BLOCK] = { 0 };

	if (len > BLOCK)
		hmac_digest(key, len, padded);
	else if (len != 0)
		memcpy(padded, key, len);
	key_state(k->inner, padded, 0x36);
	key_state(k->outer, padded, 0x5c);
	explicit_bzero(padded, sizeof(padded));
}

void
hmac_sign(const struct hmac_key *k, const void *msg, size_t len, uint8_t out[HMAC_LEN])
{
	SHA256_CTX c;

	start(&c, k->inner);
	SHA256_Update(&c, msg, len);
	SHA256_Final(out, &c);
	start(&c, k->outer);
	SHA256_Update(&c, out, HMAC_LEN);
	SHA256_Final(out, &c);
	explicit_bzero(&c, sizeof(c));
}

void
hmac_digest(const void *msg, size_t len, uint8_t out[HMAC_LEN])
{
	SHA256_CTX c;

	SHA256_Init(&c);
	SHA256_Update(&c, msg, len);
	SHA256_Final(out, &c);
	explicit_bzero(&c, sizeof(c));
}

static void
put_state(uint8_t *out, const SHA256_CTX *c)
{
	for (size_t i = 0; i < 8; i++) {
		out[4 * i] = (uint8_t)(c->h[i] >> 24);
		out[4 * i + 1] = (uint8_t)(c->h[i] >> 16);
		out[4 * i + 2] = (uint8_t)(c->h[i] >> 8);
		out[4 * i + 3] = (uint8_t)c->h[i];
	}
}

void
hmac_pbkdf2(const void *password, size_t password_len, const void *salt, size_t salt_len,
    uint32_t iterations, uint8_t out[HMAC_LEN])
{
	static const uint8_t first_block[4] = { 0, 0, 0, 1 };
	uint8_t block[BLOCK] = { 0 };
	struct hmac_key k;
	SHA256_CTX c;

	hmac_key_init(&k, password, password_len);
	start(&c, k.inner);
	SHA256_Update(&c, salt, salt_len);
	SHA256_Update(&c, first_block, sizeof(first_block));
	SHA256_Final(block, &c);
	start(&c, k.outer);
	SHA256_Update(&c, block, HMAC_LEN);
	SHA256_Final(block, &c);
	memcpy(out, block, HMAC_LEN);
	/* From here on every message is 32 bytes behind a key block, so the padding never
	 * changes. */
	block[HMAC_LEN] = 0x80;
	block[BLOCK - 2] = (BLOCK + HMAC_LEN) * 8 >> 8;
	block[BLOCK - 1] = (BLOCK + HMAC_LEN) * 8 & 0xff;
	for (uint32_t i = 1; i < iterations; i++) {
		memcpy(c.h, k.inner, sizeof(c.h));
		SHA256_Transform(&c, block);
		put_state(block, &c);
		memcpy(c.h, k.outer, sizeof(c.h));
		SHA256_Transform(&c, block);
		put_state(block, &c);
		for (size_t j = 0; j < HMAC_LEN; j++)
			out[j] ^= block[j];
	}
	explicit_bzero(block, sizeof(block));
	explicit_bzero(&k, sizeof(k));
	explicit_bzero(&c, sizeof(c));
}
