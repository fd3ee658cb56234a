/* scram.h -- the server's half of one SCRAM-SHA-256(-PLUS) exchange (RFC 5802, 7677, 5929), judged
 * as PostgreSQL judges it. Pure: message texts in, message texts and a judgement out; the nonce and
 * the verifier come from the caller, so that one exchange may be tried against several verifiers.
 * Must not know users, the wire or where secrets live. The order is: set plus_offered, plus and
 * cb_* in an exchange of zeros, scram_first(), send scram_server_first(), scram_final(),
 * scram_check(). */
#ifndef AUTH_SCRAM_H
#define AUTH_SCRAM_H

#include "auth/scram_verifier.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRAM_NONCE_RAW	       18 /* bytes of randomness in our part of the nonce */
#define SCRAM_NONCE_LEN	       24 /* the same in base64 */
#define SCRAM_CLIENT_FIRST_MAX 512
#define SCRAM_CLIENT_FINAL_MAX 1024
#define SCRAM_SERVER_FINAL_LEN 46 /* "v=" and 32 bytes in base64 */
#define SCRAM_CB_MAX	       64

enum scram_result {
	SCRAM_OK,
	SCRAM_MALFORMED, /* not the protocol: 08P01 */
	SCRAM_BINDING,	 /* channel binding refused, downgraded or of another channel: 28000 */
};

struct scram_exchange {
	bool plus_offered; /* set by the caller: SCRAM-SHA-256-PLUS was on the list */
	bool plus;	   /* set by the caller: the client chose it */
	uint8_t
	    cb_hash[SCRAM_CB_MAX]; /* set by the caller when plus_offered: tls-server-end-point */
	size_t cb_len;
	char gs2_flag;		      /* n, y or p */
	uint16_t first_at, first_len; /* server-first within text */
	uint16_t nonce_at, nonce_len; /* client's and our nonce within text */
	uint16_t text_len;
	uint8_t proof[SCRAM_KEY_LEN];
	/* the AuthMessage: client-first-bare "," server-first "," client-final-without-proof */
	char text[2 * SCRAM_CLIENT_FIRST_MAX + SCRAM_CLIENT_FINAL_MAX + 256];
};

/* Reads client-first and composes server-first. `nonce` is our part, printable and without comma,
 * at most SCRAM_NONCE_LEN characters but in tests of RFC vectors (64). salt_len <=
 * SCRAM_SALT_MAX. */
enum scram_result scram_first(struct scram_exchange *, const void *msg, size_t len,
    const char *nonce, const uint8_t *salt, size_t salt_len, uint32_t iterations);
/* The text that scram_first() composed; not NUL-terminated. */
const char *scram_server_first(const struct scram_exchange *, size_t *len);
/* Reads client-final: nonce, channel binding and form are judged here, the proof is only stored. */
enum scram_result scram_final(struct scram_exchange *, const void *msg, size_t len);
/* Is the proof that of this verifier? Constant time; writes server-final and a NUL either way. */
bool scram_check(const struct scram_exchange *, const struct scram_verifier *,
    char server_final[SCRAM_SERVER_FINAL_LEN + 1]);

#endif
