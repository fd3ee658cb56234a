/* scram_verifier.h -- what a server keeps of a password for SCRAM-SHA-256, as PostgreSQL writes it:
 * SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>, and the stand-in for users who have
 * none.
 * Passwords go through SASLprep (saslprep.h), as in PostgreSQL and libpq.
 * Pure but for the process-wide random seed. Must not know users, files or messages. A verifier
 * holds secrets: scram_verifier_wipe() it. */
#ifndef AUTH_SCRAM_VERIFIER_H
#define AUTH_SCRAM_VERIFIER_H

#include "auth/hmac.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRAM_KEY_LEN		 32
#define SCRAM_SALT_LEN		 16 /* of the salts made here and by PostgreSQL */
#define SCRAM_SALT_MAX		 64
#define SCRAM_ITERATIONS_DEFAULT 4096
#define SCRAM_ITERATIONS_MAX	 10000000 /* about a second of PBKDF2 */

struct scram_verifier {
	uint32_t iterations;
	uint8_t salt_len;
	uint8_t salt[SCRAM_SALT_MAX];
	uint8_t stored_key[SCRAM_KEY_LEN];
	uint8_t server_key[SCRAM_KEY_LEN];
	struct hmac_key stored; /* both keys, ready to sign an AuthMessage */
	struct hmac_key server;
};

/* True if the text claims to be a verifier, well-formed or not. */
bool scram_verifier_is(const char *text, size_t len);
/* 0, or -1 when the text is malformed; *v is then all zeros. */
int scram_verifier_parse(struct scram_verifier *v, const char *text, size_t len);
/* Costs PBKDF2. 1 <= iterations <= SCRAM_ITERATIONS_MAX, salt_len <= SCRAM_SALT_MAX. */
void scram_verifier_derive(struct scram_verifier *v, const char *password, size_t len,
    const uint8_t *salt, size_t salt_len, uint32_t iterations);
/* Does this clear password make this verifier? Costs PBKDF2 whatever the answer. */
bool scram_verifier_matches(const struct scram_verifier *v, const char *password, size_t len);
void scram_verifier_wipe(struct scram_verifier *v);

/* The salt that this process shows for a user without a verifier of its own, known or not: the same
 * for the life of the process, and unrelated for two names. -1 = no randomness. */
int scram_verifier_mock_salt(const char *user, uint8_t salt[SCRAM_SALT_LEN]);
/* Keys that no password makes, to spend the usual time on; its salt is not for use. NULL = no
 * randomness. */
const struct scram_verifier *scram_verifier_mock(void);

#endif
