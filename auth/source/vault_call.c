#include "auth/source/vault_call.h"

#include "proxy/base/loop.h"

#include <stdlib.h>
#include <string.h>

#define NOT_YET_TRIES 4
#define NOT_YET_MS    100 /* doubles */

struct vault_call {
	struct vault_login *login;
	struct vault_want want;
	struct deadline later; /* asks again, or says that there was no memory */
	struct https_call *http;
	char *path, *body;
	const char *method;
	uint64_t serial; /* of the token it was sent with */
	bool sent_anew, no_memory;
	int not_yet;
	vault_replied *done;
	void *arg;
};

static void on_answered(void *, const struct https_response *);

static struct loop *
loop_of(const struct vault_call *c)
{
	return vault_login_server(c->login)->env.loop;
}

static void
destroy(struct vault_call *c)
{
	vault_login_unwant(&c->want);
	loop_deadline_remove(loop_of(c), &c->later);
	vault_login_release(c->login);
	free(c->path);
	free(c->body);
	free(c);
}

static void
finish(struct vault_call *c, const struct vault_reply *r)
{
	vault_replied *done = c->done;
	void *arg = c->arg;

	destroy(c);
	if (done != NULL)
		done(arg, r);
}

static void
fail_later(struct vault_call *c)
{
	c->no_memory = true;
	loop_deadline(loop_of(c), &c->later, loop_now_ms(loop_of(c)));
}

static void
send(struct vault_call *c)
{
	const char *token = vault_login_token(c->login, &c->serial);

	if (token == NULL) {
		vault_login_want(c->login, &c->want);
		return;
	}
	c->http = vault_server_send(vault_login_server(c->login), c->method, c->path, token,
	    c->body, c->body == NULL ? 0 : strlen(c->body), on_answered, c);
	if (c->http == NULL)
		fail_later(c);
}

static void
on_ready(struct vault_want *w, const struct vault_reply *why_not)
{
	struct vault_call *c = list_entry(w, struct vault_call, want);

	if (why_not == NULL)
		send(c);
	else
		finish(c, why_not);
}

static void
on_later(struct deadline *d)
{
	struct vault_call *c = list_entry(d, struct vault_call, later);
	struct vault_reply r;

	if (c->no_memory) {
		vault_reply_fail(&r, SECRET_TRANSIENT, "out of memory");
		finish(c, &r);
	} else
		send(c);
}

/* lookup-self works for every token that is alive, unless somebody took the default policy away. */
static void
on_looked_up(void *arg, const struct https_response *h)
{
	struct vault_call *c = arg;
	struct vault_reply r;

	c->http = NULL;
	vault_reply_read(&r, h);
	if (r.error == SECRET_DENIED) {
		vault_login_dead(c->login, c->serial);
		send(c);
	} else {
		if (r.error == SECRET_OK) {
			vault_reply_release(&r);
			vault_reply_fail(&r, SECRET_DENIED,
			    "Vault answered 403: our token is good, its policies do not allow this");
		}
		finish(c, &r);
	}
	vault_reply_release(&r);
}

/* true = somebody will call us again. */
static bool
refused(struct vault_call *c)
{
	const char *token;
	uint64_t serial;

	if (c->sent_anew)
		return false;
	c->sent_anew = true;
	if (vault_login_refused(c->login, c->serial) == VAULT_TRY_AGAIN) {
		send(c);
		return true;
	}
	token = vault_login_token(c->login, &serial);
	if (token == NULL) {
		send(c);
		return true;
	}
	c->http = vault_server_send(vault_login_server(c->login), "GET", "auth/token/lookup-self",
	    token, NULL, 0, on_looked_up, c);
	return c->http != NULL;
}

static void
on_answered(void *arg, const struct https_response *h)
{
	struct vault_call *c = arg;
	struct vault_reply r;

	c->http = NULL;
	vault_reply_read(&r, h);
	if (r.not_yet && c->not_yet < NOT_YET_TRIES)
		loop_deadline(loop_of(c), &c->later,
		    loop_now_ms(loop_of(c)) + (NOT_YET_MS << c->not_yet++));
	else if (r.status != 403 || !refused(c))
		finish(c, &r);
	vault_reply_release(&r);
}

struct vault_call *
vault_call(struct vault_login *l, const char *method, const char *path, const char *body,
    vault_replied *done, void *arg)
{
	struct vault_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->method = method;
	c->path = strdup(path);
	c->body = body == NULL ? NULL : strdup(body);
	if (c->path == NULL || (body != NULL && c->body == NULL)) {
		free(c->path);
		free(c->body);
		free(c);
		return NULL;
	}
	c->login = vault_login_hold(l);
	list_init(&c->want.node);
	c->want.ready = on_ready;
	deadline_init(&c->later, on_later);
	c->done = done;
	c->arg = arg;
	send(c);
	return c;
}

void
vault_call_cancel(struct vault_call *c)
{
	if (c == NULL)
		return;
	if (c->http != NULL)
		https_cancel(c->http);
	destroy(c);
}
