#include "auth/source/aws_exchange.h"

#include "auth/https_call.h"
#include "auth/source/child.h"
#include "proxy/base/secure.h"

#include <stdio.h>
#include <string.h>

static void
release(struct aws_exchange *x)
{
	secure_free(x->room);
	x->room = NULL;
}

static void
on_later(struct deadline *d)
{
	struct aws_exchange *x = list_entry(d, struct aws_exchange, later);
	struct aws_failure f = x->failure;

	if (f.error == SECRET_OK) {
		x->send(x);
		return;
	}
	release(x);
	x->done(x, &f);
}

static void
later(struct aws_exchange *x, int64_t after_ms)
{
	loop_deadline(x->env->loop, &x->later, loop_now_ms(x->env->loop) + (uint64_t)after_ms);
}

void
aws_exchange_init(struct aws_exchange *x)
{
	deadline_init(&x->later, on_later);
}

void
aws_exchange_cancel(struct aws_exchange *x)
{
	if (x->http != NULL)
		https_cancel(x->http);
	child_abandon(x->child);
	x->http = NULL;
	x->child = NULL;
	loop_deadline_remove(x->env->loop, &x->later);
	aws_keys_wipe(&x->keys);
	release(x);
}

static void
set_failure(struct aws_exchange *x, enum secret_error error, int64_t retry_after_ms,
    const char *fmt, va_list ap)
{
	x->failure.error = error;
	x->failure.retry_after_ms = retry_after_ms;
	vsnprintf(x->failure.message, sizeof(x->failure.message), fmt, ap);
}

void
aws_exchange_fail(struct aws_exchange *x, enum secret_error error, int64_t retry_after_ms,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_failure(x, error, retry_after_ms, fmt, ap);
	va_end(ap);
	later(x, 0);
}

void
aws_exchange_retry(struct aws_exchange *x, int64_t after_ms, enum secret_error error,
    int64_t retry_after_ms, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_failure(x, error, retry_after_ms, fmt, ap);
	va_end(ap);
	if (--x->tries > 0) {
		x->failure.error = SECRET_OK;
		later(x, after_ms);
	} else
		later(x, 0);
}

void
aws_exchange_succeed(struct aws_exchange *x)
{
	release(x);
	x->done(x, NULL);
}

void
aws_exchange_step(struct aws_exchange *x, void (*send)(struct aws_exchange *), int tries)
{
	x->send = send;
	x->tries = tries;
	x->failure.error = SECRET_OK;
	send(x);
}
