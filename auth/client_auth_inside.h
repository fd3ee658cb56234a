/* client_auth_inside.h -- the dialogue's state, shared by client_auth*.c only. */
#ifndef AUTH_CLIENT_AUTH_INSIDE_H
#define AUTH_CLIENT_AUTH_INSIDE_H

#include "auth/auth_user.h"
#include "auth/client_auth.h"
#include "auth/md5_password.h"
#include "auth/scram.h"

/* the codes of 'R' messages */
enum { R_CLEARTEXT = 3, R_MD5 = 5, R_SASL = 10, R_SASL_CONTINUE = 11, R_SASL_FINAL = 12 };

enum step {
	STEP_DONE,	   /* nothing more is expected */
	STEP_PLAIN,	   /* PasswordMessage with the password */
	STEP_MD5,	   /* PasswordMessage with the answer to md5_salt */
	STEP_SASL_INITIAL, /* SASLInitialResponse: mechanism and, mostly, client-first */
	STEP_SASL_FIRST,   /* SASLResponse with client-first, after an initial one without */
	STEP_SASL_FINAL,   /* SASLResponse with client-final */
	STEP_WAIT,	   /* for the secret */
};

struct client_auth {
	struct userlist *users;
	const struct auth_user *user; /* NULL = the dialogue is played to its end and fails */
	enum step step;
	/* Only for users who are not on the list; then user is NULL. */
	struct secret *secret;
	char name[AUTH_USER_NAME_MAX + 1];
	bool outside;	   /* who asked for the password judges it */
	bool by_name;	   /* nothing is asked: the secret need only name the user */
	bool asked;	   /* whether there is a newer version */
	unsigned searches; /* how many such questions had been answered before */
	char *answer;	   /* the clear password, to be compared again; secret_free() */
	size_t answer_len;
	uint8_t md5_salt[MD5_PASSWORD_SALT];
	uint32_t iterations;
	size_t salt_len;
	uint8_t salt[SCRAM_SALT_MAX];
	struct scram_exchange *scram; /* only for SCRAM */
};

/* A whole 'R' message; or its head, with `body` bytes to follow. */
void client_auth_put(struct buf *, uint32_t code, const void *body, size_t len);
void client_auth_put_header(struct buf *, uint32_t code, size_t body);

/* ---- client_auth_secret.c ---- */

/* Does the answer fit any version of the secret? Waits when a newer one may come. */
enum auth_verdict client_auth_secret_decide(struct client_auth *, struct buf *out);
/* Does the secret name the user? Waits when nothing is known yet. */
enum auth_verdict client_auth_secret_name(struct client_auth *);

#endif
