#include "proxy/app.h"

#include "auth/userlist.h"
#include "pool/auth_query.h"
#include "pool/connector.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "proxy/app_admin.h"
#include "proxy/app_auth.h"
#include "proxy/app_config.h"
#include "proxy/app_listen.h"
#include "proxy/app_process.h"
#include "proxy/app_secrets.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/session.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 50

/* ---- start ---- */

static int
worker_count(const struct config *cfg)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int n = cfg->workers > 0 ? cfg->workers : (int)(cores / 2);

	return n < 1 ? 1 : n > WORKER_MAX ? WORKER_MAX : n;
}

static int
make_worker(struct app *a, int i)
{
	struct worker *w = &a->workers[i];
	struct pool_worker *pw = calloc(1, sizeof(*pw));
	char name[24];

	snprintf(name, sizeof(name), "worker %d", i);
	if (pw == NULL || worker_init(w, name, i) == -1) {
		free(pw);
		return -1;
	}
	pw->workers = a->workers;
	pw->n_workers = a->n_workers;
	pw->cfg = config_ref(a->cfg);
	pw->users = userlist_ref(a->env->users);
	pw->secrets = a->secrets;
	pw->recheck = session_set_recheck;
	w->pools = pw;
	return session_set_init(w, &a->totals, a->env, a->workers, a->n_workers);
}

static int
make_workers(struct app *a)
{
	a->n_workers = worker_count(a->cfg);
	a->workers = calloc((size_t)a->n_workers, sizeof(*a->workers));
	if (a->workers == NULL)
		return -1;
	for (int i = 0; i < a->n_workers; i++)
		if (make_worker(a, i) == -1)
			return -1;
	return pool_set_init(a->workers, a->n_workers);
}

/* The connectors exist only after privileges were dropped and the process is what it will stay: no thread
 * may start before that. */
static int
start_threads(struct app *a)
{
	struct connector_settings cs = { a->cfg->connectors, a->cfg->dns_max_ttl,
		a->cfg->dns_nxdomain_ttl };

	a->connectors = connectors_start(&cs);
	if (a->connectors == NULL || app_auth_start(a) == -1)
		return -1;
	for (int i = 0; i < a->n_workers; i++) {
		pool_worker(&a->workers[i])->connectors = a->connectors;
		if (worker_start(&a->workers[i]) == -1)
			return -1;
	}
	return 0;
}

int
app_start(struct app *a)
{
	char err[512];

	if (worker_init(&a->main, "main", -1) == -1 || app_secrets_init(a) == -1) {
		log_line(LOG_LEVEL_FATAL, "out of memory");
		return -1;
	}
	a->env = app_config_load(a, err, sizeof(err));
	if (a->env == NULL)
		return -1;
	a->cfg = config_ref(a->env->cfg);
	if (app_config_log(a, a->cfg) == -1 || app_process_begin(a) == -1)
		return -1;
	if (make_workers(a) == -1) {
		log_line(LOG_LEVEL_FATAL, "out of memory");
		return -1;
	}
	/* a signal that comes early waits for the loop instead of killing */
	app_process_signals(a);
	if (app_listen(a) == -1 || app_process_settle(a) == -1)
		return -1;
	pool_set_apply(NULL, a->cfg);
	if (start_threads(a) == -1) {
		log_line(LOG_LEVEL_FATAL, "cannot start threads");
		return -1;
	}
	app_secrets_commit(a);
	app_auth_commit(a);
	app_admin_start(a);
	app_listen_start(a);
	pool_set_fill(a->cfg);
	log_info("process up: pgsluice " PGSLUICE_VERSION ", %d worker%s, %d connector%s",
	    a->n_workers, a->n_workers == 1 ? "" : "s", a->cfg->connectors,
	    a->cfg->connectors == 1 ? "" : "s");
	return 0;
}

/* ---- reload ---- */

static void
log_change(void *arg, const char *key, const char *from, const char *to, bool applies_live)
{
	(void)arg;
	log_info("reload: %s changed from \"%s\" to \"%s\"%s", key, from, to,
	    applies_live ? "" : " (takes effect at the next start)");
}

static void
adopt_env(struct app *a, struct session_env *fresh)
{
	struct session_env *old_env = a->env;
	struct config *old = a->cfg;

	a->env = fresh;
	a->cfg = config_ref(fresh->cfg);
	(void)app_config_log(a, a->cfg);
	app_secrets_commit(a);
	app_auth_commit(a);
	auth_query_forget();
	app_config_spread(a, old);
	session_env_unref(old_env);
	config_unref(old);
}

bool
app_reload(struct app *a, char *err, size_t errlen)
{
	struct session_env *fresh = app_config_load(a, err, errlen);

	if (fresh == NULL) {
		log_error("reload failed: the configuration stays as it was");
		return false;
	}
	config_diff(a->cfg, fresh->cfg, log_change, NULL);
	if (config_keep_fixed(fresh->cfg, a->cfg) == -1) {
		snprintf(err, errlen, "out of memory");
		app_secrets_discard(a);
		app_auth_discard(a);
		session_env_unref(fresh);
		return false;
	}
	adopt_env(a, fresh);
	log_info("reload: the configuration is in force");
	return true;
}

bool
app_set(struct app *a, const char *key, const char *value, char *err, size_t errlen)
{
	struct config *cfg = config_set(a->cfg, key, value, err, errlen);
	struct session_env *fresh;

	if (cfg == NULL)
		return false;
	fresh = app_config_with(a, cfg, err, errlen);
	if (fresh == NULL)
		return false;
	config_diff(a->cfg, cfg, log_change, NULL);
	adopt_env(a, fresh);
	return true;
}

/* ---- pause ---- */

static void
on_each(struct app *a, const char *name, void (*each)(struct pool *))
{
	struct pool **pools;
	size_t n = pool_set_pools(&pools);

	(void)a;
	for (size_t i = 0; i < n; i++) {
		if (name == NULL || strcmp(pools[i]->db->quota.name, name) == 0)
			each(pools[i]);
		pool_unref(pools[i]);
	}
	free(pools);
}

struct pausing {
	const char *name;
	bool pause, any;
};

static void
set_paused(void *arg, struct database *db)
{
	struct pausing *p = arg;

	if (p->name != NULL && strcmp(db->quota.name, p->name) != 0)
		return;
	p->any |= p->pause || atomic_load(&db->paused);
	atomic_store(&db->paused, p->pause);
}

static void
wake(struct pool *p)
{
	for (int i = 0; i < p->n_local; i++)
		pool_ask(&p->local[i]);
}

bool
app_pause(struct app *a, const char *name)
{
	struct pausing p = { name, true, false };

	if (name == NULL)
		pool_set_pause_new(true);
	pool_set_each_database(set_paused, &p);
	/* idle servers close when their worker looks at them */
	on_each(a, name, wake);
	return p.any;
}

bool
app_resume(struct app *a, const char *name)
{
	struct pausing p = { name, false, false };

	if (name == NULL)
		pool_set_pause_new(false);
	pool_set_each_database(set_paused, &p);
	on_each(a, name, wake);
	return p.any;
}

struct draining {
	const char *name;
	int n;
};

static void
count_servers(void *arg, struct database *db)
{
	struct draining *d = arg;

	if (d->name == NULL || strcmp(db->quota.name, d->name) == 0)
		d->n += atomic_load(&db->quota.n_servers);
}

bool
app_is_drained(struct app *a, const char *name)
{
	struct draining d = { name, 0 };

	(void)a;
	pool_set_each_database(count_servers, &d);
	return d.n == 0;
}

/* ---- shutdown ---- */

static void
deliver_drain(struct worker *w, struct letter *l)
{
	session_set_drain(w);
	free(l);
}

static void
deliver_end(struct worker *w, struct letter *l)
{
	session_set_end_all(w, "shutdown");
	free(l);
}

static void
post_all(struct app *a, void (*deliver)(struct worker *, struct letter *))
{
	for (int i = 0; i < a->n_workers; i++) {
		struct letter *l = calloc(1, sizeof(*l));

		if (l == NULL)
			continue;
		list_init(&l->node);
		l->deliver = deliver;
		worker_post(&a->workers[i], l);
	}
}

static void
on_tick(struct deadline *d)
{
	struct app *a = list_entry(d, struct app, tick);

	if (a->shutdown == APP_NOW || atomic_load(&a->totals.clients) == 0) {
		loop_stop(&a->main.loop);
		return;
	}
	loop_deadline(&a->main.loop, d, loop_now_ms(&a->main.loop) + TICK_MS);
}

void
app_shutdown(struct app *a, enum app_shutdown how)
{
	static const char *const words[] = { "", "waiting for clients to leave",
		"waiting for servers to become free", "at once" };

	if (how <= a->shutdown)
		return;
	log_info("shutting down, %s", words[how]);
	atomic_store(&a->totals.shutting_down, true);
	if (a->shutdown == APP_RUNNING) {
		app_listen_stop(a);
		deadline_init(&a->tick, on_tick);
	}
	a->shutdown = how;
	if (how == APP_WAIT_SERVERS)
		post_all(a, deliver_drain);
	loop_deadline(&a->main.loop, &a->tick, loop_now_ms(&a->main.loop) + 1);
}

void
app_run(struct app *a)
{
	loop_run(&a->main.loop);
}

void
app_stop(struct app *a)
{
	app_admin_stop(a);
	post_all(a, deliver_end);
	for (int i = 0; i < a->n_workers; i++)
		worker_stop(&a->workers[i]);
	/* jobs that were under way come back to their workers, who start no more */
	for (int i = 0; i < a->n_workers; i++)
		pool_worker(&a->workers[i])->connectors = NULL;
	connectors_stop(a->connectors);
	app_auth_stop(a);
	for (int i = 0; i < a->n_workers; i++)
		worker_drain(&a->workers[i]);
	app_listen_free(a);
	for (int i = 0; i < a->n_workers; i++) {
		struct pool_worker *pw = pool_worker(&a->workers[i]);

		session_set_destroy(&a->workers[i]);
		config_unref(pw->cfg);
		userlist_unref(pw->users);
		free(pw);
		worker_destroy(&a->workers[i]);
	}
	app_secrets_revoke(a);
	app_secrets_free(a);
	app_process_end(a);
	worker_destroy(&a->main);
	free(a->workers);
	session_env_unref(a->env);
	config_unref(a->cfg);
}
