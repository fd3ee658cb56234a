/* aws_keys.h -- a set of AWS keys: held, compared, wiped, and read from the JSON that metadata
 * services and credential_process give. Pure. Must not know where keys come from. */
#ifndef AUTH_SOURCE_AWS_KEYS_H
#define AUTH_SOURCE_AWS_KEYS_H

#include "auth/secret_source.h"

/* The texts lie in secure memory. */
struct aws_keys {
	char *access_key_id, *secret_access_key; /* NULL: no keys */
	char *session_token;			 /* NULL: long-term keys */
	int64_t expires_unix_ms;		 /* 0 = they do not end */
};

/* Why there are none. */
struct aws_failure {
	enum secret_error error;
	int64_t retry_after_ms; /* 0 = not said */
	char message[256];	/* one line without secrets */
};

/* Copies; what was held before is wiped. token NULL or "" = none. -1: no memory, or a text that
 * could not go into a header (then nothing is held). */
int aws_keys_set(struct aws_keys *, const char *id, const char *secret, const char *token,
    int64_t expires_unix_ms);
/* Also of all zeros. */
void aws_keys_wipe(struct aws_keys *);
/* What `from` held is wiped there and held by `to`. */
void aws_keys_move(struct aws_keys *to, struct aws_keys *from);
bool aws_keys_same(const struct aws_keys *, const struct aws_keys *);

/* {"AccessKeyId", "SecretAccessKey", token_name, "Expiration"}; a "Code" must be "Success". -1 with
 * one line in err that quotes no value. */
int aws_keys_read(struct aws_keys *, const char *json, size_t len, const char *token_name,
    char *err, size_t errlen);

/* 2026-03-14T02:59:26Z, also with a fraction, with +00:00 for Z: Unix ms; -1 = not in that form. */
int64_t aws_keys_time(const char *text);

#endif
