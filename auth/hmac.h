/* hmac.h -- HMAC-SHA-256 with prepared keys, and PBKDF2 over it.
 * A prepared key holds the hash states after the two padded key blocks, which halves the cost of a
 * short message and spares OpenSSL's allocations. Pure: no I/O, no allocation, no failure.
 * Must not know SCRAM, users or messages. A struct hmac_key is as secret as its key: wipe it. */
#ifndef AUTH_HMAC_H
#define AUTH_HMAC_H

#include <stddef.h>
#include <stdint.h>

#define HMAC_LEN 32

struct hmac_key {
	uint32_t inner[8], outer[8];
};

void hmac_key_init(struct hmac_key *, const void *key, size_t len);
void hmac_sign(const struct hmac_key *, const void *msg, size_t len, uint8_t out[HMAC_LEN]);
/* Plain SHA-256 of a message. */
void hmac_digest(const void *msg, size_t len, uint8_t out[HMAC_LEN]);
/* One output block; 4096 iterations take about half a millisecond. iterations >= 1. */
void hmac_pbkdf2(const void *password, size_t password_len, const void *salt, size_t salt_len,
    uint32_t iterations, uint8_t out[HMAC_LEN]);

#endif
