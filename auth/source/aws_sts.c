/* Part of aws_exchange.h: the security token service. AssumeRole is signed with keys that we have,
 * AssumeRoleWithWebIdentity carries somebody else's token and is not signed. */
#include "auth/source/aws_exchange.h"

#include "auth/source/aws_clock.h"
#include "auth/source/aws_error.h"
#include "auth/source/aws_post.h"
#include "auth/source/aws_xml.h"
#include "auth/source/source_text.h"
#include "proxy/base/buf.h"
#include "proxy/base/secret.h"
#include "proxy/base/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES	   2
#define PAUSE_MS   500
#define TIMEOUT_MS 5000
#define BODY_MAX   262144 /* a token file has 64 KiB at most, three bytes for each */
#define TEXT_MAX   16384
#define FORM	   "application/x-www-form-urlencoded"

/* ---- the answer ---- */

/* The service's own word on it, with what is ours to set right. */
static void
refused(struct aws_exchange *x, const struct https_response *h)
{
	struct aws_error e;
	enum secret_error class;

	aws_error_read(&e, "STS", h);
	if (e.remedy == AWS_CLOCK && !x->anew &&
	    aws_clock_learn(x->env->unix_ms(), https_date(h))) {
		x->anew = true;
		aws_exchange_step(x, x->send, x->tries);
		return;
	}
	class = aws_error_class(e.remedy);
	if (class == SECRET_TRANSIENT)
		aws_exchange_retry(x, PAUSE_MS, class, https_retry_after_ms(h), "%s", e.message);
	else /* AccessDenied is about our identity, not about the secret */
		aws_exchange_fail(x, class == SECRET_GONE ? SECRET_DENIED : class,
		    https_retry_after_ms(h), "%s", e.message);
}

static int
read_keys(struct aws_keys *k, const char *xml, size_t len, char *room)
{
	char *id = room, *secret = room + TEXT_MAX, *token = room + 2 * TEXT_MAX, date[64];
	int64_t expires;

	if (aws_xml_text(xml, len, "AccessKeyId", id, TEXT_MAX) <= 0 ||
	    aws_xml_text(xml, len, "SecretAccessKey", secret, TEXT_MAX) <= 0 ||
	    aws_xml_text(xml, len, "SessionToken", token, TEXT_MAX) <= 0 ||
	    aws_xml_text(xml, len, "Expiration", date, sizeof(date)) <= 0 ||
	    (expires = aws_keys_time(date)) == -1)
		return -1;
	return aws_keys_set(k, id, secret, token, expires);
}

static void
on_answer(void *arg, const struct https_response *h)
{
	struct aws_exchange *x = arg;
	char *room;

	x->http = NULL;
	if (h->status != 200) {
		refused(x, h);
		return;
	}
	room = malloc(3 * TEXT_MAX);
	if (room != NULL && read_keys(&x->keys, h->body, h->len, room) == 0)
		aws_exchange_succeed(x);
	else
		aws_exchange_retry(x, PAUSE_MS, SECRET_TRANSIENT, 0,
		    "STS: its answer cannot be read");
	secret_free(room, room == NULL ? 0 : 3 * TEXT_MAX);
}

/* ---- the request ---- */

static void
put(struct buf *b, const char *name, const char *text, size_t len)
{
	buf_printf(b, "&%s=", name);
	source_text_encode(b, text, len, false);
}

static void
put_role(struct buf *b, const struct aws_role *r)
{
	char own[64];

	snprintf(own, sizeof(own), "pgsluice-%ld", (long)getpid());
	put(b, "RoleArn", r->arn, strlen(r->arn));
	put(b, "RoleSessionName", r->session_name == NULL ? own : r->session_name,
	    strlen(r->session_name == NULL ? own : r->session_name));
	if (r->external_id != NULL)
		put(b, "ExternalId", r->external_id, strlen(r->external_id));
	if (r->duration_s >= 900)
		buf_printf(b, "&DurationSeconds=%d", r->duration_s);
}

/* Without a region the one address that serves all of them is taken. */
static void
post(struct aws_exchange *x, struct buf *b)
{
	bool global = x->sts_region[0] == '\0';
	struct aws_post p = { .content_type = FORM,
		.body = (const char *)buf_data(b),
		.body_len = buf_len(b),
		.region = global ? "us-east-1" : x->sts_region,
		.service = "sts",
		.keys = x->signer,
		.timeout_ms = TIMEOUT_MS };
	char endpoint[512];

	if (aws_endpoint(endpoint, sizeof(endpoint), "AWS_ENDPOINT_URL_STS", x->plan->endpoint_url,
		"sts", x->sts_region) == -1) {
		aws_exchange_fail(x, SECRET_DENIED, 0,
		    "the endpoint URL of the environment or profile must be https://HOST[:PORT]");
		return;
	}
	p.endpoint = endpoint;
	if (!buf_failed(b))
		x->http = aws_post(x->env, &p, on_answer, x);
	if (x->http == NULL)
		aws_exchange_fail(x, SECRET_TRANSIENT, 0, "STS: out of memory");
}

static void
send_assume(struct aws_exchange *x)
{
	struct buf b;

	buf_init(&b, BODY_MAX);
	buf_printf(&b, "Action=AssumeRole&Version=2011-06-15");
	put_role(&b, x->role);
	post(x, &b);
	buf_release(&b);
}

/* The token file is read for each request: it is replaced every hour or so. */
static void
send_web(struct aws_exchange *x)
{
	char err[200], *token;
	size_t len;
	struct buf b;

	token = source_text_file(x->plan->token_file, &len, err, sizeof(err));
	if (token == NULL) {
		aws_exchange_fail(x, SECRET_DENIED, 0, "web identity: %s", err);
		return;
	}
	buf_init(&b, BODY_MAX);
	b.wipe = 1;
	buf_printf(&b, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
	put_role(&b, x->role);
	put(&b, "WebIdentityToken", token, len);
	post(x, &b);
	buf_release(&b);
	secure_free(token);
}

void
aws_sts_web_identity(struct aws_exchange *x, const struct aws_plan *p, const char *region)
{
	x->plan = p;
	x->role = &p->web_role;
	x->signer = NULL;
	x->sts_region = region;
	x->anew = false;
	aws_exchange_step(x, send_web, TRIES);
}

void
aws_sts_assume(struct aws_exchange *x, const struct aws_plan *p, const struct aws_role *role,
    const struct aws_keys *signer, const char *region)
{
	x->plan = p;
	x->role = role;
	x->signer = signer;
	x->sts_region = region;
	x->anew = false;
	aws_exchange_step(x, send_assume, TRIES);
}
