#include "auth/source/bearer_token.h"

#include "proxy/base/loop.h"
#include "proxy/base/secret.h"
#include "proxy/base/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX    16384
#define REQUEST_MAX  131072
#define QUIET_MS     1000 /* a failure answers for everybody for so long */
#define QUIET_MAX_MS 60000

struct bearer {
	struct list_node node; /* in bearers */
	int holders;
	const struct bearer_kind *kind;
	struct secret_source_env env;
	char *identity;
	int64_t timeout_ms;
	char *token; /* NULL = none */
	size_t token_len;
	uint64_t serial;
	int64_t renew_ms, end_ms, quiet_until_ms; /* unix */
	struct https_call *http;
	struct list_node wants;
	struct deadline answer; /* tells `wants` outside of their calls */
	struct bearer_failure failure;
};

/* Of this thread: sources live on the main thread only. */
static struct list_node bearers = { &bearers, &bearers };

static void
drop_token(struct bearer *b)
{
	secure_free(b->token);
	b->token = NULL;
}

/* Those who wait get what there is: a token that has not ended, even when a new one could not be
 * had. */
static void
tell(struct bearer *b)
{
	bool alive = b->token != NULL && b->env.unix_ms() < b->end_ms;
	char *token = alive ? secure_dup(b->token, b->token_len) : NULL;
	struct list_node now, *n;

	if (token == NULL && b->failure.error == SECRET_OK) {
		b->failure.error = SECRET_TRANSIENT;
		snprintf(b->failure.message, sizeof(b->failure.message), "out of memory");
	}
	list_init(&now);
	list_splice_back(&now, &b->wants);
	b->holders++;
	while ((n = list_pop(&now)) != NULL) {
		struct bearer_want *w = list_entry(n, struct bearer_want, node);

		w->ready(w, token, b->serial, &b->failure);
	}
	bearer_release(b);
	secure_free(token);
}

static void
on_answer(struct deadline *d)
{
	tell(list_entry(d, struct bearer, answer));
}

static void
tell_later(struct bearer *b)
{
	loop_deadline(b->env.loop, &b->answer, loop_now_ms(b->env.loop));
}

static void
fail(struct bearer *b, enum secret_error error, int64_t retry_after_ms, const char *message)
{
	int64_t quiet = retry_after_ms < QUIET_MS ? QUIET_MS : retry_after_ms;

	b->failure = (struct bearer_failure){ .error = error, .retry_after_ms = retry_after_ms };
	snprintf(b->failure.message, sizeof(b->failure.message), "%s", message);
	b->quiet_until_ms = b->env.unix_ms() + (quiet > QUIET_MAX_MS ? QUIET_MAX_MS : quiet);
}

/* expires_in (seconds) or expires_on (unix time), each a number or a string. */
static int
read_token(struct bearer *b, const struct source_json *doc)
{
	int64_t now = b->env.unix_ms(), in_s = source_json_number(doc, 0, "expires_in");
	int64_t on_s = source_json_number(doc, 0, "expires_on"), left;
	char *text = malloc(TOKEN_MAX + 1), *token = NULL;
	size_t len;

	if (in_s < 0 && on_s > 0)
		in_s = on_s - now / 1000;
	if (text == NULL || in_s <= 0 || in_s > INT64_C(1) << 32)
		goto out;
	len = source_json_text(doc, 0, "access_token", text, TOKEN_MAX + 1);
	if (len == 0 || !source_text_plain(text) || (token = secure_dup(text, len)) == NULL)
		goto out;
	drop_token(b);
	b->token = token;
	b->token_len = len;
	b->serial++;
	left = in_s * 1000;
	b->end_ms = now + left;
	b->renew_ms = b->end_ms - (b->kind->margin_ms < left / 2 ? b->kind->margin_ms : left / 2);
	b->quiet_until_ms = 0;
	b->failure.error = SECRET_OK;
out:
	secret_free(text, TOKEN_MAX + 1);
	return token == NULL ? -1 : 0;
}

static enum secret_error
class_of(int status)
{
	if (status == 429)
		return SECRET_THROTTLED;
	/* 404 and 410: metadata services that are not ready yet */
	if (status == 0 || status >= 500 || status == 404 || status == 410 || status == 408)
		return SECRET_TRANSIENT;
	return SECRET_DENIED;
}

static void
refuse(struct bearer *b, const struct https_response *h, const struct source_json *doc)
{
	size_t text = SOURCE_JSON_AT(doc, "error_description");
	char said[160], message[256];

	if (text == JSON_NONE)
		text = SOURCE_JSON_AT(doc, "error");
	source_json_printable(doc, text, said, sizeof(said));
	if (h->status == 0)
		snprintf(message, sizeof(message), "%s: %s", b->kind->name, h->error);
	else
		snprintf(message, sizeof(message), "%s answered %d%s%s", b->kind->name, h->status,
		    said[0] == '\0' ? "" : ": ", said);
	fail(b, class_of(h->status), https_retry_after_ms(h), message);
}

static void
on_done(void *arg, const struct https_response *h)
{
	struct bearer *b = arg;
	struct source_json doc = { .tape = NULL };
	char message[256];

	b->http = NULL;
	if (h->status != 0)
		(void)source_json_read(&doc, h->body, h->len); /* empty when it is none */
	if (h->status != 200)
		refuse(b, h, &doc);
	else if (b->kind->genuine != NULL && !b->kind->genuine(h)) {
		snprintf(message, sizeof(message), "%s: something else answers at its address",
		    b->kind->name);
		fail(b, SECRET_TRANSIENT, 0, message);
	} else if (read_token(b, &doc) == -1) {
		snprintf(message, sizeof(message), "%s: its answer has no token", b->kind->name);
		fail(b, SECRET_TRANSIENT, 0, message);
	}
	source_json_release(&doc);
	tell(b);
}

/* ---- asking ---- */

static void
request_init(struct bearer_request *q)
{
	struct buf *all[] = { &q->url, &q->headers[0], &q->headers[1], &q->body };

	memset(q, 0, sizeof(*q));
	q->method = "GET";
	for (size_t i = 0; i < 4; i++) {
		buf_init(all[i], REQUEST_MAX);
		all[i]->wipe = 1;
	}
}

static void
request_release(struct bearer_request *q)
{
	buf_release(&q->url);
	buf_release(&q->headers[0]);
	buf_release(&q->headers[1]);
	buf_release(&q->body);
}

static void
send(struct bearer *b, struct bearer_request *q)
{
	struct https_request r = { .method = q->method,
		.ca_file = q->ca_file,
		.timeout_ms = b->timeout_ms,
		.plain_http = q->plain_http,
		.proxy = !q->plain_http };

	buf_put_u8(&q->url, 0);
	r.url = (const char *)buf_data(&q->url);
	r.headers[r.n_headers++] = "Accept: application/json";
	for (size_t i = 0; i < 2; i++) {
		if (buf_len(&q->headers[i]) == 0)
			continue;
		buf_put_u8(&q->headers[i], 0);
		r.headers[r.n_headers++] = (const char *)buf_data(&q->headers[i]);
	}
	if (buf_len(&q->body) != 0) {
		r.body = (const char *)buf_data(&q->body);
		r.body_len = buf_len(&q->body);
	}
	if (!buf_failed(&q->url) && !buf_failed(&q->headers[0]) && !buf_failed(&q->headers[1]) &&
	    !buf_failed(&q->body))
		b->http = https_call(b->env.calls, &r, on_done, b);
}

static void
ask(struct bearer *b)
{
	struct bearer_request q;
	char err[256];

	request_init(&q);
	if (b->kind->ask(b->identity, &q, err, sizeof(err)) == -1) {
		fail(b, SECRET_DENIED, 0, err);
		tell_later(b);
	} else {
		send(b, &q);
		if (b->http == NULL) {
			fail(b, SECRET_TRANSIENT, 0, "out of memory");
			tell_later(b);
		}
	}
	request_release(&q);
}

void
bearer_want(struct bearer *b, struct bearer_want *w)
{
	int64_t now = b->env.unix_ms();

	list_push_back(&b->wants, &w->node);
	if (b->http != NULL)
		return;
	if ((b->token != NULL && now < b->renew_ms) || now < b->quiet_until_ms)
		tell_later(b);
	else
		ask(b);
}

void
bearer_unwant(struct bearer *b, struct bearer_want *w)
{
	(void)b;
	list_del(&w->node);
}

void
bearer_refused(struct bearer *b, uint64_t serial)
{
	if (serial == b->serial)
		drop_token(b);
}

/* ---- sharing ---- */

struct bearer *
bearer_open(const struct bearer_kind *kind, const char *identity,
    const struct secret_source_env *env, int64_t timeout_ms)
{
	struct bearer *b;

	list_each(n, tmp, &bearers)
	{
		b = list_entry(n, struct bearer, node);
		if (b->kind == kind && strcmp(b->identity, identity) == 0 &&
		    b->env.loop == env->loop && b->env.calls == env->calls) {
			b->holders++;
			return b;
		}
	}
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	b->identity = strdup(identity);
	if (b->identity == NULL) {
		free(b);
		return NULL;
	}
	b->holders = 1;
	b->kind = kind;
	b->env = *env;
	b->timeout_ms = timeout_ms;
	list_init(&b->wants);
	deadline_init(&b->answer, on_answer);
	list_push_back(&bearers, &b->node);
	return b;
}

void
bearer_release(struct bearer *b)
{
	if (b == NULL || --b->holders != 0)
		return;
	if (b->http != NULL)
		https_cancel(b->http);
	loop_deadline_remove(b->env.loop, &b->answer);
	drop_token(b);
	list_del(&b->node);
	free(b->identity);
	free(b);
}
