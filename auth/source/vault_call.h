/* vault_call.h -- one request to Vault with our token: waits for a login, asks once more after a 403
 * when the token was dead (reference/secrets-and-metrics.md section 9), and a little later after a
 * 412. Must not know secrets. */
#ifndef AUTH_SOURCE_VAULT_CALL_H
#define AUTH_SOURCE_VAULT_CALL_H

#include "auth/source/vault_login.h"

struct vault_call;

/* The reply is valid during the call. May start other calls and release the login. */
typedef void vault_replied(void *arg, const struct vault_reply *);

/* path is behind /v1/ and encoded; body (JSON) may be NULL; both are copied. Holds the login until
 * it is done. done runs once, from the loop; NULL = nobody listens. Returns NULL without memory. */
struct vault_call *vault_call(struct vault_login *, const char *method, const char *path,
    const char *body, vault_replied *done, void *arg);
/* done will not run. Only before it did. NULL is harmless. */
void vault_call_cancel(struct vault_call *);

#endif
