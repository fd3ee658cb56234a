/* AWS Secrets Manager: GetSecretValue, by stage. Versions have ids of the service's own. */
#include "auth/source/secret_source.h"

#include "auth/source/aws_clock.h"
#include "auth/source/aws_credentials.h"
#include "auth/source/aws_entry.h"
#include "auth/source/aws_error.h"
#include "auth/source/aws_plan.h"
#include "auth/source/aws_post.h"
#include "auth/source/source_entry.h"
#include "auth/source/source_text.h"
#include "proxy/base/buf.h"
#include "proxy/base/loop.h"
#include "proxy/base/secure.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET	       "secretsmanager.GetSecretValue"
#define CONTENT_TYPE   "application/x-amz-json-1.1"
#define SECRET_ID_MAX  2048
#define SECRET_ID_ROOM (SECRET_ID_MAX * 6 + 256) /* escaped, with the rest of the request */

struct source_aws {
	struct secret_source base;
	struct secret_source_env env;
	struct source_form form;
	struct aws_credentials *credentials;
	struct aws_want want;
	char *secret_id, *endpoint, *ca_file; /* the latter two: NULL = none */
	char region[AWS_REGION_MAX];	      /* of the ARN or the entry, "" = neither says */
	int64_t timeout_ms;
	/* the fetch under way: */
	enum secret_stage stage;
	secret_fetched *done;
	void *arg;
	struct https_call *http;
	struct deadline later; /* for what fails before it was sent */
	struct aws_error error;
	uint64_t serial; /* of the keys it was signed with */
	bool keys_renewed, clock_set;
	bool want_others; /* than the keys of that serial */
};

/* ---- the answer ---- */

static void
answer(struct source_aws *s, const struct secret_answer *a)
{
	secret_fetched *done = s->done;

	s->done = NULL;
	done(s->arg, a);
}

static void
refuse(struct source_aws *s, enum secret_error error, int64_t retry_after_ms, const char *message)
{
	struct secret_answer a = { .error = error,
		.message = message,
		.retry_after_ms = retry_after_ms };

	answer(s, &a);
}

static void
on_later(struct deadline *d)
{
	struct source_aws *s = list_entry(d, struct source_aws, later);

	refuse(s, SECRET_TRANSIENT, 0, "out of memory");
}

/* SecretString, or SecretBinary decoded: its length; -1 = neither is there, or too long. */
static long
read_text(const struct source_json *doc, char *text, char *room, size_t room_size)
{
	size_t len = source_json_text(doc, 0, "SecretString", text, SECRET_TEXT_MAX + 1);

	if (len != 0)
		return (long)len;
	len = source_json_text(doc, 0, "SecretBinary", room, room_size);
	if (len == 0)
		return -1;
	return (long)secret_base64_decode(text, SECRET_TEXT_MAX, room, len);
}

static void
read_version(struct source_aws *s, const struct source_json *doc, char *text, char *room,
    size_t room_size)
{
	struct secret_answer a = { .error = SECRET_BAD_VALUE };
	struct secret_value value;
	char version[128], err[160];
	long len = read_text(doc, text, room, room_size);

	memset(&value, 0, sizeof(value));
	if (source_json_text(doc, 0, "VersionId", version, sizeof(version)) == 0) {
		a.error = SECRET_TRANSIENT;
		a.message = "Secrets Manager: its answer names no version";
	} else if (len < 0)
		a.message = "the secret has no value, or one that is too long or no text";
	else if (source_form_read(&s->form, &value, text, (size_t)len, err, sizeof(err)) == -1)
		a.message = err;
	else
		a = (struct secret_answer){ .value = &value, .version = version };
	answer(s, &a);
	secret_value_wipe(&value);
}

static void
answered(struct source_aws *s, const struct https_response *h)
{
	size_t room_size = SECRET_BASE64_LEN(SECRET_TEXT_MAX) + 1;
	char *text = secure_alloc(SECRET_TEXT_MAX + 1), *room = secure_alloc(room_size);
	struct source_json doc = { .tape = NULL };

	if (text == NULL || room == NULL)
		refuse(s, SECRET_TRANSIENT, 0, "out of memory for secrets");
	else if (source_json_read(&doc, h->body, h->len) == -1)
		refuse(s, SECRET_TRANSIENT, 0, "Secrets Manager: its answer is no JSON");
	else
		read_version(s, &doc, text, room, room_size);
	source_json_release(&doc);
	secure_free(text);
	secure_free(room);
}

/* Each remedy is tried once: other keys, their clock. */
static void
on_answer(void *arg, const struct https_response *h)
{
	struct source_aws *s = arg;
	struct aws_error *e = &s->error;

	s->http = NULL;
	if (h->status == 200) {
		answered(s, h);
		return;
	}
	aws_error_read(e, "Secrets Manager", h);
	if (e->remedy == AWS_CLOCK && !s->clock_set &&
	    aws_clock_learn(s->env.unix_ms(), https_date(h))) {
		s->clock_set = true;
		aws_credentials_want(s->credentials, &s->want);
	} else if (e->remedy == AWS_KEYS && !s->keys_renewed) {
		s->keys_renewed = s->want_others = true;
		aws_credentials_refused(s->credentials, s->serial);
		aws_credentials_want(s->credentials, &s->want);
	} else
		refuse(s, aws_error_class(e->remedy), https_retry_after_ms(h), e->message);
}

/* ---- the request ---- */

static const char *
stage_label(enum secret_stage stage)
{
	switch (stage) {
	case SECRET_PENDING:
		return "AWSPENDING";
	case SECRET_PREVIOUS:
		return "AWSPREVIOUS";
	case SECRET_CURRENT:
		break;
	}
	return "AWSCURRENT";
}

static void
send(struct source_aws *s, const struct aws_given *given, const char *region, const char *endpoint)
{
	struct aws_post p = { .endpoint = endpoint,
		.content_type = CONTENT_TYPE,
		.target = TARGET,
		.region = region,
		.service = "secretsmanager",
		.keys = given->keys,
		.ca_file = s->ca_file,
		.timeout_ms = s->timeout_ms };
	struct buf b;

	buf_init(&b, SECRET_ID_ROOM);
	buf_printf(&b, "{\"SecretId\":");
	json_put_string(&b, s->secret_id, strlen(s->secret_id));
	buf_printf(&b, ",\"VersionStage\":\"%s\"}", stage_label(s->stage));
	p.body = (const char *)buf_data(&b);
	p.body_len = buf_len(&b);
	if (!buf_failed(&b))
		s->http = aws_post(&s->env, &p, on_answer, s);
	buf_release(&b);
	if (s->http == NULL)
		loop_deadline(s->env.loop, &s->later, loop_now_ms(s->env.loop));
}

/* The same keys after they were refused: there are no others, and what the service said stands. */
static void
on_ready(struct aws_want *w, const struct aws_given *given)
{
	struct source_aws *s = list_entry(w, struct source_aws, want);
	const char *region = s->region[0] != '\0' ? s->region : given->region;
	bool others = s->want_others;
	char endpoint[512], message[520];

	s->want_others = false;
	if (given->keys == NULL)
		refuse(s, given->failure->error, given->failure->retry_after_ms,
		    given->failure->message);
	else if (others && given->serial == s->serial) {
		snprintf(message, sizeof(message), "%s%s%s", s->error.message,
		    given->failure->error == SECRET_OK ? "" : "; ", given->failure->message);
		refuse(s, SECRET_DENIED, given->failure->retry_after_ms, message);
	} else if (*region == '\0')
		refuse(s, SECRET_DENIED, 0,
		    "no AWS region: neither region=, AWS_REGION, the profile nor the instance says one");
	else if (s->endpoint == NULL &&
		 aws_endpoint(endpoint, sizeof(endpoint), "AWS_ENDPOINT_URL_SECRETS_MANAGER",
		     given->endpoint_url, "secretsmanager", region) == -1)
		refuse(s, SECRET_DENIED, 0,
		    "the endpoint URL of the environment or profile must be https://HOST[:PORT]");
	else {
		s->serial = given->serial;
		send(s, given, region, s->endpoint == NULL ? endpoint : s->endpoint);
	}
}

static void
source_aws_fetch(struct secret_source *base, enum secret_stage stage, secret_fetched *done,
    void *arg)
{
	struct source_aws *s = (struct source_aws *)base;

	s->stage = stage;
	s->done = done;
	s->arg = arg;
	s->keys_renewed = s->clock_set = s->want_others = false;
	aws_credentials_want(s->credentials, &s->want);
}

/* ---- opening ---- */

static void
source_aws_close(struct secret_source *base)
{
	struct source_aws *s = (struct source_aws *)base;

	if (s->http != NULL)
		https_cancel(s->http);
	loop_deadline_remove(s->env.loop, &s->later);
	aws_credentials_unwant(&s->want);
	aws_credentials_release(s->credentials);
	source_form_release(&s->form);
	free(s->secret_id);
	free(s->endpoint);
	free(s->ca_file);
	free(s);
}

static int
check_entry(const struct config_secret *c, char *err, size_t errlen)
{
	static const char *const taken[] = { "secret_id", "region", "endpoint", "profile",
		"role_arn", "ca_file", NULL };
	size_t len;

	if (source_entry_check(c, taken, err, errlen) == -1 ||
	    aws_entry_check(c, err, errlen) == -1)
		return -1;
	if (c->secret_id == NULL || *c->secret_id == '\0')
		snprintf(err, errlen, "secret_id: missing (the name or ARN of a secret)");
	else if (strlen(c->secret_id) > SECRET_ID_MAX || !source_text_plain(c->secret_id))
		snprintf(err, errlen, "secret_id: must be the name or ARN of a secret");
	else if (strncmp(c->secret_id, "arn:", 4) == 0 &&
		 aws_entry_arn_region(c->secret_id, "secretsmanager", &len) == NULL)
		snprintf(err, errlen,
		    "secret_id=%.100s: must be like arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME",
		    c->secret_id);
	else
		return 0;
	return -1;
}

static int
copy_entry(struct source_aws *s, const struct config_secret *c)
{
	size_t len = 0;
	const char *region = aws_entry_arn_region(c->secret_id, "secretsmanager", &len);

	if (region != NULL)
		snprintf(s->region, sizeof(s->region), "%.*s", (int)len, region);
	else if (c->region != NULL)
		snprintf(s->region, sizeof(s->region), "%s", c->region);
	s->want.region = s->region[0] == '\0';
	s->timeout_ms = c->timeout;
	s->secret_id = strdup(c->secret_id);
	s->endpoint = c->endpoint == NULL ? NULL : strdup(c->endpoint);
	s->ca_file = c->ca_file == NULL ? NULL : strdup(c->ca_file);
	s->credentials = aws_credentials_open(c->profile, c->role_arn,
	    s->region[0] == '\0' ? NULL : s->region, &s->env);
	return s->secret_id == NULL || s->credentials == NULL ||
		       (c->endpoint != NULL && s->endpoint == NULL) ||
		       (c->ca_file != NULL && s->ca_file == NULL)
		   ? -1
		   : 0;
}

static struct secret_source *
source_aws_open(const struct config_secret *c, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	struct source_aws *s;

	if (check_entry(c, err, errlen) == -1)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	s->base.ops = &source_aws;
	s->env = *env;
	s->want.ready = on_ready;
	list_init(&s->want.node);
	deadline_init(&s->later, on_later);
	if (source_form_init(&s->form, c, err, errlen) == -1)
		goto fail;
	if (copy_entry(s, c) == -1) {
		snprintf(err, errlen, "out of memory");
		goto fail;
	}
	return &s->base;
fail:
	source_aws_close(&s->base);
	return NULL;
}

const struct secret_source_ops source_aws = {
	.name = "aws-secretsmanager",
	.open = source_aws_open,
	.fetch = source_aws_fetch,
	.close = source_aws_close,
};
