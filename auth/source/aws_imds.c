/* Part of aws_exchange.h: the metadata service of an EC2 instance, version 2 only (a session token
 * first; version 1 would let anybody who can make us send a GET read our keys). */
#include "auth/source/aws_exchange.h"

#include "auth/https_call.h"
#include "auth/source/source_text.h"
#include "proxy/base/secure.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TOKEN_MAX  512
#define ROLE_MAX   256
#define TRIES	   3
#define CONNECT_MS 1000
#define TIMEOUT_MS 2000
#define PAUSE_MS   200
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"

static char *
role_name(struct aws_exchange *x)
{
	return x->room + TOKEN_MAX;
}

static const char *
base(void)
{
	const char *url = aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	const char *mode = aws_env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");

	if (url != NULL)
		return url;
	return mode != NULL && strcasecmp(mode, "IPv6") == 0 ? "http://[fd00:ec2::254]"
							     : "http://169.254.169.254";
}

static void
call(struct aws_exchange *x, const char *method, const char *path, const char *header,
    https_done *done)
{
	const char *host = base();
	char url[1024];
	struct https_request r = { .method = method,
		.url = url,
		.headers = { header },
		.n_headers = 1,
		.connect_timeout_ms = CONNECT_MS,
		.timeout_ms = TIMEOUT_MS,
		.plain_http = true };
	size_t n = strlen(host);

	while (n != 0 && host[n - 1] == '/')
		n--;
	if (snprintf(url, sizeof(url), "%.*s%s", (int)n, host, path) < (int)sizeof(url))
		x->http = https_call(x->env->calls, &r, done, x);
	if (x->http == NULL)
		aws_exchange_fail(x, SECRET_TRANSIENT, 0, "IMDS: out of memory");
}

static void
get(struct aws_exchange *x, const char *path, https_done *done)
{
	char header[TOKEN_MAX + 64];

	snprintf(header, sizeof(header), "X-aws-ec2-metadata-token: %s", x->room);
	call(x, "GET", path, header, done);
	explicit_bzero(header, sizeof(header));
}

static void send_token(struct aws_exchange *);

/* True when the response is the wanted one; else everything has been done. A 401: the token has
 * ended. */
static bool
answered(struct aws_exchange *x, const struct https_response *h, const char *what)
{
	if (h->status == 200)
		return true;
	if (h->status == 401 && !x->anew) {
		x->anew = true;
		aws_exchange_step(x, send_token, TRIES);
	} else if (h->status == 0)
		aws_exchange_retry(x, PAUSE_MS, SECRET_TRANSIENT, 0, "IMDS, %s: %.150s", what,
		    h->error);
	else if (h->status >= 500 || h->status == 429)
		aws_exchange_retry(x, PAUSE_MS,
		    h->status == 429 ? SECRET_THROTTLED : SECRET_TRANSIENT, https_retry_after_ms(h),
		    "IMDS, %s: answered %d", what, h->status);
	else
		aws_exchange_fail(x, SECRET_DENIED, 0, "IMDS, %s: answered %d", what, h->status);
	return false;
}

static void
on_keys(void *arg, const struct https_response *h)
{
	struct aws_exchange *x = arg;
	char err[160];

	x->http = NULL;
	if (!answered(x, h, "keys of the instance's role"))
		return;
	if (aws_keys_read(&x->keys, h->body, h->len, "Token", err, sizeof(err)) == -1)
		aws_exchange_retry(x, PAUSE_MS, SECRET_TRANSIENT, 0, "IMDS, role %s: %s",
		    role_name(x), err);
	else
		aws_exchange_succeed(x);
}

static void
send_keys(struct aws_exchange *x)
{
	char path[sizeof(ROLES_PATH) + ROLE_MAX];

	snprintf(path, sizeof(path), ROLES_PATH "%s", role_name(x));
	get(x, path, on_keys);
}

/* One line with one name. */
static void
on_roles(void *arg, const struct https_response *h)
{
	struct aws_exchange *x = arg;
	size_t n;

	x->http = NULL;
	if (h->status == 404) {
		aws_exchange_fail(x, SECRET_DENIED, 0,
		    "no AWS credentials are configured, and the instance has no role (IMDS)");
		return;
	}
	if (!answered(x, h, "name of the instance's role"))
		return;
	n = strcspn(h->body, "\r\n");
	snprintf(role_name(x), ROLE_MAX, "%.*s", n < ROLE_MAX ? (int)n : 0, h->body);
	if (!source_text_plain(role_name(x)) || strpbrk(role_name(x), "/?#%") != NULL)
		aws_exchange_fail(x, SECRET_TRANSIENT, 0, "IMDS: its answer is no name of a role");
	else
		aws_exchange_step(x, send_keys, TRIES);
}

static void
send_roles(struct aws_exchange *x)
{
	get(x, ROLES_PATH, on_roles);
}

static void
on_region(void *arg, const struct https_response *h)
{
	struct aws_exchange *x = arg;

	x->http = NULL;
	if (!answered(x, h, "region"))
		return;
	snprintf(x->region, sizeof(x->region), "%.*s", h->len < sizeof(x->region) ? (int)h->len : 0,
	    h->body);
	if (aws_region_ok(x->region))
		aws_exchange_succeed(x);
	else
		aws_exchange_fail(x, SECRET_TRANSIENT, 0, "IMDS: its answer is no region");
}

static void
send_region(struct aws_exchange *x)
{
	get(x, "/latest/meta-data/placement/region", on_region);
}

static void
on_token(void *arg, const struct https_response *h)
{
	struct aws_exchange *x = arg;

	x->http = NULL;
	if (h->status == 0) {
		aws_exchange_retry(x, PAUSE_MS, SECRET_TRANSIENT, 0,
		    "IMDS, session token: %.100s (in a container the instance's metadata hop limit must be 2)",
		    h->error);
		return;
	}
	if (h->status != 200 && h->status < 500 && h->status != 429) {
		aws_exchange_fail(x, SECRET_DENIED, 0, "IMDS, session token: answered %d",
		    h->status);
		return;
	}
	if (!answered(x, h, "session token"))
		return;
	snprintf(x->room, TOKEN_MAX, "%s", h->len < TOKEN_MAX ? h->body : "");
	if (!source_text_plain(x->room))
		aws_exchange_fail(x, SECRET_TRANSIENT, 0, "IMDS: its session token is none");
	else
		aws_exchange_step(x, x->want_region ? send_region : send_roles, TRIES);
}

static void
send_token(struct aws_exchange *x)
{
	call(x, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600",
	    on_token);
}

static void
start(struct aws_exchange *x)
{
	const char *off = aws_env("AWS_EC2_METADATA_DISABLED");

	x->anew = false;
	if (off != NULL && strcasecmp(off, "true") == 0)
		aws_exchange_fail(x, SECRET_DENIED, 0, "AWS_EC2_METADATA_DISABLED is set");
	else if (x->room == NULL && (x->room = secure_alloc(TOKEN_MAX + ROLE_MAX)) == NULL)
		aws_exchange_fail(x, SECRET_TRANSIENT, 0, "out of memory for secrets");
	else
		aws_exchange_step(x, send_token, TRIES);
}

void
aws_imds_keys(struct aws_exchange *x)
{
	x->want_region = false;
	start(x);
}

void
aws_imds_region(struct aws_exchange *x)
{
	x->want_region = true;
	start(x);
}
