/* Azure Key Vault. Versions have ids without order and no stages: the previous one is the one that
 * was current before the id changed under us. */
#include "auth/source/secret_source.h"

#include "auth/source/azure_identity.h"
#include "auth/source/bearer_call.h"
#include "auth/source/source_entry.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API_VERSION "7.4"
#define VERSION_MAX 64

struct azure {
	struct secret_source base;
	struct secret_source_env env;
	struct source_form form;
	struct bearer *bearer;
	struct bearer_call call;
	char *url; /* https://VAULT/secrets/NAME[/VERSION] */
	char *ca_file;
	char current[VERSION_MAX], previous[VERSION_MAX];
	enum secret_stage stage;
	secret_fetched *done;
	void *arg;
};

/* Clouds: what a vault's name ends in, and whom its tokens are for. */
static const struct {
	const char *domain, *resource;
} clouds[] = {
	{ ".vault.azure.net", "https://vault.azure.net" },
	{ ".vault.azure.cn", "https://vault.azure.cn" },
	{ ".vault.usgovcloudapi.net", "https://vault.usgovcloudapi.net" },
};

/* ---- the answer ---- */

static void
answer(struct azure *z, const struct secret_answer *a)
{
	secret_fetched *done = z->done;

	z->done = NULL;
	done(z->arg, a);
}

static void
refuse(struct azure *z, enum secret_error error, int64_t retry_after_ms, const char *message)
{
	struct secret_answer a = { .error = error,
		.message = message,
		.retry_after_ms = retry_after_ms };

	answer(z, &a);
}

static enum secret_error
class_of(int status)
{
	switch (status) {
	case 400:
	case 403: /* also SecretDisabled, and the vault's firewall */
	case 404:
		return SECRET_GONE;
	case 401:
		return SECRET_DENIED;
	case 429:
		return SECRET_THROTTLED;
	default:
		return SECRET_TRANSIENT;
	}
}

static void
refused(struct azure *z, const struct https_response *h, const struct source_json *doc)
{
	size_t error = SOURCE_JSON_AT(doc, "error");
	char code[64], inner[64], said[128], message[320];

	source_json_text(doc, error, "code", code, sizeof(code));
	source_json_text(doc, SOURCE_JSON_AT(doc, "error", "innererror"), "code", inner,
	    sizeof(inner));
	source_json_printable(doc, SOURCE_JSON_AT(doc, "error", "message"), said, sizeof(said));
	snprintf(message, sizeof(message), "Key Vault answered %d%s%s%s%s%s%s", h->status,
	    code[0] == '\0' ? "" : " ", code, inner[0] == '\0' ? "" : " ", inner,
	    said[0] == '\0' ? "" : ": ", said);
	refuse(z, class_of(h->status), https_retry_after_ms(h), message);
}

/* The last part of the secret's id. */
static bool
read_id(const struct source_json *doc, char version[VERSION_MAX])
{
	char id[512];
	const char *tail;

	if (source_json_text(doc, 0, "id", id, sizeof(id)) == 0)
		return false;
	tail = strrchr(id, '/');
	if (tail == NULL || tail[1] == '\0' || strlen(tail + 1) >= VERSION_MAX)
		return false;
	memcpy(version, tail + 1, strlen(tail + 1) + 1);
	return true;
}

static void
remember(struct azure *z, const char *version)
{
	if (z->stage != SECRET_CURRENT || strcmp(z->current, version) == 0)
		return;
	memcpy(z->previous, z->current, sizeof(z->previous));
	snprintf(z->current, sizeof(z->current), "%s", version);
}

static void
read_version(struct azure *z, const struct source_json *doc)
{
	size_t enabled = SOURCE_JSON_AT(doc, "attributes", "enabled");
	struct secret_answer a = { .error = SECRET_TRANSIENT, .message = "out of memory" };
	char *text = malloc(SECRET_TEXT_MAX + 1), version[VERSION_MAX], err[128];
	struct secret_value value;
	size_t len = 0;

	memset(&value, 0, sizeof(value));
	if (text != NULL)
		len = source_json_text(doc, 0, "value", text, SECRET_TEXT_MAX + 1);
	if (text == NULL)
		;
	else if (!read_id(doc, version))
		a.message = "Key Vault's answer names no version";
	else if (json_is(&doc->json, enabled, JSON_FALSE))
		a = (struct secret_answer){ .error = SECRET_GONE,
			.message = "the version is disabled" };
	else if (len == 0)
		a = (struct secret_answer){ .error = SECRET_BAD_VALUE,
			.message = "the secret's value is empty, too long, or no text" };
	else if (source_form_read(&z->form, &value, text, len, err, sizeof(err)) == -1)
		a = (struct secret_answer){ .error = SECRET_BAD_VALUE, .message = err };
	else {
		a = (struct secret_answer){ .value = &value, .version = version };
		remember(z, version);
	}
	secret_free(text, text == NULL ? 0 : SECRET_TEXT_MAX + 1);
	answer(z, &a);
	secret_value_wipe(&value);
}

static void
on_read(struct bearer_call *c, const struct https_response *h, const struct bearer_failure *why_not)
{
	struct azure *z = list_entry(c, struct azure, call);
	struct source_json doc;

	if (h == NULL) {
		refuse(z, why_not->error, why_not->retry_after_ms, why_not->message);
		return;
	}
	if (source_json_read(&doc, h->body, h->len) == -1 && h->status == 200)
		refuse(z, SECRET_TRANSIENT, 0, "Key Vault's answer is no JSON");
	else if (h->status != 200)
		refused(z, h, &doc);
	else
		read_version(z, &doc);
	source_json_release(&doc);
}

static void
azure_fetch(struct secret_source *s, enum secret_stage stage, secret_fetched *done, void *arg)
{
	struct azure *z = (struct azure *)s;
	bool old = stage == SECRET_PREVIOUS;
	char url[2048];

	z->stage = stage;
	z->done = done;
	z->arg = arg;
	if (stage == SECRET_PENDING)
		bearer_call_fail(&z->call, SECRET_NOT_SERVED, "Key Vault has no pending versions");
	else if (old && z->previous[0] == '\0')
		bearer_call_fail(&z->call, SECRET_GONE, "no earlier version was seen");
	else if (snprintf(url, sizeof(url), "%s%s%s?api-version=" API_VERSION, z->url,
		     old ? "/" : "", old ? z->previous : "") < (int)sizeof(url))
		bearer_call_get(&z->call, url);
	else
		bearer_call_fail(&z->call, SECRET_GONE, "the URL of the secret is too long");
}

/* ---- opening ---- */

static bool
is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return len != 0 && len < 128;
}

/* "NAME[/VERSION]". */
static bool
is_secret_path(const char *path)
{
	size_t n = strcspn(path, "/");
	const char *version = path + n + 1;

	return is_name(path, n) && (path[n] == '\0' || (strlen(version) < VERSION_MAX &&
							   is_name(version, strlen(version))));
}

/* https://VAULT.DOMAIN/secrets/NAME[/VERSION]: sets *path to what follows the host; the resource, or
 * NULL. */
static const char *
read_secret_id(const char *id, const char **path)
{
	size_t host_len, n;

	if (strncmp(id, "https://", 8) != 0)
		return NULL;
	id += 8;
	host_len = strcspn(id, "/");
	*path = id + host_len;
	if (strncmp(*path, "/secrets/", 9) != 0 || !is_secret_path(*path + 9))
		return NULL;
	for (size_t i = 0; i < sizeof(clouds) / sizeof(clouds[0]); i++) {
		n = strlen(clouds[i].domain);
		/* the token goes to that host: nothing but one label before the domain */
		if (host_len > n && strncmp(id + host_len - n, clouds[i].domain, n) == 0 &&
		    is_name(id, host_len - n))
			return clouds[i].resource;
	}
	return NULL;
}

static const char *
check_entry(const struct config_secret *c)
{
	if (c->secret_id == NULL)
		return "secret_id: missing (https://VAULT.vault.azure.net/secrets/NAME)";
	if (c->endpoint != NULL && (strlen(c->endpoint) > 512 || !source_text_plain(c->endpoint) ||
				       (strncmp(c->endpoint, "https://", 8) != 0 &&
					   strncmp(c->endpoint, "http://", 7) != 0)))
		return "endpoint: must be https://HOST[:PORT]";
	if (c->client_id != NULL && !source_text_plain(c->client_id))
		return "client_id: must be the id of a user-assigned identity";
	return NULL;
}

static void
azure_close(struct secret_source *s)
{
	struct azure *z = (struct azure *)s;

	if (z->bearer != NULL)
		bearer_call_cancel(&z->call);
	bearer_release(z->bearer);
	source_form_release(&z->form);
	free(z->url);
	free(z->ca_file);
	free(z);
}

/* The secret's own URL, or its path at another host (for tests and private gateways). */
static char *
make_url(const struct config_secret *c, const char *path)
{
	char *host, *url;

	if (c->endpoint == NULL)
		return strdup(c->secret_id);
	host = strdup(c->endpoint);
	if (host == NULL)
		return NULL;
	source_text_trim_slashes(host);
	if (asprintf(&url, "%s%s", host, path) == -1)
		url = NULL;
	free(host);
	return url;
}

static int
copy_entry(struct azure *z, const struct config_secret *c, char *err, size_t errlen)
{
	const char *path, *resource = read_secret_id(c->secret_id, &path);
	char identity[512];

	if (resource == NULL) {
		snprintf(err, errlen,
		    "secret_id=%s: must be https://VAULT.vault.azure.net/secrets/NAME[/VERSION] (or a sovereign cloud's vault.azure.cn, vault.usgovcloudapi.net)",
		    c->secret_id);
		return -1;
	}
	z->url = make_url(c, path);
	z->ca_file = c->ca_file == NULL ? NULL : strdup(c->ca_file);
	snprintf(identity, sizeof(identity), "%s %s", resource,
	    c->client_id == NULL ? "" : c->client_id);
	if (z->url != NULL && (c->ca_file == NULL || z->ca_file != NULL))
		z->bearer = bearer_open(&azure_identity, identity, &z->env, c->timeout);
	if (z->bearer != NULL)
		return 0;
	snprintf(err, errlen, "out of memory");
	return -1;
}

static struct secret_source *
azure_open(const struct config_secret *c, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	static const char *const taken[] = { "secret_id", "client_id", "endpoint", "ca_file",
		"format", NULL };
	const char *wrong = check_entry(c);
	struct azure *z;

	if (source_entry_check(c, taken, err, errlen) == -1)
		return NULL;
	if (wrong != NULL) {
		snprintf(err, errlen, "%s", wrong);
		return NULL;
	}
	z = calloc(1, sizeof(*z));
	if (z == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	z->base.ops = &source_azure;
	z->env = *env;
	if (source_form_init(&z->form, c, err, errlen) == -1 ||
	    copy_entry(z, c, err, errlen) == -1) {
		azure_close(&z->base);
		return NULL;
	}
	z->call.done = on_read;
	z->call.bearer = z->bearer;
	z->call.env = &z->env;
	z->call.ca_file = z->ca_file;
	z->call.timeout_ms = c->timeout;
	bearer_call_init(&z->call);
	return &z->base;
}

const struct secret_source_ops source_azure = {
	.name = "azure-keyvault",
	.open = azure_open,
	.fetch = azure_fetch,
	.close = azure_close,
};
