/* client_auth.h -- one client's login dialogue: bytes in, bytes and a verdict out. No fd, no clock.
 * Unknown users, and known ones whose secret does not serve the method, get the dialogue that most
 * users of the list get, at the same cost, and fail at its end: neither form nor time tells whether
 * a name exists.
 * (One exception, once per user and list: the first SCRAM login with a plain secret costs PBKDF2,
 * 0.5 ms.) Must not know databases, sessions or how messages travel; the caller frames them, sends
 * AuthenticationOk and turns a verdict into an ErrorResponse that is the same for every
 * AUTH_FAILED.
 * One client_auth belongs to one thread; several may share a userlist. */
#ifndef AUTH_CLIENT_AUTH_H
#define AUTH_CLIENT_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct client_auth;
struct secret;
struct userlist;

enum auth_verdict {
	AUTH_WAIT,   /* nothing to send; what decides is on its way: see client_auth_recheck() */
	AUTH_GIVEN,  /* the clear password is here, and somebody else decides: see `outside` */
	AUTH_MORE,   /* send what was appended and wait for a 'p' message */
	AUTH_OK,     /* send what was appended (SASLFinal, perhaps) and AuthenticationOk */
	AUTH_FAILED, /* 28P01; what went wrong is nobody's business */
	AUTH_PROTOCOL_ERROR /* 08P01: no client that speaks the protocol sends this */
};

/* Longest payload of a 'p' message that can succeed; the caller need not read longer ones. */
#define CLIENT_AUTH_PAYLOAD_MAX 65531

struct client_auth_offer {
	int method; /* enum auth_type of proxy/config/config.h; HBA, LDAP and PAM always fail */
	const char *user;	      /* of the startup message */
	const struct userlist *users; /* NULL = no users */
	/* Of the database, NULL = none: who is not on the list may come in with what it says. Lives as long as
	 * the program. */
	struct secret *secret;
	/* Asks for the clear password and judges nothing; method and users are not looked at. */
	bool outside;
	bool tls;
	const uint8_t
	    *cb_hash; /* tls-server-end-point of our certificate (64 bytes at most), NULL = none */
	size_t cb_len;
	const char *cert_cn; /* common name of the verified client certificate, NULL = none */
	int scram_iterations; /* for verifiers of plain secrets; settled per user and list at first use */
};

/* Appends the AuthenticationXxx message (a whole 'R' message, never AuthenticationOk), unless *v
 * says that the matter is decided. Copies what it needs and takes a reference on users. Never NULL
 * but without memory or randomness; *v is then AUTH_FAILED. Whether `out` took the bytes is for the
 * caller to check. */
struct client_auth *client_auth_new(const struct client_auth_offer *, struct buf *out,
    enum auth_verdict *v);
/* Takes the payload of one 'p' message (without type and length). After a verdict other than
 * AUTH_MORE, every further call is AUTH_PROTOCOL_ERROR. With the plain method the payload is a
 * password: wipe it. */
enum auth_verdict client_auth_input(struct client_auth *, const uint8_t *payload, size_t len,
    struct buf *out);
/* After AUTH_WAIT, whenever `changed` of secrets.h was called: decides, or waits on. */
enum auth_verdict client_auth_recheck(struct client_auth *, struct buf *out);
/* After AUTH_GIVEN: the password, never empty, with a NUL behind it. Lives as long as the dialogue. */
const char *client_auth_password(const struct client_auth *, size_t *len);
/* Wipes it. NULL is harmless. */
void client_auth_free(struct client_auth *);

#endif
