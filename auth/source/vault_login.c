#include "auth/source/vault_login.h"

#include "auth/source/vault_exchange.h"
#include "proxy/base/log.h"
#include "proxy/base/loop.h"
#include "proxy/base/secret.h"
#include "proxy/base/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUIET_MS     1000 /* a failed login answers for everybody for so long */
#define QUIET_MAX_MS 60000
#define RETRY_MS     10000
#define RETRY_MAX_MS 300000

enum step { IDLE, LOGGING_IN, RENEWING };

struct vault_login {
	struct list_node node; /* in logins */
	int holders;
	struct vault_server server;
	struct vault_method method;
	char *token; /* NULL = none that is alive */
	size_t token_len;
	uint64_t serial;
	int64_t ttl_ms, expires_ms; /* 0 = no end */
	bool final;		    /* it ends then, whatever we do */
	int64_t leased_until_ms;
	struct vault_exchange exchange;
	enum step step;
	struct list_node wants, watches;
	struct deadline due;	/* renew, or log in anew */
	struct deadline answer; /* tells `wants` of `failure` outside of their calls */
	struct vault_reply failure;
	int64_t quiet_until_ms;
	int failures;
};

/* Of this thread: sources live on the main thread only. */
static struct list_node logins = { &logins, &logins };

static int64_t
now_ms(const struct vault_login *l)
{
	return l->server.env.unix_ms();
}

static void
deadline_in(struct vault_login *l, struct deadline *d, int64_t ms)
{
	struct loop *loop = l->server.env.loop;

	loop_deadline(loop, d, loop_now_ms(loop) + (uint64_t)(ms < 0 ? 0 : ms));
}

/* ---- telling ---- */

static void
tell(struct vault_login *l, const struct vault_reply *why_not)
{
	struct list_node now, *n;

	list_init(&now);
	list_splice_back(&now, &l->wants);
	vault_login_hold(l);
	while ((n = list_pop(&now)) != NULL) {
		struct vault_want *w = list_entry(n, struct vault_want, node);

		w->ready(w, why_not);
	}
	vault_login_release(l);
}

static void
on_answer(struct deadline *d)
{
	struct vault_login *l = list_entry(d, struct vault_login, answer);

	tell(l, &l->failure);
}

static void
tell_replaced(struct vault_login *l)
{
	struct list_node now, *n;

	list_init(&now);
	list_splice_back(&now, &l->watches);
	vault_login_hold(l);
	while ((n = list_pop(&now)) != NULL) {
		struct vault_watch *w = list_entry(n, struct vault_watch, node);

		list_push_back(&l->watches, n);
		w->replaced(w);
	}
	vault_login_release(l);
}

/* ---- the life of a token ---- */

static void
drop_token(struct vault_login *l)
{
	secure_free(l->token);
	l->token = NULL;
	l->leased_until_ms = 0;
	loop_deadline_remove(l->server.env.loop, &l->due);
}

/* Two thirds of what is left, less a little that differs from process to process; what cannot be
 * renewed is replaced when a fifth is left, so that owners of leases can move over. */
static void
schedule(struct vault_login *l)
{
	int64_t left = l->expires_ms - now_ms(l), wait;
	uint8_t dice = 0;

	if (l->token == NULL || l->expires_ms == 0) {
		loop_deadline_remove(l->server.env.loop, &l->due);
		return;
	}
	if (l->failures != 0) {
		int shift = l->failures > 6 ? 5 : l->failures - 1;

		wait = (int64_t)RETRY_MS << shift;
		wait = wait > RETRY_MAX_MS ? RETRY_MAX_MS : wait;
		wait = wait > left / 3 ? left / 3 : wait;
		wait = wait < QUIET_MS ? QUIET_MS : wait;
	} else if (l->final)
		wait = left / 5 * 4 < QUIET_MS ? QUIET_MS : left / 5 * 4;
	else {
		if (secret_random(&dice, 1) == -1)
			dice = 0;
		wait = left / 3 * 2 - left / 10 * dice / 256;
		wait = wait < QUIET_MS / 2 ? QUIET_MS / 2 : wait;
	}
	deadline_in(l, &l->due, wait);
}

static void
adopt(struct vault_login *l, struct vault_grant *g)
{
	bool same = l->token != NULL &&
		    secret_equal_text(g->token, g->token_len, l->token, l->token_len);
	bool replaced = !same && l->serial != 0;

	if (!same) {
		drop_token(l);
		l->token = g->token;
		l->token_len = g->token_len;
		g->token = NULL;
		l->serial++;
	}
	l->ttl_ms = g->ttl_s * 1000;
	l->expires_ms = g->ttl_s == 0 ? 0 : now_ms(l) + l->ttl_ms;
	l->final = !g->renewable;
	l->failures = 0;
	l->quiet_until_ms = 0;
	schedule(l);
	tell(l, NULL);
	if (replaced)
		tell_replaced(l);
}

/* Keeps what it says for those who ask within the next second. */
static void
fail(struct vault_login *l, const struct vault_reply *r)
{
	int64_t quiet = r->retry_after_ms < QUIET_MS ? QUIET_MS : r->retry_after_ms;

	if (l->failures++ == 0)
		log_warning("vault %s: cannot log in: %s", l->server.base, r->message);
	vault_reply_fail(&l->failure, r->error, r->message);
	l->failure.retry_after_ms = r->retry_after_ms;
	l->quiet_until_ms = now_ms(l) + (quiet > QUIET_MAX_MS ? QUIET_MAX_MS : quiet);
	schedule(l);
	tell(l, &l->failure);
}

static void
begin(struct vault_login *l)
{
	l->step = LOGGING_IN;
	vault_exchange_login(&l->exchange);
}

static void
logged_in(struct vault_login *l, const struct vault_reply *r, struct vault_grant *g)
{
	if (r->error == SECRET_OK) {
		adopt(l, g);
		return;
	}
	/* our token file still holds the one we have, and that is dead */
	if (r->error == SECRET_DENIED && l->token != NULL && g->token != NULL &&
	    secret_equal_text(g->token, g->token_len, l->token, l->token_len))
		drop_token(l);
	fail(l, r);
}

static void
renewed(struct vault_login *l, const struct vault_reply *r, const struct vault_grant *g)
{
	switch (r->error) {
	case SECRET_OK:
		l->expires_ms = g->ttl_s == 0 ? 0 : now_ms(l) + g->ttl_s * 1000;
		/* less than we asked for: the end of its longest life is near */
		l->final = !g->renewable || g->ttl_s * 1000 < l->ttl_ms - l->ttl_ms / 10;
		l->failures = 0;
		break;
	case SECRET_DENIED:
		drop_token(l);
		begin(l);
		return;
	case SECRET_GONE: /* not renewable */
		l->final = true;
		break;
	default:
		if (l->failures++ == 0)
			log_warning("vault %s: cannot renew our token: %s", l->server.base,
			    r->message);
	}
	schedule(l);
}

static void
on_exchanged(struct vault_exchange *x, const struct vault_reply *r, struct vault_grant *g)
{
	struct vault_login *l = list_entry(x, struct vault_login, exchange);
	enum step step = l->step;

	l->step = IDLE;
	vault_login_hold(l);
	if (step == RENEWING)
		renewed(l, r, g);
	else
		logged_in(l, r, g);
	vault_login_release(l);
}

static void
on_due(struct deadline *d)
{
	struct vault_login *l = list_entry(d, struct vault_login, due);

	if (l->step != IDLE || l->token == NULL)
		return;
	if (l->expires_ms <= now_ms(l)) { /* whoever needs one next will log in */
		drop_token(l);
		return;
	}
	if (l->final) {
		begin(l);
		return;
	}
	l->step = RENEWING;
	vault_exchange_renew(&l->exchange, l->token, l->ttl_ms / 1000);
}

/* ---- for calls ---- */

const char *
vault_login_token(struct vault_login *l, uint64_t *serial)
{
	if (l->token != NULL && l->expires_ms != 0 && l->expires_ms <= now_ms(l))
		drop_token(l);
	*serial = l->serial;
	return l->token;
}

void
vault_login_want(struct vault_login *l, struct vault_want *w)
{
	list_push_back(&l->wants, &w->node);
	if (l->step == LOGGING_IN)
		return;
	if (now_ms(l) < l->quiet_until_ms)
		deadline_in(l, &l->answer, 0);
	else
		begin(l);
}

void
vault_login_unwant(struct vault_want *w)
{
	list_del(&w->node);
}

enum vault_refusal
vault_login_refused(struct vault_login *l, uint64_t serial)
{
	if (serial != l->serial || l->token == NULL)
		return VAULT_TRY_AGAIN;
	if (now_ms(l) < l->leased_until_ms)
		return VAULT_LOOK_FIRST;
	drop_token(l);
	return VAULT_TRY_AGAIN;
}

void
vault_login_dead(struct vault_login *l, uint64_t serial)
{
	if (serial == l->serial)
		drop_token(l);
}

int64_t
vault_login_leased(struct vault_login *l, int64_t until_ms)
{
	if (until_ms > l->leased_until_ms)
		l->leased_until_ms = until_ms;
	if (l->final && l->expires_ms != 0 && l->expires_ms < until_ms)
		return l->expires_ms;
	return until_ms;
}

void
vault_login_watch(struct vault_login *l, struct vault_watch *w)
{
	list_push_back(&l->watches, &w->node);
}

void
vault_login_unwatch(struct vault_watch *w)
{
	list_del(&w->node);
}

const struct vault_server *
vault_login_server(const struct vault_login *l)
{
	return &l->server;
}

/* ---- sharing ---- */

static void
destroy(struct vault_login *l)
{
	vault_exchange_cancel(&l->exchange);
	loop_deadline_remove(l->server.env.loop, &l->due);
	loop_deadline_remove(l->server.env.loop, &l->answer);
	drop_token(l);
	vault_method_release(&l->method);
	vault_server_release(&l->server);
	list_del(&l->node);
	free(l);
}

struct vault_login *
vault_login_hold(struct vault_login *l)
{
	l->holders++;
	return l;
}

void
vault_login_release(struct vault_login *l)
{
	if (l != NULL && --l->holders == 0)
		destroy(l);
}

struct vault_login *
vault_login_open(const struct config_secret *c, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	struct vault_login *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	if (vault_server_init(&l->server, c, env, err, errlen) == -1)
		goto fail;
	if (vault_method_init(&l->method, c, err, errlen) == -1)
		goto fail_server;
	list_each(n, tmp, &logins)
	{
		struct vault_login *other = list_entry(n, struct vault_login, node);

		if (!vault_server_same(&l->server, &other->server) ||
		    !vault_method_same(&l->method, &other->method))
			continue;
		vault_method_release(&l->method);
		vault_server_release(&l->server);
		free(l);
		return vault_login_hold(other);
	}
	list_init(&l->wants);
	list_init(&l->watches);
	deadline_init(&l->due, on_due);
	deadline_init(&l->answer, on_answer);
	vault_exchange_init(&l->exchange, &l->server, &l->method, on_exchanged);
	list_push_back(&logins, &l->node);
	return vault_login_hold(l);
fail_server:
	vault_server_release(&l->server);
fail:
	free(l);
	return NULL;
}
