/* Part of aws_exchange.h: the credentials endpoint of a container (ECS, EKS Pod Identity). */
#include "auth/source/aws_exchange.h"

#include "auth/https_call.h"
#include "auth/source/source_text.h"
#include "proxy/base/buf.h"
#include "proxy/base/secure.h"

#include <stdio.h>
#include <string.h>

#define ECS	   "http://169.254.170.2"
#define TRIES	   3
#define TIMEOUT_MS 2000
#define PAUSE_MS   1000
#define HEADER_MAX 70000

/* Without TLS the token goes to nobody but the machine itself and the two agents' addresses. */
static bool
host_ok(const char *url)
{
	static const char *const hosts[] = { "localhost", "127.0.0.1", "[::1]", "169.254.170.2",
		"169.254.170.23", "[fd00:ec2::23]" };
	const char *host;
	size_t n;

	if (!source_text_plain(url))
		return false;
	host = url + (strncmp(url, "https://", 8) == 0 ? 8 : 7);
	n = strcspn(host, "/?#");
	if (memchr(host, '@', n) != NULL || n == 0)
		return false;
	if (strncmp(url, "https://", 8) == 0)
		return true;
	if (strncmp(url, "http://", 7) != 0)
		return false;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		size_t len = strlen(hosts[i]);

		if (strncmp(host, hosts[i], len) == 0 && (len == n || host[len] == ':'))
			return true;
	}
	return false;
}

static bool
make_url(struct aws_exchange *x, char *url, size_t size)
{
	const char *relative = aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	int n;

	if (relative != NULL)
		n = snprintf(url, size, ECS "%s", relative);
	else
		n = snprintf(url, size, "%s", full == NULL ? "" : full);
	if (n > 0 && (size_t)n < size && (relative == NULL || *relative == '/') && host_ok(url))
		return true;
	aws_exchange_fail(x, SECRET_DENIED, 0, "%s",
	    relative != NULL
		? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: must begin with /"
		: "AWS_CONTAINER_CREDENTIALS_FULL_URI: must be https, or http to a loopback address, 169.254.170.2, 169.254.170.23 or [fd00:ec2::23]");
	return false;
}

/* The file is read for each request: the kubelet rotates it. False: the failure is on its way. */
static bool
put_authorization(struct aws_exchange *x, struct buf *b)
{
	const char *file = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = aws_env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	char err[200], *text;
	size_t len;

	if (file != NULL) {
		text = source_text_file(file, &len, err, sizeof(err));
		if (text == NULL) {
			aws_exchange_fail(x, SECRET_DENIED, 0,
			    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %s", err);
			return false;
		}
		buf_printf(b, "Authorization: ");
		buf_put(b, text, len);
		secure_free(text);
	} else if (token != NULL && strpbrk(token, "\r\n") != NULL) {
		aws_exchange_fail(x, SECRET_DENIED, 0,
		    "AWS_CONTAINER_AUTHORIZATION_TOKEN: has a line break in it");
		return false;
	} else if (token != NULL)
		buf_printf(b, "Authorization: %s", token);
	if (buf_len(b) != 0)
		buf_put_u8(b, 0);
	return true;
}

static void
on_answer(void *arg, const struct https_response *h)
{
	struct aws_exchange *x = arg;
	char err[160];

	x->http = NULL;
	if (h->status == 0)
		aws_exchange_retry(x, PAUSE_MS, SECRET_TRANSIENT, 0,
		    "the container's credentials endpoint: %.150s", h->error);
	else if (h->status >= 500 || h->status == 429)
		aws_exchange_retry(x, PAUSE_MS,
		    h->status == 429 ? SECRET_THROTTLED : SECRET_TRANSIENT, https_retry_after_ms(h),
		    "the container's credentials endpoint answered %d", h->status);
	else if (h->status != 200)
		aws_exchange_fail(x, SECRET_DENIED, 0,
		    "the container's credentials endpoint answered %d", h->status);
	else if (aws_keys_read(&x->keys, h->body, h->len, "Token", err, sizeof(err)) == -1)
		aws_exchange_retry(x, PAUSE_MS, SECRET_TRANSIENT, 0,
		    "the container's credentials endpoint: %s", err);
	else
		aws_exchange_succeed(x);
}

static void
send(struct aws_exchange *x)
{
	char url[2048];
	struct https_request r = { .method = "GET",
		.url = url,
		.headers = { "Accept: application/json" },
		.n_headers = 1,
		.connect_timeout_ms = TIMEOUT_MS,
		.timeout_ms = TIMEOUT_MS,
		.plain_http = true };
	struct buf b;

	buf_init(&b, HEADER_MAX);
	b.wipe = 1;
	if (make_url(x, url, sizeof(url)) && put_authorization(x, &b)) {
		if (buf_len(&b) != 0)
			r.headers[r.n_headers++] = (const char *)buf_data(&b);
		if (!buf_failed(&b))
			x->http = https_call(x->env->calls, &r, on_answer, x);
		if (x->http == NULL)
			aws_exchange_fail(x, SECRET_TRANSIENT, 0, "out of memory");
	}
	buf_release(&b);
}

void
aws_container_keys(struct aws_exchange *x)
{
	aws_exchange_step(x, send, TRIES);
}
