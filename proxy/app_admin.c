#include "proxy/app_admin.h"

#include "auth/secrets.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "pool/pool_view.h"
#include "proxy/admin/averages.h"
#include "proxy/admin/console.h"
#include "proxy/app.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/console_stats.h"
#include "proxy/session/session_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_POLL_MS 20

/* Worker threads use the host, so it outlives the app. */
static struct {
	struct console_host host;
	struct app *app;
	struct list_node pausing; /* errands that wait until a PAUSE is complete */
	struct deadline sample;
	struct sampling *sampling; /* under way */
	uint64_t last[POOL_STATS]; /* of all databases together */
	uint64_t last_us;
	bool stopped;
} admin;

static uint64_t
now_ms(void)
{
	return loop_now_ms(&admin.app->main.loop);
}

/* ---- errands ---- */

static void
deliver_home(struct worker *w, struct letter *l)
{
	struct console_errand *e = list_entry(l, struct console_errand, letter);

	e->done(w, e);
}

static void
answer(struct console_errand *e, enum fault f, const char *message)
{
	e->fault = f;
	if (message != NULL)
		snprintf(e->message, sizeof(e->message), "%s", message);
	e->letter.deliver = deliver_home;
	list_init(&e->letter.node);
	worker_post(e->home, &e->letter);
}

struct paused {
	const char *name;
	bool any;
};

static void
look_paused(void *arg, struct database *db)
{
	struct paused *p = arg;

	if (p->name == NULL || strcmp(db->quota.name, p->name) == 0)
		p->any |= atomic_load(&db->paused);
}

/* Is a PAUSE complete, or pointless by now? */
static bool
settle_pause(struct console_errand *e)
{
	struct paused p = { e->command->name, false };

	if (atomic_load(&e->abandoned) || app_is_drained(admin.app, p.name)) {
		answer(e, FAULT_NONE, NULL);
		return true;
	}
	pool_set_each_database(look_paused, &p);
	if (p.any)
		return false;
	answer(e, FAULT_CONSOLE_STATE, "PAUSE was ended by RESUME");
	return true;
}

static void
on_poll(struct deadline *d)
{
	struct console_errand *e = list_entry(d, struct console_errand, deadline);

	list_del(&e->place);
	if (settle_pause(e))
		return;
	list_push_back(&admin.pausing, &e->place);
	loop_deadline(&admin.app->main.loop, d, now_ms() + PAUSE_POLL_MS);
}

static void
pause_all(struct console_errand *e)
{
	const char *name = e->command->name;

	if (!app_pause(admin.app, name) && name != NULL) {
		answer(e, FAULT_CONSOLE_OBJECT, "no such database");
		return;
	}
	list_init(&e->place);
	deadline_init(&e->deadline, on_poll);
	on_poll(&e->deadline);
}

static void
resume(struct console_errand *e)
{
	const char *name = e->command->name;

	if (app_resume(admin.app, name))
		answer(e, FAULT_NONE, NULL);
	else if (name != NULL && pool_set_database(name) == NULL)
		answer(e, FAULT_CONSOLE_OBJECT, "no such database");
	else
		answer(e, FAULT_CONSOLE_STATE,
		    name == NULL ? "no database is paused" : "the database is not paused");
}

static void
end(struct console_errand *e)
{
	static const enum app_shutdown manners[] = {
		[CONSOLE_NOW] = APP_NOW,
		[CONSOLE_WAIT_SERVERS] = APP_WAIT_SERVERS,
		[CONSOLE_WAIT_CLIENTS] = APP_WAIT_CLIENTS,
	};
	enum app_shutdown how = manners[e->command->how];

	/* the answer first: with it on its way, the end cannot overtake it */
	answer(e, FAULT_NONE, NULL);
	app_shutdown(admin.app, how);
}

static void
deliver_errand(struct worker *main_thread, struct letter *l)
{
	struct console_errand *e = list_entry(l, struct console_errand, letter);
	const struct console_command *c = e->command;
	char err[sizeof(e->message)] = "";

	(void)main_thread;
	switch (c->verb) {
	case CONSOLE_RELOAD:
		answer(e, app_reload(admin.app, err, sizeof(err)) ? FAULT_NONE : FAULT_CONFIG, err);
		break;
	case CONSOLE_SET:
		answer(e,
		    app_set(admin.app, c->name, c->value, err, sizeof(err)) ? FAULT_NONE
									    : FAULT_CONFIG,
		    err);
		break;
	case CONSOLE_PAUSE:
		pause_all(e);
		break;
	case CONSOLE_RESUME:
		resume(e);
		break;
	case CONSOLE_SHUTDOWN:
		end(e);
		break;
	case CONSOLE_REFRESH:
		if (secrets_refresh(admin.app->secrets, c->name))
			answer(e, FAULT_NONE, NULL);
		else
			answer(e, FAULT_CONSOLE_OBJECT, "no such secret");
		break;
	default:
		answer(e, FAULT_CONSOLE_SYNTAX, NULL);
		break;
	}
}

static void
ask(struct console_host *host, struct console_errand *e)
{
	(void)host;
	e->letter.deliver = deliver_errand;
	list_init(&e->letter.node);
	worker_post(&admin.app->main, &e->letter);
}

/* ---- averages ---- */

struct sampling {
	struct tour tour;
	struct stats_census *census;
	uint64_t sum[POOL_STATS];
};

static void
arm_sample(void)
{
	loop_deadline(&admin.app->main.loop, &admin.sample,
	    now_ms() + (uint64_t)admin.app->cfg->stats_period * 1000);
}

static void
take(void *arg, const char *database, const uint64_t totals[POOL_STATS])
{
	struct sampling *s = arg;

	averages_sample(admin.host.averages, database, totals);
	for (int i = 0; i < POOL_STATS; i++)
		s->sum[i] += totals[i];
}

static void
log_period(const struct sampling *s, uint64_t length_us)
{
	unsigned long long average[POOL_STATS];

	for (int i = 0; i < POOL_STATS; i++) {
		int per = console_stats_per[i];
		bool timed = per == AVERAGES_PER_SECOND;
		uint64_t by = timed ? length_us : s->sum[per] - admin.last[per];
		double grown = (double)(s->sum[i] - admin.last[i]) * (timed ? 1e6 : 1);

		average[i] = by == 0 ? 0 : (unsigned long long)(grown / (double)by);
	}
	log_info(
	    "stats: %llu xacts/s, %llu queries/s, %llu client parses/s, %llu server parses/s, "
	    "%llu binds/s, in %llu B/s, out %llu B/s, xact %llu us, query %llu us, wait %llu us",
	    average[POOL_STAT_xacts], average[POOL_STAT_queries], average[POOL_STAT_client_parses],
	    average[POOL_STAT_server_parses], average[POOL_STAT_binds], average[POOL_STAT_received],
	    average[POOL_STAT_sent], average[POOL_STAT_xact_us], average[POOL_STAT_query_us],
	    average[POOL_STAT_wait_us]);
}

static void
visit_sample(struct worker *w, struct tour *t)
{
	stats_census_visit(list_entry(t, struct sampling, tour)->census, w);
}

static void
sample_done(struct worker *home, struct tour *t)
{
	struct sampling *s = list_entry(t, struct sampling, tour);
	uint64_t now_us = loop_now_us(&home->loop);

	averages_period(admin.host.averages, now_us);
	stats_census_each(s->census, take, s);
	if (admin.app->cfg->log_stats)
		log_period(s, now_us - admin.last_us);
	memcpy(admin.last, s->sum, sizeof(admin.last));
	admin.last_us = now_us;
	stats_census_free(s->census);
	free(s);
	admin.sampling = NULL;
	if (!admin.stopped)
		arm_sample();
}

static void
on_sample(struct deadline *d)
{
	struct sampling *s = calloc(1, sizeof(*s));

	(void)d;
	if (s == NULL || (s->census = stats_census_new()) == NULL) {
		free(s);
		arm_sample();
		return;
	}
	admin.sampling = s;
	s->tour.home = &admin.app->main;
	s->tour.workers = admin.app->workers;
	s->tour.n = admin.app->n_workers;
	s->tour.visit = visit_sample;
	s->tour.done = sample_done;
	tour_start(&s->tour);
}

/* ---- start and stop ---- */

static void
deliver_host(struct worker *w, struct letter *l)
{
	session_set_of(w)->console_owner = &admin.host;
	free(l);
}

void
app_admin_start(struct app *a)
{
	admin.app = a;
	admin.last_us = loop_now_us(&a->main.loop);
	list_init(&admin.pausing);
	deadline_init(&admin.sample, on_sample);
	admin.host.version = PGSLUICE_VERSION;
	admin.host.ask = ask;
	admin.host.averages = averages_new(POOL_STATS, console_stats_per, admin.last_us);
	if (admin.host.averages == NULL) {
		log_error("out of memory: there is no console");
		return;
	}
	arm_sample();
	for (int i = 0; i < a->n_workers; i++) {
		struct letter *l = calloc(1, sizeof(*l));

		if (l == NULL) {
			log_error("out of memory: worker %d has no console", i);
			continue;
		}
		list_init(&l->node);
		l->deliver = deliver_host;
		worker_post(&a->workers[i], l);
	}
}

void
app_admin_stop(struct app *a)
{
	struct list_node *n;

	admin.stopped = true;
	loop_deadline_remove(&a->main.loop, &admin.sample);
	while ((n = list_pop(&admin.pausing)) != NULL) {
		struct console_errand *e = list_entry(n, struct console_errand, place);

		loop_deadline_remove(&a->main.loop, &e->deadline);
		answer(e, FAULT_SHUTDOWN, NULL);
	}
}
