#include "auth/source/vault_exchange.h"

#include "proxy/base/buf.h"
#include "proxy/base/secure.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_TEXT_MAX 8192
#define TTL_MAX_S      (INT64_C(1) << 40)

static void
drop_grant(struct vault_grant *g)
{
	secure_free(g->token);
	memset(g, 0, sizeof(*g));
}

static void
finish(struct vault_exchange *x, const struct vault_reply *r)
{
	struct vault_grant g = x->grant;

	memset(&x->grant, 0, sizeof(x->grant));
	x->done(x, r, &g);
	drop_grant(&g);
}

static void
on_later(struct deadline *d)
{
	struct vault_exchange *x = list_entry(d, struct vault_exchange, later);

	finish(x, &x->failure);
}

static void
fail_later(struct vault_exchange *x, enum secret_error error, const char *message)
{
	struct loop *loop = x->server->env.loop;

	vault_reply_fail(&x->failure, error, message);
	loop_deadline(loop, &x->later, loop_now_ms(loop));
}

static void
unreadable(struct vault_reply *r, const char *what)
{
	r->error = SECRET_TRANSIENT;
	snprintf(r->message, sizeof(r->message), "Vault's answer has no %s", what);
}

/* Reads how long the token lives from "auth" (of a login and a renewal) or "data" (lookup-self). */
static void
read_life(struct vault_exchange *x, struct vault_reply *r, const char *member, const char *ttl)
{
	size_t object = SOURCE_JSON_AT(&r->doc, member);

	if (object == JSON_NONE) {
		unreadable(r, member);
		return;
	}
	x->grant.ttl_s = source_json_number(&r->doc, object, ttl);
	x->grant.renewable = json_is(&r->doc.json, json_member(&r->doc.json, object, "renewable"),
	    JSON_TRUE);
	if (x->grant.ttl_s < 0 || x->grant.ttl_s > TTL_MAX_S)
		unreadable(r, ttl);
}

static void
read_token(struct vault_exchange *x, struct vault_reply *r)
{
	char text[TOKEN_TEXT_MAX + 1];
	size_t auth = SOURCE_JSON_AT(&r->doc, "auth");
	size_t len = source_json_text(&r->doc, auth, "client_token", text, sizeof(text));

	if (len != 0 && source_text_plain(text)) {
		x->grant.token = secure_dup(text, len);
		x->grant.token_len = len;
	}
	if (x->grant.token == NULL)
		unreadable(r, "client_token");
	explicit_bzero(text, sizeof(text));
}

static void
on_logged_in(void *arg, const struct https_response *h)
{
	struct vault_exchange *x = arg;
	struct vault_reply r;

	x->http = NULL;
	vault_reply_read(&r, h);
	if (r.error == SECRET_OK && x->lookup)
		read_life(x, &r, "data", "ttl");
	else if (r.error == SECRET_OK) {
		read_life(x, &r, "auth", "lease_duration");
		if (r.error == SECRET_OK)
			read_token(x, &r);
	} else if (r.error == SECRET_GONE) /* bad role or secret id, no such mount or namespace */
		r.error = SECRET_DENIED;
	finish(x, &r);
	vault_reply_release(&r);
}

static void
on_renewed(void *arg, const struct https_response *h)
{
	struct vault_exchange *x = arg;
	struct vault_reply r;

	x->http = NULL;
	vault_reply_read(&r, h);
	if (r.error == SECRET_OK)
		read_life(x, &r, "auth", "lease_duration");
	finish(x, &r);
	vault_reply_release(&r);
}

/* A token that was given to us: what is it worth? */
static void
look_up(struct vault_exchange *x)
{
	char err[256];

	x->grant.token = vault_method_token(x->method, &x->grant.token_len, err, sizeof(err));
	if (x->grant.token == NULL) {
		fail_later(x, SECRET_DENIED, err);
		return;
	}
	x->http = vault_server_send(x->server, "GET", "auth/token/lookup-self", x->grant.token,
	    NULL, 0, on_logged_in, x);
	if (x->http == NULL)
		fail_later(x, SECRET_TRANSIENT, "out of memory");
}

void
vault_exchange_login(struct vault_exchange *x)
{
	struct buf b;
	char err[256];

	vault_exchange_cancel(x);
	x->lookup = x->method->kind == VAULT_BY_TOKEN;
	if (x->lookup) {
		look_up(x);
		return;
	}
	buf_init(&b, 256 * 1024);
	b.wipe = 1;
	if (vault_method_body(x->method, &b, err, sizeof(err)) == -1)
		fail_later(x, SECRET_DENIED, err);
	else {
		x->http = vault_server_send(x->server, "POST", x->method->path, NULL,
		    (const char *)buf_data(&b), buf_len(&b), on_logged_in, x);
		if (x->http == NULL)
			fail_later(x, SECRET_TRANSIENT, "out of memory");
	}
	buf_release(&b);
}

void
vault_exchange_renew(struct vault_exchange *x, const char *token, int64_t increment_s)
{
	char body[64];
	int n = snprintf(body, sizeof(body), "{\"increment\":\"%llds\"}", (long long)increment_s);

	vault_exchange_cancel(x);
	x->http = vault_server_send(x->server, "POST", "auth/token/renew-self", token, body,
	    (size_t)n, on_renewed, x);
	if (x->http == NULL)
		fail_later(x, SECRET_TRANSIENT, "out of memory");
}

void
vault_exchange_init(struct vault_exchange *x, const struct vault_server *server,
    const struct vault_method *method,
    void (*done)(struct vault_exchange *, const struct vault_reply *, struct vault_grant *))
{
	memset(x, 0, sizeof(*x));
	x->server = server;
	x->method = method;
	x->done = done;
	deadline_init(&x->later, on_later);
}

void
vault_exchange_cancel(struct vault_exchange *x)
{
	if (x->http != NULL)
		https_cancel(x->http);
	x->http = NULL;
	loop_deadline_remove(x->server->env.loop, &x->later);
	drop_grant(&x->grant);
}
