#include "auth/source/vault_server.h"

#include "proxy/base/buf.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE_MAX  1024
#define TOKEN_MAX 8192 /* batch tokens are long */
#define URL_MAX	  4096

/* ---- where ---- */

static const char *
or_env(const char *value, const char *variable)
{
	const char *env;

	if (value != NULL)
		return value;
	env = getenv(variable);
	return env == NULL || *env == '\0' ? NULL : env;
}

static int
copy(char **to, const char *from)
{
	*to = NULL;
	if (from == NULL)
		return 0;
	*to = strdup(from);
	return *to == NULL ? -1 : 0;
}

static const char *
check_base(const char *base)
{
	if (base == NULL)
		return "endpoint: missing, and VAULT_ADDR is not set (https://HOST:8200)";
	if (strncmp(base, "https://", 8) != 0 && strncmp(base, "http://", 7) != 0)
		return "endpoint: must begin with https:// (or http:// for a loopback address)";
	if (strlen(base) > BASE_MAX || !source_text_plain(base) || strpbrk(base, "?#@") != NULL)
		return "endpoint: must be https://HOST:PORT";
	return NULL;
}

int
vault_server_init(struct vault_server *v, const struct config_secret *c,
    const struct secret_source_env *env, char *err, size_t errlen)
{
	const char *base = or_env(c->endpoint, "VAULT_ADDR");
	const char *namespace = or_env(c->namespace, "VAULT_NAMESPACE");
	const char *cert = or_env(c->cert_file, "VAULT_CLIENT_CERT");
	const char *key = or_env(c->key_file, "VAULT_CLIENT_KEY");
	const char *wrong = check_base(base);

	*v = (struct vault_server){ .env = *env, .timeout_ms = c->timeout };
	if (wrong == NULL && namespace != NULL &&
	    (!source_text_plain(namespace) || strlen(namespace) > 512))
		wrong = "namespace: must be a path such as team-a/dev";
	if (wrong == NULL && (cert == NULL) != (key == NULL))
		wrong = "cert_file and key_file must be given together";
	if (wrong != NULL) {
		snprintf(err, errlen, "%s", wrong);
		return -1;
	}
	if (copy(&v->base, base) == -1 || copy(&v->namespace, namespace) == -1 ||
	    copy(&v->ca_file, or_env(c->ca_file, "VAULT_CACERT")) == -1 ||
	    copy(&v->cert_file, cert) == -1 || copy(&v->key_file, key) == -1) {
		vault_server_release(v);
		snprintf(err, errlen, "out of memory");
		return -1;
	}
	source_text_trim_slashes(v->base);
	return 0;
}

void
vault_server_release(struct vault_server *v)
{
	free(v->base);
	free(v->namespace);
	free(v->ca_file);
	free(v->cert_file);
	free(v->key_file);
	memset(v, 0, sizeof(*v));
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
vault_server_same(const struct vault_server *a, const struct vault_server *b)
{
	return a->env.loop == b->env.loop && a->env.calls == b->env.calls &&
	       same_text(a->base, b->base) && same_text(a->namespace, b->namespace) &&
	       same_text(a->ca_file, b->ca_file) && same_text(a->cert_file, b->cert_file) &&
	       same_text(a->key_file, b->key_file);
}

char *
vault_server_path(const char *key, const char *value, char *err, size_t errlen)
{
	struct buf b;
	char *out = NULL;
	size_t n = strlen(value);

	if (n == 0 || n > 1024 || value[0] == '/' || value[n - 1] == '/' ||
	    strstr(value, "//") != NULL || strstr(value, "..") != NULL) {
		snprintf(err, errlen, "%s=%s: must be a path without slashes at its ends", key,
		    value);
		return NULL;
	}
	buf_init(&b, URL_MAX);
	source_text_encode(&b, value, n, true);
	buf_put_u8(&b, 0);
	if (!buf_failed(&b))
		out = strdup((const char *)buf_data(&b));
	if (out == NULL)
		snprintf(err, errlen, "out of memory");
	buf_release(&b);
	return out;
}

/* ---- asking ---- */

struct https_call *
vault_server_send(const struct vault_server *v, const char *method, const char *path,
    const char *token, const char *body, size_t body_len, https_done *done, void *arg)
{
	char url[URL_MAX], namespace[600], token_header[TOKEN_MAX + 16];
	struct https_request r = {
		.method = method,
		.url = url,
		.headers = { "Accept: application/json", "X-Vault-Request: true" },
		.n_headers = 2,
		.body = body,
		.body_len = body_len,
		.ca_file = v->ca_file,
		.cert_file = v->cert_file,
		.key_file = v->key_file,
		.timeout_ms = v->timeout_ms,
		.proxy = true,
	};
	struct https_call *call;

	if (snprintf(url, sizeof(url), "%s/v1/%s", v->base, path) >= (int)sizeof(url))
		return NULL;
	if (body != NULL)
		r.headers[r.n_headers++] = "Content-Type: application/json";
	if (v->namespace != NULL) {
		snprintf(namespace, sizeof(namespace), "X-Vault-Namespace: %s", v->namespace);
		r.headers[r.n_headers++] = namespace;
	}
	token_header[0] = '\0';
	if (token != NULL) {
		if (strlen(token) > TOKEN_MAX)
			return NULL;
		snprintf(token_header, sizeof(token_header), "X-Vault-Token: %s", token);
		r.headers[r.n_headers++] = token_header;
	}
	call = https_call(v->env.calls, &r, done, arg);
	explicit_bzero(token_header, sizeof(token_header));
	return call;
}

/* ---- the answer ---- */

static enum secret_error
class_of(int status)
{
	switch (status) {
	case 200:
	case 204:
		return SECRET_OK;
	case 400:
	case 404:
	case 405:
		return SECRET_GONE;
	case 401:
	case 403:
		return SECRET_DENIED;
	case 429:
		return SECRET_THROTTLED;
	default: /* 412, 472, 473, 5xx, a standby's 307, and what a proxy in between may say */
		return SECRET_TRANSIENT;
	}
}

static void
say(struct vault_reply *r)
{
	char said[160];
	size_t errors = SOURCE_JSON_AT(&r->doc, "errors");
	size_t first = errors == JSON_NONE ? JSON_NONE : json_first(&r->doc.json, errors);

	source_json_printable(&r->doc, first, said, sizeof(said));
	if (r->status >= 300 && r->status < 400)
		snprintf(r->message, sizeof(r->message),
		    "Vault answered %d: a standby; redirects are not followed, endpoint= must be the active node or a load balancer",
		    r->status);
	else
		snprintf(r->message, sizeof(r->message), "Vault answered %d%s%s", r->status,
		    said[0] == '\0' ? "" : ": ", said);
}

void
vault_reply_read(struct vault_reply *r, const struct https_response *h)
{
	memset(r, 0, sizeof(*r));
	r->status = h->status;
	if (h->status == 0) {
		vault_reply_fail(r, SECRET_TRANSIENT, h->error);
		return;
	}
	r->error = class_of(h->status);
	r->retry_after_ms = https_retry_after_ms(h);
	r->not_yet = h->status == 412;
	if (h->len != 0 && source_json_read(&r->doc, h->body, h->len) == -1 &&
	    r->error == SECRET_OK) {
		r->error = SECRET_TRANSIENT;
		snprintf(r->message, sizeof(r->message), "Vault's answer is no JSON");
		return;
	}
	if (r->error != SECRET_OK)
		say(r);
}

void
vault_reply_fail(struct vault_reply *r, enum secret_error error, const char *message)
{
	memset(r, 0, sizeof(*r));
	r->error = error;
	snprintf(r->message, sizeof(r->message), "%s", message);
}

void
vault_reply_release(struct vault_reply *r)
{
	source_json_release(&r->doc);
	explicit_bzero(r->message, sizeof(r->message));
}
