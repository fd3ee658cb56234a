#include "auth/source/azure_identity.h"

#include "proxy/base/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IMDS	  "http://169.254.169.254"
#define AUTHORITY "https://login.microsoftonline.com/"
#define ASSERTION "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define MARGIN_MS (5 * 60 * 1000)

/* NULL when unset or empty. */
static const char *
env(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || *value == '\0' ? NULL : value;
}

static void
put(struct buf *b, const char *text)
{
	source_text_encode(b, text, strlen(text), false);
}

static void
put_scope(struct buf *b, const char *resource, size_t resource_len, const char *client_id)
{
	buf_printf(b, "&resource=");
	source_text_encode(b, resource, resource_len, false);
	if (*client_id != '\0') {
		buf_printf(b, "&client_id=");
		put(b, client_id);
	}
}

/* The assertion is read anew each time: kubelet rotates it. */
static int
ask_workload(struct bearer_request *q, const char *file, const char *resource, size_t resource_len,
    const char *client_id, char *err, size_t errlen)
{
	const char *authority = env("AZURE_AUTHORITY_HOST"), *tenant = env("AZURE_TENANT_ID");
	char *assertion;
	size_t len;

	if (*client_id == '\0')
		client_id = env("AZURE_CLIENT_ID");
	if (client_id == NULL || tenant == NULL) {
		snprintf(err, errlen,
		    "AZURE_FEDERATED_TOKEN_FILE is set, but AZURE_TENANT_ID or AZURE_CLIENT_ID (client_id=) is missing");
		return -1;
	}
	if (authority == NULL)
		authority = AUTHORITY;
	assertion = source_text_file(file, &len, err, errlen);
	if (assertion == NULL)
		return -1;
	q->method = "POST";
	buf_printf(&q->url, "%s%s%s/oauth2/v2.0/token", authority,
	    authority[strlen(authority) - 1] == '/' ? "" : "/", tenant);
	buf_printf(&q->headers[0], "Content-Type: application/x-www-form-urlencoded");
	buf_printf(&q->body, "grant_type=client_credentials&client_id=");
	put(&q->body, client_id);
	buf_printf(&q->body, "&scope=");
	source_text_encode(&q->body, resource, resource_len, false);
	buf_printf(&q->body, "%%2F.default&client_assertion_type=");
	put(&q->body, ASSERTION);
	buf_printf(&q->body, "&client_assertion=");
	source_text_encode(&q->body, assertion, len, false);
	secure_free(assertion);
	return 0;
}

static int
ask(const char *identity, struct bearer_request *q, char *err, size_t errlen)
{
	const char *file = env("AZURE_FEDERATED_TOKEN_FILE");
	const char *endpoint = env("IDENTITY_ENDPOINT"), *header = env("IDENTITY_HEADER");
	const char *imds = env("AZURE_POD_IDENTITY_AUTHORITY_HOST");
	size_t resource_len = strcspn(identity, " ");
	const char *client_id = identity[resource_len] == '\0' ? "" : identity + resource_len + 1;

	if (file != NULL)
		return ask_workload(q, file, identity, resource_len, client_id, err, errlen);
	q->plain_http = true;
	if (endpoint != NULL && header != NULL) {
		if (!source_text_plain(endpoint) || !source_text_plain(header)) {
			snprintf(err, errlen,
			    "IDENTITY_ENDPOINT or IDENTITY_HEADER has blanks in it");
			return -1;
		}
		buf_printf(&q->url, "%s?api-version=2019-08-01", endpoint);
		buf_printf(&q->headers[0], "X-IDENTITY-HEADER: %s", header);
	} else {
		buf_printf(&q->url, "%s/metadata/identity/oauth2/token?api-version=2018-02-01",
		    imds == NULL ? IMDS : imds);
		buf_printf(&q->headers[0], "Metadata: true");
	}
	put_scope(&q->url, identity, resource_len, client_id);
	return 0;
}

const struct bearer_kind azure_identity = {
	.name = "Azure's identity service",
	.margin_ms = MARGIN_MS,
	.ask = ask,
};
