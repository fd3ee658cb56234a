#include "proxy/app_auth.h"

#include "auth/jwks_source.h"
#include "auth/login_job.h"
#include "proxy/app.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/login_auth_rules.h"
#include "proxy/session/session_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX    256
#define NAME_THREADS 2
#define STOP_MS	     300

static bool
is_url(const char *from)
{
	return strncmp(from, "https://", 8) == 0 || strncmp(from, "http://", 7) == 0;
}

static struct jwks_source *
open_keys(struct app *a, const struct config *cfg)
{
	struct jwks_source_settings s = { .name = "jwt_keys",
		.from = cfg->jwt_keys,
		.ca_file = cfg->jwt_ca_file };

	return jwks_source_open(&a->main, a->calls, &s);
}

static bool
same(const char *x, const char *y)
{
	return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

/* A file is read at once, so that its faults are those of the reload; a URL may take its time. */
static bool
prepare_keys(struct app *a, const struct config *cfg, app_auth_say *say, void *arg)
{
	struct jwks_source_status status;
	char message[512];

	if (is_url(cfg->jwt_keys))
		return true;
	a->keys_next = open_keys(a, cfg);
	if (a->keys_next == NULL) {
		say(arg, true, NULL, 0, "out of memory");
		return false;
	}
	jwks_source_status(a->keys_next, &status);
	if (status.keys > 0)
		return true;
	snprintf(message, sizeof(message), "jwt_keys=%.200s: %s", cfg->jwt_keys,
	    status.error[0] != '\0' ? status.error : "found no key");
	say(arg, true, cfg->conffile, 0, message);
	return false;
}

bool
app_auth_prepare(struct app *a, struct session_env *env, app_auth_say *say, void *arg)
{
	app_auth_discard(a);
	env->rules = login_auth_rules_load(env->cfg, say, arg);
	if (env->rules == NULL)
		return false;
	return !env->rules->tokens || prepare_keys(a, env->cfg, say, arg);
}

void
app_auth_discard(struct app *a)
{
	jwks_source_close(a->keys_next);
	a->keys_next = NULL;
}

static void
drop_keys(struct app *a)
{
	jwks_source_close(a->keys);
	a->keys = NULL;
	free(a->keys_from);
	free(a->keys_ca);
	a->keys_from = a->keys_ca = NULL;
}

void
app_auth_commit(struct app *a)
{
	struct login_auth_rules *rules = a->env->rules;
	const struct config *cfg = a->env->cfg;

	if (!rules->tokens || a->keys_next != NULL || !same(a->keys_from, cfg->jwt_keys) ||
	    !same(a->keys_ca, cfg->jwt_ca_file))
		drop_keys(a);
	if (!rules->tokens)
		return;
	if (a->keys != NULL) {
		jwks_source_refresh(a->keys);
	} else {
		a->keys = a->keys_next != NULL ? a->keys_next : open_keys(a, cfg);
		a->keys_next = NULL;
		/* if a copy fails, the next reload opens it anew */
		a->keys_from = strdup(cfg->jwt_keys);
		a->keys_ca = cfg->jwt_ca_file != NULL ? strdup(cfg->jwt_ca_file) : NULL;
	}
	if (a->keys != NULL)
		rules->keys = jwks_source_ref(a->keys);
	else
		log_error("out of memory: no tokens can be checked");
}

int
app_auth_start(struct app *a)
{
	a->totals.jobs = login_jobs_new((unsigned)a->cfg->auth_threads, QUEUE_MAX);
	a->totals.names = login_jobs_new(NAME_THREADS, QUEUE_MAX);
	return a->totals.jobs != NULL && a->totals.names != NULL ? 0 : -1;
}

void
app_auth_stop(struct app *a)
{
	unsigned left = login_jobs_free(a->totals.jobs, STOP_MS);

	left += login_jobs_free(a->totals.names, STOP_MS);
	a->totals.jobs = a->totals.names = NULL;
	if (left > 0)
		log_warning("%u helper thread%s of logins did not answer and %s left behind", left,
		    left == 1 ? "" : "s", left == 1 ? "is" : "are");
	app_auth_discard(a);
	drop_keys(a);
}
