#include "proxy/session/console_stats.h"

#include "pool/pool_view.h"
#include "proxy/admin/averages.h"
#include "proxy/admin/console.h"
#include "proxy/admin/table.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
#define N(name) name " numeric"

const char *const console_stats_columns[] = { "database",
	N("total_server_assignment_count"), N("total_xact_count"), N("total_query_count"),
	N("total_received"), N("total_sent"), N("total_xact_time"), N("total_query_time"),
	N("total_wait_time"), N("total_client_parse_count"), N("total_server_parse_count"),
	N("total_bind_count"), N("total_client_login_count"),
	N("avg_server_assignment_count"), N("avg_xact_count"), N("avg_query_count"), N("avg_recv"),
	N("avg_sent"), N("avg_xact_time"), N("avg_query_time"), N("avg_wait_time"),
	N("avg_client_parse_count"), N("avg_server_parse_count"), N("avg_bind_count"),
	N("avg_client_login_count"), NULL };
const char *const console_stats_totals_columns[] = { "database",
	N("server_assignment_count"), N("xact_count"), N("query_count"), N("bytes_received"),
	N("bytes_sent"), N("xact_time"), N("query_time"), N("wait_time"), N("client_parse_count"),
	N("server_parse_count"), N("bind_count"), N("client_login_count"), NULL };
const char *const console_stats_averages_columns[] = { "database",
	N("server_assignment_count"), N("xact_count"), N("query_count"), N("bytes_received"),
	N("bytes_sent"), N("xact_time"), N("query_time"), N("wait_time"), N("avg_client_parse_count"),
	N("avg_server_parse_count"), N("avg_bind_count"), N("avg_client_login_count"), NULL };
const char *const console_stats_sum_columns[] = { "name", N("value"), NULL };

static const char *const sum_names[POOL_STATS] = { "server_assignment_count", "xact_count",
	"query_count", "client_bytes", "server_bytes", "xact_time", "query_time", "wait_time",
	"client_parse_count", "server_parse_count", "bind_count", "client_login_count" };
/* clang-format on */

const signed char console_stats_per[POOL_STATS] = {
	AVERAGES_PER_SECOND,
	AVERAGES_PER_SECOND,
	AVERAGES_PER_SECOND,
	AVERAGES_PER_SECOND,
	AVERAGES_PER_SECOND,
	POOL_STAT_xacts,
	POOL_STAT_queries,
	AVERAGES_PER_SECOND,
	AVERAGES_PER_SECOND,
	AVERAGES_PER_SECOND,
	AVERAGES_PER_SECOND,
	AVERAGES_PER_SECOND,
};

_Static_assert(POOL_STATS == 12 && POOL_STAT_xact_us == 5 && POOL_STAT_wait_us == 7 &&
		   POOL_STATS <= AVERAGES_MAX,
    "the columns follow the order of stats.h");

void *
console_stats_begin(void)
{
	return stats_census_new();
}

void
console_stats_visit(struct worker *w, struct table *t, void *state)
{
	(void)t;
	stats_census_visit(state, w);
}

void
console_stats_discard(void *state)
{
	stats_census_free(state);
}

/* ---- one row per database ---- */

struct rows {
	struct table *t;
	struct console_host *host;
	bool totals, averages;
};

static void
row(void *arg, const char *database, const uint64_t totals[POOL_STATS])
{
	const struct rows *r = arg;
	uint64_t averages[AVERAGES_MAX];

	table_text(r->t, database);
	for (int i = 0; r->totals && i < POOL_STATS; i++)
		table_number(r->t, (int64_t)totals[i]);
	if (!r->averages)
		return;
	averages_get(r->host->averages, database, averages);
	for (int i = 0; i < POOL_STATS; i++)
		table_number(r->t, (int64_t)averages[i]);
}

static void
rows_of(struct rows *r, const struct stats_census *c)
{
	uint64_t console[POOL_STATS] = { 0 };

	stats_census_each(c, row, r);
	console[POOL_STAT_xacts] = console[POOL_STAT_queries] = atomic_load(&r->host->commands);
	console[POOL_STAT_client_logins] = atomic_load(&r->host->logins);
	row(r, "pgsluice", console);
}

void
console_stats_both(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	struct rows r = { t, host, true, true };

	(void)home;
	rows_of(&r, state);
}

void
console_stats_totals(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	struct rows r = { t, host, true, false };

	(void)home;
	rows_of(&r, state);
}

void
console_stats_averages(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	struct rows r = { t, host, false, true };

	(void)home;
	rows_of(&r, state);
}

/* ---- all databases together ---- */

struct sums {
	struct console_host *host;
	uint64_t totals[POOL_STATS], averages[POOL_STATS];
	double weighted[POOL_STATS];
};

/* An average per transaction counts for as many transactions as there were. */
static void
sum_up(void *arg, const char *database, const uint64_t totals[POOL_STATS])
{
	struct sums *s = arg;
	uint64_t averages[AVERAGES_MAX];

	averages_get(s->host->averages, database, averages);
	for (int i = 0; i < POOL_STATS; i++) {
		int per = console_stats_per[i];

		s->totals[i] += totals[i];
		if (per == AVERAGES_PER_SECOND)
			s->averages[i] += averages[i];
		else
			s->weighted[i] += (double)averages[i] * (double)averages[per];
	}
}

static void
named(struct table *t, const char *prefix, const char *name, uint64_t value)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s", prefix, name);
	table_text(t, text);
	table_number(t, (int64_t)value);
}

void
console_stats_sum(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	struct sums s = { .host = host };

	(void)home;
	stats_census_each(state, sum_up, &s);
	for (int i = 0; i < POOL_STATS; i++)
		named(t, "total_", sum_names[i], s.totals[i]);
	for (int i = 0; i < POOL_STATS; i++) {
		int per = console_stats_per[i];

		if (per != AVERAGES_PER_SECOND && s.averages[per] > 0)
			s.averages[i] = (uint64_t)(s.weighted[i] / (double)s.averages[per]);
		named(t, "avg_", sum_names[i], s.averages[i]);
	}
}
