/* vault_exchange.h -- one exchange with Vault about our own token: log in by the entry's method, or
 * renew what we have. Must not know when either is due, nor who waits for it. */
#ifndef AUTH_SOURCE_VAULT_EXCHANGE_H
#define AUTH_SOURCE_VAULT_EXCHANGE_H

#include "auth/source/vault_method.h"
#include "auth/source/vault_server.h"
#include "proxy/base/loop.h"

/* What Vault gave. */
struct vault_grant {
	char *token; /* of a login; also when the server refused a token that was given to us */
	size_t token_len;
	int64_t ttl_s; /* 0 = no end */
	bool renewable;
};

/* Lives inside its owner. */
struct vault_exchange {
	const struct vault_server *server;
	const struct vault_method *method;
	/* From the loop, once for each start. Valid during the call; the receiver may take the token
	 * (set it to NULL), to be given to secret_free(). reply->error is SECRET_DENIED for all that
	 * is wrong with our credentials. May start the next exchange. */
	void (*done)(struct vault_exchange *, const struct vault_reply *, struct vault_grant *);
	struct https_call *http; /* the rest is its own */
	struct deadline later;
	struct vault_reply failure;
	struct vault_grant grant;
	bool lookup;
};

void vault_exchange_init(struct vault_exchange *, const struct vault_server *,
    const struct vault_method *,
    void (*done)(struct vault_exchange *, const struct vault_reply *, struct vault_grant *));
/* Both: one at a time; a running one is cancelled first. */
void vault_exchange_login(struct vault_exchange *);
void vault_exchange_renew(struct vault_exchange *, const char *token, int64_t increment_s);
/* done will not run. */
void vault_exchange_cancel(struct vault_exchange *);

#endif
