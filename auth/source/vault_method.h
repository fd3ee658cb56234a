/* vault_method.h -- how an entry proves to Vault who it is: a token it was given, AppRole, or the
 * Kubernetes service account. Files are read anew for every login, as others rotate them.
 * Must not know what becomes of the token. No network. */
#ifndef AUTH_SOURCE_VAULT_METHOD_H
#define AUTH_SOURCE_VAULT_METHOD_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct config_secret;

enum vault_method_kind { VAULT_BY_TOKEN, VAULT_BY_APPROLE, VAULT_BY_KUBERNETES };

struct vault_method {
	enum vault_method_kind kind;
	char *path; /* of the login, behind /v1/; NULL for a token */
	char *role; /* auth_role or role_id */
	char *role_id_file, *secret_id_file, *token_file;
};

/* 0, or -1 with one line in err: which key is missing or does not belong to the method. */
int vault_method_init(struct vault_method *, const struct config_secret *, char *err,
    size_t errlen);
void vault_method_release(struct vault_method *);
bool vault_method_same(const struct vault_method *, const struct vault_method *);

/* VAULT_BY_TOKEN: the token, to be given to secret_free(). NULL with one line in err. */
char *vault_method_token(const struct vault_method *, size_t *len, char *err, size_t errlen);
/* Else: the JSON body of the login. The buf should have `wipe` set. 0, or -1 with err. */
int vault_method_body(const struct vault_method *, struct buf *, char *err, size_t errlen);

#endif
