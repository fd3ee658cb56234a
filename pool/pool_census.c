/* pool_census.c -- what is added up over workers: SHOW POOLS and the counters of SHOW STATS. */
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "pool/pool_view.h"
#include "pool/server.h"
#include "proxy/config/config.h"
#include "proxy/config/config_field.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
const char *const pool_view_pool_columns[] = { "database", "user", "cl_active int4", "cl_waiting int4",
	"cl_active_cancel_req int4", "cl_waiting_cancel_req int4", "sv_active int4",
	"sv_active_cancel int4", "sv_being_canceled int4", "sv_idle int4", "sv_used int4",
	"sv_tested int4", "sv_login int4", "maxwait int4", "maxwait_us int4", "pool_mode",
	"load_balance_hosts", NULL };
/* clang-format on */

/* ---- pools ---- */

struct counts {
	struct pool *pool; /* reference */
	bool merged;	   /* into another row */
	int clients, waiting, cancels, opening;
	int active, canceled, idle, used, tested;
	uint64_t maxwait_ms;
};

struct pool_census {
	size_t n;
	struct counts of[];
};

struct pool_census *
pool_census_new(void)
{
	struct pool **pools;
	size_t n = pool_set_pools(&pools);
	struct pool_census *c = pools == NULL ? NULL : calloc(1, sizeof(*c) + n * sizeof(c->of[0]));

	for (size_t i = 0; i < n; i++) {
		if (c != NULL)
			c->of[i].pool = pools[i];
		else
			pool_unref(pools[i]);
	}
	if (c != NULL)
		c->n = n;
	free(pools);
	return c;
}

void
pool_census_free(struct pool_census *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++)
		pool_unref(c->of[i].pool);
	free(c);
}

/* An idle server that would be asked whether it is alive before its next use. */
static bool
needs_check(const struct server *s, uint64_t now)
{
	int64_t delay = atomic_load(&s->pool->rules.server_check_delay);

	return s->used && delay > 0 && now - s->idle_since_ms >= (uint64_t)delay;
}

static void
count_servers(struct counts *c, const struct pool_local *l, uint64_t now)
{
	list_each(n, tmp, &l->active)
	{
		const struct server *s = list_entry(n, struct server, place);

		c->cancels += s->cancels;
		if (s->cancels > 0)
			c->canceled++;
		else if (s->state == SERVER_ACTIVE)
			c->active++;
		else
			c->tested++;
	}
	list_each(m, tmp2, &l->idle)
	{
		if (needs_check(list_entry(m, struct server, place), now))
			c->used++;
		else
			c->idle++;
	}
}

void
pool_census_visit(struct pool_census *census, struct worker *w)
{
	uint64_t now = loop_now_ms(&w->loop);

	for (size_t i = 0; i < census->n; i++) {
		struct counts *c = &census->of[i];
		struct pool_local *l = pool_local(c->pool, w);
		struct list_node *oldest = list_first(&l->waiting);
		uint64_t since = oldest == NULL
				     ? now
				     : list_entry(oldest, struct pool_ticket, place)->since_ms;

		c->clients += atomic_load_explicit(&l->n_clients, memory_order_relaxed);
		c->waiting += atomic_load_explicit(&l->hungry, memory_order_relaxed);
		if (since < now && now - since > c->maxwait_ms)
			c->maxwait_ms = now - since;
		count_servers(c, l, now);
	}
}

static void
add_to(struct counts *to, struct counts *c)
{
	to->clients += c->clients;
	to->waiting += c->waiting;
	to->cancels += c->cancels;
	to->opening += atomic_load(&c->pool->opening);
	to->active += c->active;
	to->canceled += c->canceled;
	to->idle += c->idle;
	to->used += c->used;
	to->tested += c->tested;
	if (c->maxwait_ms > to->maxwait_ms)
		to->maxwait_ms = c->maxwait_ms;
	c->merged = true;
}

/* Replication connections have pools of their own; monitoring wants each (database, user) once. */
static void
merge_replication(struct pool_census *census)
{
	for (size_t i = 0; i < census->n; i++) {
		struct counts *c = &census->of[i];

		for (size_t j = 0; c->pool->replication != NULL && !c->merged && j < census->n;
		     j++) {
			struct counts *to = &census->of[j];

			if (to->pool->db == c->pool->db && to->pool->user == c->pool->user &&
			    (to->pool->replication == NULL || j < i))
				add_to(to, c);
		}
	}
}

static const char *
balance(const struct config *cfg, const struct pool *p)
{
	const struct config_database *d = config_find_database(cfg, p->db->quota.name);

	if (d == NULL || d->host == NULL || strchr(d->host, ',') == NULL)
		return NULL;
	return config_words("load_balance_hosts")[d->load_balance_hosts];
}

static void
pool_row(const struct counts *c, const struct config *cfg, const struct pool_view_sink *k)
{
	const int numbers[] = {
		c->clients > c->waiting ? c->clients - c->waiting : 0,
		c->waiting,
		c->cancels,
		0, /* a cancel request waits for nobody */
		c->active,
		c->cancels,
		c->canceled,
		c->idle,
		c->used,
		c->tested,
		c->opening + atomic_load(&c->pool->opening),
		(int)(c->maxwait_ms / 1000),
		(int)(c->maxwait_ms % 1000 * 1000),
	};

	k->text(k->arg, c->pool->db->quota.name);
	k->text(k->arg, c->pool->user->name);
	for (size_t j = 0; j < sizeof(numbers) / sizeof(numbers[0]); j++)
		k->number(k->arg, numbers[j]);
	k->text(k->arg, config_words("pool_mode")[atomic_load(&c->pool->rules.mode)]);
	k->text(k->arg, balance(cfg, c->pool));
}

void
pool_census_rows(struct pool_census *census, const struct config *cfg,
    const struct pool_view_sink *k)
{
	merge_replication(census);
	for (size_t i = 0; i < census->n; i++)
		if (!census->of[i].merged)
			pool_row(&census->of[i], cfg, k);
}

struct pool_totals
pool_census_totals(const struct pool_census *census)
{
	struct pool_totals t = { .pools = (int)census->n };

	for (size_t i = 0; i < census->n; i++) {
		const struct counts *c = &census->of[i];

		t.idle_servers += c->idle + c->used;
		t.used_servers += c->active + c->tested + c->canceled;
	}
	return t;
}

/* ---- counters ---- */

/* Databases live until the program ends. */
struct stats_census {
	size_t n, room;
	struct {
		struct database *db;
		struct stats sum;
	} of[];
};

static void
count_database(void *arg, struct database *db)
{
	(void)db;
	++*(size_t *)arg;
}

static void
note_database(void *arg, struct database *db)
{
	struct stats_census *c = arg;

	if (c->n < c->room)
		c->of[c->n++].db = db;
}

struct stats_census *
stats_census_new(void)
{
	struct stats_census *c;
	size_t room = 0, size;

	pool_set_each_database(count_database, &room);
	size = (sizeof(*c) + room * sizeof(c->of[0]) + 63) / 64 * 64;
	c = aligned_alloc(_Alignof(struct stats_census), size);
	if (c == NULL)
		return NULL;
	memset(c, 0, size);
	c->room = room;
	pool_set_each_database(note_database, c);
	return c;
}

void
stats_census_free(struct stats_census *c)
{
	free(c);
}

void
stats_census_visit(struct stats_census *c, struct worker *w)
{
	for (size_t i = 0; i < c->n; i++)
		stats_add(&c->of[i].sum, &c->of[i].db->stats[w->index]);
}

void
stats_census_each(const struct stats_census *c,
    void (*each)(void *arg, const char *database, const uint64_t totals[POOL_STATS]), void *arg)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct stats *s = &c->of[i].sum;
		const uint64_t totals[POOL_STATS] = {
#define TOTAL(name) s->name,
			STATS_EACH(TOTAL)
#undef TOTAL
		};

		each(arg, c->of[i].db->quota.name, totals);
	}
}
