/* vault_login.h -- the client token of one identity at one Vault: got by a login method, renewed
 * ahead of its end, replaced when it cannot be renewed or is dead. Shared by all entries of the same
 * identity: leases die with the token that made them, so a token that is alive is never given up
 * while it has leases. One login under way at a time.
 * Must not know secrets or the cache. */
#ifndef AUTH_SOURCE_VAULT_LOGIN_H
#define AUTH_SOURCE_VAULT_LOGIN_H

#include "auth/source/vault_server.h"
#include "proxy/base/list.h"

struct vault_login;

/* Keys of an entry that are read here (and by vault_server), for source_entry_check(). */
#define VAULT_LOGIN_KEYS                                                                           \
	"endpoint", "namespace", "auth_method", "auth_mount", "auth_role", "role_id",              \
	    "role_id_file", "secret_id_file", "token_file", "ca_file", "cert_file", "key_file"

/* Finds the one of this identity or makes it; each is to be given to vault_login_release(). NULL
 * with one line in err. No I/O. */
struct vault_login *vault_login_open(const struct config_secret *, const struct secret_source_env *,
    char *err, size_t errlen);
struct vault_login *vault_login_hold(struct vault_login *);
void vault_login_release(struct vault_login *);

const struct vault_server *vault_login_server(const struct vault_login *);

/* The token as it is to be sent, and its serial number; NULL when there is none that is alive: then
 * vault_login_want(). Valid until the loop's next turn. */
const char *vault_login_token(struct vault_login *, uint64_t *serial);

/* Somebody who waits for a token. Lives inside its owner. */
struct vault_want {
	struct list_node node;
	/* NULL: a token is there now; else why not. Valid during the call. */
	void (*ready)(struct vault_want *, const struct vault_reply *);
};
/* Exactly one ready() follows, from the loop, unless vault_login_unwant() comes first. */
void vault_login_want(struct vault_login *, struct vault_want *);
void vault_login_unwant(struct vault_want *);

/* The server refused the token of that serial with 403. */
enum vault_refusal {
	VAULT_TRY_AGAIN, /* there is a newer one, or vault_login_want() will bring one */
	VAULT_LOOK_FIRST /* it has leases: find out by lookup-self whether it is dead */
};
enum vault_refusal vault_login_refused(struct vault_login *, uint64_t serial);
/* lookup-self says so: its leases have gone with it. */
void vault_login_dead(struct vault_login *, uint64_t serial);

/* A lease was made or renewed that ends then (unix ms). Returns when it really ends: with the token,
 * if that comes first and cannot be renewed. */
int64_t vault_login_leased(struct vault_login *, int64_t until_ms);

/* Owners of leases hear when a new token took the place of the one that made them. */
struct vault_watch {
	struct list_node node;
	void (*replaced)(struct vault_watch *);
};
void vault_login_watch(struct vault_login *, struct vault_watch *);
void vault_login_unwatch(struct vault_watch *);

#endif
