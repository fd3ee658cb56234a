/* vault_server.h -- where a Vault or OpenBao is, how one request is put to it and what its status
 * means. Knows the wire only (reference/secrets-and-metrics.md section 9): must not know tokens'
 * lives, leases or secrets. */
#ifndef AUTH_SOURCE_VAULT_SERVER_H
#define AUTH_SOURCE_VAULT_SERVER_H

#include "auth/https_call.h"
#include "auth/source/secret_source.h"
#include "auth/source/source_text.h"

struct vault_server {
	struct secret_source_env env;
	char *base;	 /* "https://127.0.0.1:8200", without a slash at its end */
	char *namespace; /* NULL = none */
	char *ca_file, *cert_file, *key_file;
	int64_t timeout_ms; /* 0 = the default of https_call */
};

/* From the entry, else from VAULT_ADDR, VAULT_NAMESPACE, VAULT_CACERT, VAULT_CLIENT_CERT and
 * VAULT_CLIENT_KEY. 0, or -1 with one line in err. */
int vault_server_init(struct vault_server *, const struct config_secret *,
    const struct secret_source_env *, char *err, size_t errlen);
void vault_server_release(struct vault_server *);
bool vault_server_same(const struct vault_server *, const struct vault_server *);

/* Path behind /v1/, encoded. token and body may be NULL. NULL = no memory. */
struct https_call *vault_server_send(const struct vault_server *, const char *method,
    const char *path, const char *token, const char *body, size_t body_len, https_done *,
    void *arg);

struct vault_reply {
	int status; /* 0 = no answer */
	enum secret_error error;
	char message[256]; /* "" when OK */
	int64_t retry_after_ms;
	bool not_yet;		/* 412: this node has not seen what we wrote; ask again soon */
	struct source_json doc; /* empty when there was no JSON; points into the response */
};

void vault_reply_read(struct vault_reply *, const struct https_response *);
/* Without an answer of the server: no memory, no token file... What was in it is overwritten. */
void vault_reply_fail(struct vault_reply *, enum secret_error, const char *message);
void vault_reply_release(struct vault_reply *);

/* "mount" or a path as it goes into a URL; NULL with one line in err: empty, "..", slashes at its
 * ends, or blanks. The caller frees it. */
char *vault_server_path(const char *key, const char *value, char *err, size_t errlen);

#endif
