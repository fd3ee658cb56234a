/* Google Secret Manager, with the token of the metadata server (VM, GKE, Cloud Run). There are no
 * stages: a rotation is a new version, the previous one is the number before it. */
#include "auth/source/secret_source.h"

#include "auth/source/bearer_call.h"
#include "auth/source/source_entry.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 512
#define API_HOST     "https://secretmanager.googleapis.com"
#define METADATA     "169.254.169.254"
#define MARGIN_MS    (4 * 60 * 1000) /* the server hands out the same token until 5 min before */
#define BASE64_MAX   SECRET_BASE64_LEN(SECRET_TEXT_MAX)

struct gcp {
	struct secret_source base;
	struct secret_source_env env;
	struct source_form form;
	struct bearer *bearer;
	struct bearer_call call;
	struct https_call *project_call;
	char *endpoint, *ca_file, *metadata;
	char *name;	/* "projects/P/secrets/S", or "S" until the project is known */
	char *version;	/* asked for by the entry, NULL = the latest */
	int64_t number; /* of the version given last as the current one, 0 = none or no number */
	enum secret_stage stage;
	secret_fetched *done;
	void *arg;
};

/* ---- the metadata server ---- */

static bool
is_google(const struct https_response *h)
{
	const char *flavor = https_header(h, "Metadata-Flavor");

	return flavor != NULL && strcmp(flavor, "Google") == 0;
}

static int
ask_token(const char *host, struct bearer_request *q, char *err, size_t errlen)
{
	(void)err;
	(void)errlen;
	buf_printf(&q->url, "http://%s/computeMetadata/v1/instance/service-accounts/default/token",
	    host);
	buf_printf(&q->headers[0], "Metadata-Flavor: Google");
	q->plain_http = true;
	return 0;
}

static const struct bearer_kind metadata_kind = {
	.name = "Google's metadata server",
	.margin_ms = MARGIN_MS,
	.ask = ask_token,
	.genuine = is_google,
};

/* ---- the answer ---- */

/* Castagnoli's, reflected: what dataCrc32c holds. Secrets are short: no table. */
static uint32_t
crc32c(const unsigned char *p, size_t len)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void
answer(struct gcp *g, const struct secret_answer *a)
{
	secret_fetched *done = g->done;

	g->done = NULL;
	done(g->arg, a);
}

static void
refuse(struct gcp *g, enum secret_error error, int64_t retry_after_ms, const char *message)
{
	struct secret_answer a = { .error = error,
		.message = message,
		.retry_after_ms = retry_after_ms };

	answer(g, &a);
}

static enum secret_error
class_of(int status)
{
	switch (status) {
	case 400: /* FAILED_PRECONDITION: disabled or destroyed */
	case 403:
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
refused(struct gcp *g, const struct https_response *h, const struct source_json *doc)
{
	char status[64], said[160], message[288];

	source_json_text(doc, SOURCE_JSON_AT(doc, "error"), "status", status, sizeof(status));
	source_json_printable(doc, SOURCE_JSON_AT(doc, "error", "message"), said, sizeof(said));
	snprintf(message, sizeof(message), "Secret Manager answered %d%s%s%s%s", h->status,
	    status[0] == '\0' ? "" : " ", status, said[0] == '\0' ? "" : ": ", said);
	refuse(g, class_of(h->status), https_retry_after_ms(h), message);
}

/* The payload's bytes into out[SECRET_TEXT_MAX]; -1 with why. */
static ssize_t
read_payload(const struct source_json *doc, char *text, unsigned char *out, const char **why)
{
	size_t payload = SOURCE_JSON_AT(doc, "payload");
	size_t n = source_json_text(doc, payload, "data", text, BASE64_MAX + 1);
	int64_t crc = source_json_number(doc, payload, "dataCrc32c");
	ssize_t len = n == 0 ? -1 : secret_base64_decode(out, SECRET_TEXT_MAX, text, n);

	if (len == -1)
		*why = "Secret Manager's answer has no payload";
	else if (crc != -1 && crc != (int64_t)crc32c(out, (size_t)len)) {
		*why = "the secret arrived damaged: its CRC32C is wrong";
		len = -1;
	}
	return len;
}

static void
read_version(struct gcp *g, const struct source_json *doc)
{
	char *text = malloc(BASE64_MAX + 1), name[NAME_MAX_LEN], err[128];
	unsigned char *bytes = malloc(SECRET_TEXT_MAX);
	struct secret_answer a = { .error = SECRET_TRANSIENT, .message = "out of memory" };
	struct secret_value value;
	const char *version = NULL;
	ssize_t len = -1;

	memset(&value, 0, sizeof(value));
	if (text != NULL && bytes != NULL)
		len = read_payload(doc, text, bytes, &a.message);
	if (len != -1 && source_json_text(doc, 0, "name", name, sizeof(name)) != 0)
		version = strrchr(name, '/');
	if (len == -1)
		;
	else if (version == NULL || version[1] == '\0')
		a.message = "Secret Manager's answer names no version";
	else if (source_form_read(&g->form, &value, (const char *)bytes, (size_t)len, err,
		     sizeof(err)) == -1)
		a = (struct secret_answer){ .error = SECRET_BAD_VALUE, .message = err };
	else {
		a = (struct secret_answer){ .value = &value, .version = version + 1 };
		if (g->stage == SECRET_CURRENT)
			g->number = isdigit((unsigned char)version[1])
					? strtoll(version + 1, NULL, 10)
					: 0;
	}
	secret_free(text, text == NULL ? 0 : BASE64_MAX + 1);
	secret_free(bytes, bytes == NULL ? 0 : SECRET_TEXT_MAX);
	answer(g, &a);
	secret_value_wipe(&value);
}

static void
on_read(struct bearer_call *c, const struct https_response *h, const struct bearer_failure *why_not)
{
	struct gcp *g = list_entry(c, struct gcp, call);
	struct source_json doc;

	if (h == NULL) {
		refuse(g, why_not->error, why_not->retry_after_ms, why_not->message);
		return;
	}
	if (source_json_read(&doc, h->body, h->len) == -1 && h->status == 200)
		refuse(g, SECRET_TRANSIENT, 0, "Secret Manager's answer is no JSON");
	else if (h->status != 200)
		refused(g, h, &doc);
	else
		read_version(g, &doc);
	source_json_release(&doc);
}

/* ---- asking ---- */

static void
read_secret(struct gcp *g)
{
	char url[2048], number[24];
	const char *version = g->version == NULL ? "latest" : g->version;

	if (g->stage == SECRET_PREVIOUS) {
		snprintf(number, sizeof(number), "%lld", (long long)g->number - 1);
		version = number;
	}
	if (snprintf(url, sizeof(url), "%s/v1/%s/versions/%s:access", g->endpoint, g->name,
		version) < (int)sizeof(url))
		bearer_call_get(&g->call, url);
	else
		bearer_call_fail(&g->call, SECRET_GONE, "the name of the secret is too long");
}

/* The project is the first part of the URL's path: what is no project id does not get there. */
static bool
is_word(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && memchr("-_.:", text[i], 4) == NULL)
			return false;
	return len != 0 && len < 256 && text[0] != '.';
}

static void
on_project(void *arg, const struct https_response *h)
{
	struct gcp *g = arg;
	char *name;

	g->project_call = NULL;
	if (h->status != 200 || !is_google(h) || !is_word(h->body, h->len)) {
		refuse(g, SECRET_TRANSIENT, 0,
		    h->status == 0 ? h->error : "Google's metadata server gave no project id");
		return;
	}
	if (asprintf(&name, "projects/%s/secrets/%s", h->body, g->name) == -1) {
		refuse(g, SECRET_TRANSIENT, 0, "out of memory");
		return;
	}
	free(g->name);
	g->name = name;
	read_secret(g);
}

static void
find_project(struct gcp *g)
{
	char url[512];
	struct https_request r = { .method = "GET",
		.url = url,
		.headers = { "Metadata-Flavor: Google" },
		.n_headers = 1,
		.timeout_ms = g->call.timeout_ms,
		.plain_http = true };

	snprintf(url, sizeof(url), "http://%s/computeMetadata/v1/project/project-id", g->metadata);
	g->project_call = https_call(g->env.calls, &r, on_project, g);
	if (g->project_call == NULL)
		bearer_call_fail(&g->call, SECRET_TRANSIENT, "out of memory");
}

static void
gcp_fetch(struct secret_source *s, enum secret_stage stage, secret_fetched *done, void *arg)
{
	struct gcp *g = (struct gcp *)s;

	g->stage = stage;
	g->done = done;
	g->arg = arg;
	if (stage == SECRET_PENDING)
		bearer_call_fail(&g->call, SECRET_NOT_SERVED,
		    "Secret Manager has no pending versions");
	else if (stage == SECRET_PREVIOUS && (g->version != NULL || g->number < 2))
		bearer_call_fail(&g->call, SECRET_GONE, "there is no earlier version");
	else if (strncmp(g->name, "projects/", 9) != 0)
		find_project(g);
	else
		read_secret(g);
}

/* ---- opening ---- */

/* One "WORD/VALUE" at *at; moves behind it and a following slash. */
static bool
take_part(const char **at, const char *word, const char **value, size_t *len)
{
	size_t n = strlen(word);

	if (strncmp(*at, word, n) != 0 || (*at)[n] != '/')
		return false;
	*value = *at + n + 1;
	*len = strcspn(*value, "/");
	*at = *value + *len;
	if (**at == '/')
		++*at;
	return is_word(*value, *len);
}

/* projects/P[/locations/L]/secrets/S[/versions/V], or S. */
static int
read_id(struct gcp *g, const char *id, char **endpoint)
{
	const char *at = id, *value, *location = NULL;
	size_t len, location_len = 0, name_len;

	*endpoint = NULL;
	if (is_word(id, strlen(id)))
		return (g->name = strdup(id)) == NULL ? -1 : 0;
	if (!take_part(&at, "projects", &value, &len))
		return -1;
	if (take_part(&at, "locations", &value, &len)) {
		location = value;
		location_len = len;
	}
	if (!take_part(&at, "secrets", &value, &len))
		return -1;
	name_len = (size_t)(value + len - id);
	if (*at != '\0' && (!take_part(&at, "versions", &value, &len) || *at != '\0' ||
			       (g->version = strndup(value, len)) == NULL))
		return -1;
	if (g->version != NULL && strcmp(g->version, "latest") == 0) {
		free(g->version);
		g->version = NULL;
	}
	if (location != NULL && asprintf(endpoint, "https://secretmanager.%.*s.rep.googleapis.com",
				    (int)location_len, location) == -1) {
		*endpoint = NULL;
		return -1;
	}
	g->name = strndup(id, name_len);
	return g->name == NULL ? -1 : 0;
}

static const char *
check_entry(const struct config_secret *c)
{
	const char *key_file = getenv("GOOGLE_APPLICATION_CREDENTIALS");

	if (c->secret_id == NULL)
		return "secret_id: missing (projects/PROJECT/secrets/NAME, or NAME)";
	if (c->endpoint != NULL && (strlen(c->endpoint) > 512 || !source_text_plain(c->endpoint) ||
				       (strncmp(c->endpoint, "https://", 8) != 0 &&
					   strncmp(c->endpoint, "http://", 7) != 0)))
		return "endpoint: must be https://HOST[:PORT]";
	if (key_file != NULL && *key_file != '\0')
		return "GOOGLE_APPLICATION_CREDENTIALS is set, but credential files are not supported: unset it to use the service account of the metadata server";
	return NULL;
}

static void
gcp_close(struct secret_source *s)
{
	struct gcp *g = (struct gcp *)s;

	if (g->project_call != NULL)
		https_cancel(g->project_call);
	if (g->bearer != NULL)
		bearer_call_cancel(&g->call);
	bearer_release(g->bearer);
	source_form_release(&g->form);
	free(g->endpoint);
	free(g->ca_file);
	free(g->metadata);
	free(g->name);
	free(g->version);
	free(g);
}

static int
copy_entry(struct gcp *g, const struct config_secret *c, char *err, size_t errlen)
{
	const char *host = getenv("GCE_METADATA_HOST");

	if (host == NULL || !is_word(host, strlen(host)))
		host = METADATA;
	if (read_id(g, c->secret_id, &g->endpoint) == -1) {
		snprintf(err, errlen,
		    "secret_id=%s: must be projects/PROJECT[/locations/LOCATION]/secrets/NAME[/versions/VERSION], or NAME",
		    c->secret_id);
		return -1;
	}
	if (c->endpoint != NULL || g->endpoint == NULL) {
		free(g->endpoint);
		g->endpoint = strdup(c->endpoint == NULL ? API_HOST : c->endpoint);
		if (g->endpoint != NULL)
			source_text_trim_slashes(g->endpoint);
	}
	g->metadata = strdup(host);
	g->ca_file = c->ca_file == NULL ? NULL : strdup(c->ca_file);
	if (g->endpoint != NULL && g->metadata != NULL &&
	    (c->ca_file == NULL || g->ca_file != NULL))
		g->bearer = bearer_open(&metadata_kind, g->metadata, &g->env, c->timeout);
	if (g->bearer != NULL)
		return 0;
	snprintf(err, errlen, "out of memory");
	return -1;
}

static struct secret_source *
gcp_open(const struct config_secret *c, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	static const char *const taken[] = { "secret_id", "endpoint", "ca_file", "format", NULL };
	const char *wrong = check_entry(c);
	struct gcp *g;

	if (source_entry_check(c, taken, err, errlen) == -1)
		return NULL;
	if (wrong != NULL) {
		snprintf(err, errlen, "%s", wrong);
		return NULL;
	}
	g = calloc(1, sizeof(*g));
	if (g == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	g->base.ops = &source_gcp;
	g->env = *env;
	if (source_form_init(&g->form, c, err, errlen) == -1 ||
	    copy_entry(g, c, err, errlen) == -1) {
		gcp_close(&g->base);
		return NULL;
	}
	g->call.done = on_read;
	g->call.bearer = g->bearer;
	g->call.env = &g->env;
	g->call.ca_file = g->ca_file;
	g->call.timeout_ms = c->timeout;
	bearer_call_init(&g->call);
	return &g->base;
}

const struct secret_source_ops source_gcp = {
	.name = "gcp-secretmanager",
	.open = gcp_open,
	.fetch = gcp_fetch,
	.close = gcp_close,
};
