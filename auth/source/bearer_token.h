/* bearer_token.h -- the access token of one cloud identity: asked for when somebody needs it and the
 * one at hand is about to end, kept for all entries of the same identity, one request under way at a
 * time. Must not know clouds: a kind says how to ask and how to read. */
#ifndef AUTH_SOURCE_BEARER_TOKEN_H
#define AUTH_SOURCE_BEARER_TOKEN_H

#include "auth/https_call.h"
#include "auth/source/secret_source.h"
#include "auth/source/source_text.h"
#include "proxy/base/buf.h"
#include "proxy/base/list.h"

struct bearer;

/* What to send; texts in the bufs, which are wiped, without NUL. */
struct bearer_request {
	const char *method;
	struct buf url, headers[2], body; /* empty ones are left out */
	const char *ca_file;
	bool plain_http; /* a metadata service */
};

struct bearer_kind {
	const char *name; /* "the Azure identity service", for messages */
	int64_t
	    margin_ms; /* a token is replaced so long before its end, at half its life at most */
	/* 0, or -1 with one line in err. identity: what bearer_open() was given. */
	int (*ask)(const char *identity, struct bearer_request *, char *err, size_t errlen);
	/* Is this answer genuine? NULL = always. */
	bool (*genuine)(const struct https_response *);
};

/* Finds the one of this kind and identity, or makes it. Release each. NULL = no memory. */
struct bearer *bearer_open(const struct bearer_kind *, const char *identity,
    const struct secret_source_env *, int64_t timeout_ms);
void bearer_release(struct bearer *);

struct bearer_failure {
	enum secret_error error;
	char message[256];
	int64_t retry_after_ms;
};

struct bearer_want {
	struct list_node node;
	/* From the loop. Token: valid during the call, with its serial; or NULL and why not. */
	void (*ready)(struct bearer_want *, const char *token, uint64_t serial,
	    const struct bearer_failure *);
};

/* Exactly one ready() follows, from the loop, unless bearer_unwant() comes first. */
void bearer_want(struct bearer *, struct bearer_want *);
void bearer_unwant(struct bearer *, struct bearer_want *);
/* A service refused the token of that serial: the next one who wants gets another. */
void bearer_refused(struct bearer *, uint64_t serial);

#endif
