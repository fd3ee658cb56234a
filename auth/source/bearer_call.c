#include "auth/source/bearer_call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 16384

static void
finish(struct bearer_call *c, const struct https_response *h, const struct bearer_failure *why_not)
{
	free(c->url);
	c->url = NULL;
	c->done(c, h, why_not);
}

static void
on_later(struct deadline *d)
{
	struct bearer_call *c = list_entry(d, struct bearer_call, later);
	struct bearer_failure f = c->failure;

	finish(c, NULL, &f);
}

static void
on_answered(void *arg, const struct https_response *h)
{
	struct bearer_call *c = arg;
	struct bearer_failure f = { .error = SECRET_TRANSIENT };

	c->http = NULL;
	if (h->status == 401 && !c->sent_anew) {
		c->sent_anew = true;
		bearer_refused(c->bearer, c->serial);
		bearer_want(c->bearer, &c->want);
		return;
	}
	if (h->status == 0) {
		snprintf(f.message, sizeof(f.message), "%s", h->error);
		finish(c, NULL, &f);
	} else
		finish(c, h, NULL);
}

static void
on_ready(struct bearer_want *w, const char *token, uint64_t serial,
    const struct bearer_failure *why_not)
{
	struct bearer_call *c = list_entry(w, struct bearer_call, want);
	char header[TOKEN_MAX + 32];
	struct https_request r = { .method = "GET",
		.url = c->url,
		.headers = { "Accept: application/json", header },
		.n_headers = 2,
		.ca_file = c->ca_file,
		.timeout_ms = c->timeout_ms,
		.proxy = true };

	if (token == NULL) {
		finish(c, NULL, why_not);
		return;
	}
	c->serial = serial;
	snprintf(header, sizeof(header), "Authorization: Bearer %s", token);
	c->http = https_call(c->env->calls, &r, on_answered, c);
	explicit_bzero(header, sizeof(header));
	if (c->http == NULL)
		bearer_call_fail(c, SECRET_TRANSIENT, "out of memory");
}

void
bearer_call_init(struct bearer_call *c)
{
	list_init(&c->want.node);
	c->want.ready = on_ready;
	deadline_init(&c->later, on_later);
}

void
bearer_call_get(struct bearer_call *c, const char *url)
{
	free(c->url);
	c->sent_anew = false;
	c->url = strdup(url);
	if (c->url == NULL)
		bearer_call_fail(c, SECRET_TRANSIENT, "out of memory");
	else
		bearer_want(c->bearer, &c->want);
}

void
bearer_call_fail(struct bearer_call *c, enum secret_error error, const char *message)
{
	c->failure = (struct bearer_failure){ .error = error };
	snprintf(c->failure.message, sizeof(c->failure.message), "%s", message);
	loop_deadline(c->env->loop, &c->later, loop_now_ms(c->env->loop));
}

void
bearer_call_cancel(struct bearer_call *c)
{
	if (c->http != NULL)
		https_cancel(c->http);
	c->http = NULL;
	bearer_unwant(c->bearer, &c->want);
	loop_deadline_remove(c->env->loop, &c->later);
	free(c->url);
	c->url = NULL;
}
