#include "auth/source/vault_method.h"

#include "auth/source/source_text.h"
#include "auth/source/vault_server.h"
#include "proxy/base/buf.h"
#include "proxy/base/secret.h"
#include "proxy/base/secure.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/token"

/* NULL when all is well. */
static const char *
check_token(const struct config_secret *c)
{
	const char *env = getenv("VAULT_TOKEN");

	if (c->role_id != NULL || c->role_id_file != NULL || c->secret_id_file != NULL)
		return "role_id, role_id_file and secret_id_file need auth_method=approle";
	if (c->auth_role != NULL)
		return "auth_role needs auth_method=kubernetes";
	if (c->auth_mount != NULL)
		return "auth_mount needs auth_method=approle or kubernetes";
	if (c->token_file == NULL && (env == NULL || *env == '\0'))
		return "token_file: missing, and VAULT_TOKEN is not set (or choose an auth_method: token, approle, kubernetes)";
	return NULL;
}

static const char *
check_approle(const struct config_secret *c)
{
	if ((c->role_id == NULL) == (c->role_id_file == NULL))
		return "auth_method=approle needs either role_id or role_id_file";
	if (c->auth_role != NULL || c->token_file != NULL)
		return "auth_role and token_file are not for auth_method=approle";
	return NULL;
}

static const char *
check_kubernetes(const struct config_secret *c)
{
	if (c->auth_role == NULL)
		return "auth_method=kubernetes needs auth_role";
	if (c->role_id != NULL || c->role_id_file != NULL || c->secret_id_file != NULL)
		return "role_id, role_id_file and secret_id_file need auth_method=approle";
	return NULL;
}

static int
copy(char **to, const char *from)
{
	if (from == NULL)
		return 0;
	*to = strdup(from);
	return *to == NULL ? -1 : 0;
}

/* "auth/MOUNT/login". */
static int
set_path(struct vault_method *m, const char *mount, char *err, size_t errlen)
{
	char *encoded = vault_server_path("auth_mount", mount, err, errlen);
	int rc = -1;

	if (encoded == NULL)
		return -1;
	if (asprintf(&m->path, "auth/%s/login", encoded) == -1) {
		m->path = NULL;
		snprintf(err, errlen, "out of memory");
	} else
		rc = 0;
	free(encoded);
	return rc;
}

int
vault_method_init(struct vault_method *m, const struct config_secret *c, char *err, size_t errlen)
{
	const char *word = c->auth_method == NULL ? "token" : c->auth_method;
	const char *wrong, *mount = c->auth_mount, *token_file = c->token_file;

	memset(m, 0, sizeof(*m));
	if (strcmp(word, "token") == 0) {
		m->kind = VAULT_BY_TOKEN;
		wrong = check_token(c);
	} else if (strcmp(word, "approle") == 0) {
		m->kind = VAULT_BY_APPROLE;
		wrong = check_approle(c);
	} else if (strcmp(word, "kubernetes") == 0) {
		m->kind = VAULT_BY_KUBERNETES;
		wrong = check_kubernetes(c);
		if (token_file == NULL)
			token_file = SERVICE_ACCOUNT;
	} else {
		snprintf(err, errlen, "auth_method=%s: must be token, approle or kubernetes", word);
		return -1;
	}
	if (wrong != NULL) {
		snprintf(err, errlen, "%s", wrong);
		return -1;
	}
	if (m->kind != VAULT_BY_TOKEN &&
	    set_path(m, mount == NULL ? word : mount, err, errlen) == -1)
		goto fail;
	if (copy(&m->role, m->kind == VAULT_BY_APPROLE ? c->role_id : c->auth_role) == -1 ||
	    copy(&m->role_id_file, c->role_id_file) == -1 ||
	    copy(&m->secret_id_file, c->secret_id_file) == -1 ||
	    copy(&m->token_file, token_file) == -1) {
		snprintf(err, errlen, "out of memory");
		goto fail;
	}
	return 0;
fail:
	vault_method_release(m);
	return -1;
}

void
vault_method_release(struct vault_method *m)
{
	free(m->path);
	secret_free(m->role, m->role == NULL ? 0 : strlen(m->role));
	free(m->role_id_file);
	free(m->secret_id_file);
	free(m->token_file);
	memset(m, 0, sizeof(*m));
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_secret(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : secret_equal_text(a, strlen(a), b, strlen(b));
}

bool
vault_method_same(const struct vault_method *a, const struct vault_method *b)
{
	return a->kind == b->kind && same_text(a->path, b->path) && same_secret(a->role, b->role) &&
	       same_text(a->role_id_file, b->role_id_file) &&
	       same_text(a->secret_id_file, b->secret_id_file) &&
	       same_text(a->token_file, b->token_file);
}

char *
vault_method_token(const struct vault_method *m, size_t *len, char *err, size_t errlen)
{
	const char *env;
	char *token;

	if (m->token_file != NULL) {
		token = source_text_file(m->token_file, len, err, errlen);
		if (token == NULL || source_text_plain(token))
			return token;
		secure_free(token);
		snprintf(err, errlen, "%s does not hold a token", m->token_file);
		return NULL;
	}
	env = getenv("VAULT_TOKEN");
	if (env == NULL || !source_text_plain(env)) {
		snprintf(err, errlen, "VAULT_TOKEN does not hold a token");
		return NULL;
	}
	*len = strlen(env);
	token = secure_dup(env, *len);
	if (token == NULL)
		snprintf(err, errlen, "out of memory");
	return token;
}

/* "name":"what the file holds" */
static int
put_file(struct buf *b, const char *name, const char *path, char *err, size_t errlen)
{
	size_t len;
	char *text = source_text_file(path, &len, err, errlen);

	if (text == NULL)
		return -1;
	buf_printf(b, "\"%s\":", name);
	json_put_string(b, text, len);
	secure_free(text);
	return 0;
}

int
vault_method_body(const struct vault_method *m, struct buf *b, char *err, size_t errlen)
{
	const char *name = m->kind == VAULT_BY_APPROLE ? "role_id" : "role";
	const char *second = m->kind == VAULT_BY_APPROLE ? "secret_id" : "jwt";
	const char *file = m->kind == VAULT_BY_APPROLE ? m->secret_id_file : m->token_file;

	buf_put_u8(b, '{');
	if (m->role_id_file != NULL) {
		if (put_file(b, name, m->role_id_file, err, errlen) == -1)
			return -1;
	} else {
		buf_printf(b, "\"%s\":", name);
		json_put_string(b, m->role, strlen(m->role));
	}
	if (file != NULL) { /* AppRole without bind_secret_id has none */
		buf_put_u8(b, ',');
		if (put_file(b, second, file, err, errlen) == -1)
			return -1;
	}
	buf_put_u8(b, '}');
	if (!buf_failed(b))
		return 0;
	snprintf(err, errlen, "out of memory");
	return -1;
}
