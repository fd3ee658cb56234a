#include "auth/secret_version.h"

#include "auth/scram_verifier.h"
#include "proxy/base/secret.h"
#include "proxy/base/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t last_serial;

/* Appends a text and its NUL to a block; NULL for "". */
static const char *
put(char **at, const char *text, size_t len)
{
	char *here = *at;

	if (len == 0)
		return NULL;
	memcpy(here, text, len);
	here[len] = '\0';
	*at += len + 1;
	return here;
}

static bool
derive(struct secret_version *v, int iterations)
{
	uint8_t salt[SCRAM_SALT_LEN];

	if (v->user == NULL)
		return true;
	v->verifier = secure_alloc(sizeof(*v->verifier));
	if (v->verifier == NULL || scram_verifier_mock_salt(v->user, salt) == -1)
		return false;
	scram_verifier_derive(v->verifier, v->password, v->password_len, salt, sizeof(salt),
	    (uint32_t)iterations);
	return true;
}

static void
destroy(struct secret_version *v)
{
	secure_free(v->verifier);
	free(v->lease);
	secure_free(v);
}

struct secret_version *
secret_version_new(const struct secret_value *value, const char *id, const char *lease,
    int64_t expires_unix_ms, int iterations)
{
	size_t user_len = strlen(value->user), host_len = strlen(value->host),
	       dbname_len = strlen(value->dbname);
	struct secret_version *v = secure_alloc(
	    sizeof(*v) + user_len + value->password_len + host_len + dbname_len + 4);
	char *at;

	if (v == NULL)
		return NULL;
	atomic_init(&v->refs, 1);
	v->serial = atomic_fetch_add(&last_serial, 1) + 1;
	at = (char *)(v + 1);
	v->user = put(&at, value->user, user_len);
	v->password = put(&at, value->password, value->password_len);
	v->password_len = value->password_len;
	v->host = put(&at, value->host, host_len);
	v->dbname = put(&at, value->dbname, dbname_len);
	v->port = value->port;
	v->expires_unix_ms = expires_unix_ms;
	snprintf(v->id, sizeof(v->id), "%s", id);
	if (lease != NULL && (v->lease = strdup(lease)) == NULL)
		goto fail;
	if (!derive(v, iterations))
		goto fail;
	return v;
fail:
	destroy(v);
	return NULL;
}

struct secret_version *
secret_version_ref(struct secret_version *v)
{
	if (v != NULL)
		atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void
secret_version_unref(struct secret_version *v)
{
	if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) > 1)
		return;
	if (v->gone != NULL)
		v->gone(v->gone_arg, v);
	destroy(v);
}

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

bool
secret_version_is(const struct secret_version *v, const char *id)
{
	return strncmp(v->id, id, sizeof(v->id) - 1) == 0;
}

bool
secret_version_says(const struct secret_version *v, const struct secret_value *value)
{
	return same_text(v->user, value->user) && v->password_len == value->password_len &&
	       secret_equal(v->password, value->password, v->password_len) &&
	       same_text(v->host, value->host) && same_text(v->dbname, value->dbname) &&
	       v->port == value->port;
}

bool
secret_version_same_user(const struct secret_version *a, const struct secret_version *b)
{
	return same_text(a->user, b->user);
}
