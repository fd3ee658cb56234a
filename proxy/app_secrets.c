#include "proxy/app_secrets.h"

#include "auth/https_call.h"
#include "auth/secret.h"
#include "auth/secrets.h"
#include "auth/source/secret_source.h"
#include "pool/pool_set.h"
#include "proxy/app.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/session_set.h"

#include <stdlib.h>

#define REVOKE_MS 2000

static void
deliver_recheck(struct worker *w, struct letter *l)
{
	session_set_recheck(w);
	free(l);
}

static void
on_changed(void *arg, struct secret *secret)
{
	struct app *a = arg;

	pool_set_secret_changed(a->cfg, secret_name(secret));
	for (int i = 0; i < a->n_workers; i++) {
		struct letter *l = calloc(1, sizeof(*l));

		if (l == NULL)
			continue; /* who waits has a time limit */
		list_init(&l->node);
		l->deliver = deliver_recheck;
		worker_post(&a->workers[i], l);
	}
}

int
app_secrets_init(struct app *a)
{
	struct secrets_settings use = { .main = &a->main,
		.find = secret_source_find,
		.names = secret_source_names,
		.changed = on_changed,
		.arg = a };

	a->calls = https_calls_new(&a->main.loop);
	if (a->calls == NULL)
		return -1;
	use.calls = a->calls;
	a->secrets = secrets_new(&use);
	return a->secrets != NULL ? 0 : -1;
}

void
app_secrets_commit(struct app *a)
{
	if (a->plan != NULL)
		secrets_commit(a->secrets, a->plan);
	a->plan = NULL;
}

void
app_secrets_discard(struct app *a)
{
	secrets_discard(a->plan);
	a->plan = NULL;
}

static void
enough(struct deadline *d)
{
	loop_stop(&list_entry(d, struct app, tick)->main.loop);
}

void
app_secrets_revoke(struct app *a)
{
	if (!secrets_revoke(a->secrets))
		return;
	loop_deadline_remove(&a->main.loop, &a->tick);
	deadline_init(&a->tick, enough);
	loop_deadline(&a->main.loop, &a->tick, loop_now_ms(&a->main.loop) + REVOKE_MS);
	loop_run(&a->main.loop);
	loop_deadline_remove(&a->main.loop, &a->tick);
}

void
app_secrets_free(struct app *a)
{
	app_secrets_discard(a);
	worker_drain(&a->main);
	secrets_free(a->secrets);
	https_calls_free(a->calls);
}
