#include "proxy/session/console_views.h"

#include "pool/connector.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "pool/pool_view.h"
#include "pool/server.h"
#include "proxy/admin/console.h"
#include "proxy/admin/table.h"
#include "proxy/config/config.h"
#include "proxy/config/config_field.h"
#include "proxy/session/console_secrets.h"
#include "proxy/session/console_stats.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/session/session_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char *const version_columns[] = { "version", NULL };
static const char *const config_columns[] = { "key", "value", "default", "changeable", NULL };
static const char *const list_columns[] = { "list", "items int4", NULL };
static const char *const state_columns[] = { "key", "value", NULL };
static const char *const mem_columns[] = { "name", "size int4", "used int4", "free int4",
	"memtotal int4", NULL };
static const char *const dns_columns[] = { "hostname", "ttl int8", "addrs", NULL };
static const char *const user_columns[] = { "name", "pool_size", "reserve_pool_size", "pool_mode",
	"max_user_connections int4", "current_connections int4", "max_user_client_connections int4",
	"current_client_connections int4", NULL };
/* clang-format on */

static const struct config *
config_at(const struct worker *w)
{
	return session_set_of(w)->env->cfg;
}

static void
sink_text(void *arg, const char *value)
{
	table_text(arg, value);
}

static void
sink_number(void *arg, int64_t value)
{
	table_number(arg, value);
}

static struct pool_view_sink
sink_to(struct table *t)
{
	return (struct pool_view_sink){ sink_text, sink_number, t, session_view_holder };
}

/* ---- clients and servers ---- */

static void
visit_clients(struct worker *w, struct table *t, void *state)
{
	struct pool_view_sink k = sink_to(t);

	(void)state;
	session_view_clients(w, &k, false, false);
}

static void
visit_servers(struct worker *w, struct table *t, void *state)
{
	struct pool_view_sink k = sink_to(t);

	(void)state;
	pool_view_servers(w, &k, false, false);
}

static void
visit_sockets(struct worker *w, struct table *t, void *state)
{
	struct pool_view_sink k = sink_to(t);

	(void)state;
	session_view_clients(w, &k, false, true);
	pool_view_servers(w, &k, false, true);
}

static void
visit_active_sockets(struct worker *w, struct table *t, void *state)
{
	struct pool_view_sink k = sink_to(t);

	(void)state;
	session_view_clients(w, &k, true, true);
	pool_view_servers(w, &k, true, true);
}

/* ---- pools and lists ---- */

struct population {
	struct pool_census *pools;
	struct session_view_counts sessions;
};

static void *
begin_population(void)
{
	struct population *p = calloc(1, sizeof(*p));

	if (p != NULL && (p->pools = pool_census_new()) == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

static void
visit_population(struct worker *w, struct table *t, void *state)
{
	struct population *p = state;

	(void)t;
	pool_census_visit(p->pools, w);
	session_view_count(w, &p->sessions);
}

static void
discard_population(void *state)
{
	struct population *p = state;

	pool_census_free(p->pools);
	free(p);
}

static void
finish_pools(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	struct population *p = state;
	struct pool_view_sink k = sink_to(t);

	(void)host;
	pool_census_rows(p->pools, config_at(home), &k);
	table_text(t, "pgsluice");
	table_text(t, "pgsluice");
	table_number(t, p->sessions.consoles);
	for (int i = 0; i < 12; i++)
		table_number(t, 0);
	table_text(t, "statement");
	table_text(t, NULL);
}

static void
list_row(struct table *t, const char *name, int64_t n)
{
	table_text(t, name);
	table_number(t, n);
}

static void
count_name(void *arg, const char *name, int64_t ttl_ms, const char *addrs)
{
	(void)name;
	(void)ttl_ms;
	(void)addrs;
	++*(int64_t *)arg;
}

static void
count_database(void *arg, struct database *db)
{
	(void)db;
	++*(int64_t *)arg;
}

static void
count_user(void *arg, struct quota *q)
{
	(void)q;
	++*(int64_t *)arg;
}

static void
finish_lists(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	struct population *p = state;
	struct pool_totals pools = pool_census_totals(p->pools);
	int64_t databases = 0, users = 0, names = 0;

	(void)host;
	pool_set_each_database(count_database, &databases);
	pool_set_each_user(count_user, &users);
	connector_dns(pool_worker(home)->connectors, count_name, &names);
	list_row(t, "databases", databases);
	list_row(t, "users", users);
	list_row(t, "peers", 0);
	list_row(t, "pools", pools.pools);
	list_row(t, "peer_pools", 0);
	list_row(t, "free_clients", 0);
	list_row(t, "used_clients", p->sessions.clients);
	list_row(t, "login_clients", p->sessions.logins);
	list_row(t, "free_servers", pools.idle_servers);
	list_row(t, "used_servers", pools.used_servers);
	list_row(t, "dns_names", names);
	list_row(t, "dns_zones", 0);
	list_row(t, "dns_queries", 0);
	list_row(t, "dns_pending", 0);
}

static void
mem_row(struct table *t, const char *name, size_t size, int64_t used)
{
	table_text(t, name);
	table_number(t, (int64_t)size);
	table_number(t, used);
	table_number(t, 0);
	table_number(t, (int64_t)size * used);
}

/* Records only, without what they point to; nothing is kept in reserve. */
static void
finish_mem(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	struct population *p = state;
	struct pool_totals pools = pool_census_totals(p->pools);
	int64_t databases = 0, users = 0;

	(void)host;
	pool_set_each_database(count_database, &databases);
	pool_set_each_user(count_user, &users);
	mem_row(t, "user_cache", sizeof(struct quota), users);
	mem_row(t, "db_cache", sizeof(struct database), databases);
	mem_row(t, "pool_cache",
	    sizeof(struct pool) + (size_t)pool_worker(home)->n_workers * sizeof(struct pool_local),
	    pools.pools);
	mem_row(t, "server_cache", sizeof(struct server), pools.idle_servers + pools.used_servers);
	mem_row(t, "client_cache", sizeof(struct session),
	    p->sessions.clients + p->sessions.logins);
}

/* ---- databases and users ---- */

static void
finish_databases(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	const struct config *cfg = config_at(home);
	struct pool_view_sink k = sink_to(t);

	(void)host;
	(void)state;
	pool_view_databases(cfg, &k);
	table_text(t, "pgsluice");
	table_text(t, NULL);
	table_number(t, cfg->listen_port);
	table_text(t, "pgsluice");
	table_text(t, "pgsluice");
	for (int i = 0; i < 4; i++)
		table_number(t, 0);
	table_text(t, "statement");
	table_text(t, NULL);
	for (int i = 0; i < 6; i++)
		table_number(t, 0);
}

struct users {
	struct table *t;
	const struct config *cfg;
};

static void
number_or_null(struct table *t, int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", value);
	table_text(t, value >= 0 ? text : NULL);
}

static void
user_row(void *arg, struct quota *q)
{
	static const struct config_user unset = { .pool_mode = -1,
		.pool_size = -1,
		.reserve_pool_size = -1 };
	const struct users *u = arg;
	const struct config_user *c = config_find_user(u->cfg, q->name);

	if (c == NULL)
		c = &unset;
	table_text(u->t, q->name);
	number_or_null(u->t, c->pool_size);
	number_or_null(u->t, c->reserve_pool_size);
	table_text(u->t, c->pool_mode >= 0 ? config_words("pool_mode")[c->pool_mode] : NULL);
	table_number(u->t, atomic_load(&q->max_servers));
	table_number(u->t, atomic_load(&q->n_servers));
	table_number(u->t, atomic_load(&q->max_clients));
	table_number(u->t, atomic_load(&q->n_clients));
}

static void
finish_users(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	struct users u = { t, config_at(home) };

	(void)host;
	(void)state;
	/* those of the configuration are known to the pools from now on */
	for (size_t i = 0; i < u.cfg->n_users; i++)
		(void)pool_set_user(u.cfg, u.cfg->users[i].name);
	pool_set_each_user(user_row, &u);
}

/* ---- the program ---- */

static void
finish_version(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	char text[80];

	(void)home;
	(void)state;
	snprintf(text, sizeof(text), "pgsluice %s", host->version);
	table_text(t, text);
}

static void
config_row(void *arg, const char *key, const char *value, const char *def, bool changeable)
{
	table_text(arg, key);
	table_text(arg, value);
	table_text(arg, def);
	table_text(arg, changeable ? "yes" : "no");
}

static void
finish_config(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	(void)host;
	(void)state;
	config_show(config_at(home), config_row, t);
}

static void
note_paused(void *arg, struct database *db)
{
	*(bool *)arg &= atomic_load(&db->paused);
}

static void
finish_state(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	int64_t databases = 0;
	bool paused = true;

	(void)home;
	(void)host;
	(void)state;
	pool_set_each_database(count_database, &databases);
	pool_set_each_database(note_paused, &paused);
	paused &= databases > 0;
	table_text(t, "active");
	table_text(t, paused ? "no" : "yes");
	table_text(t, "paused");
	table_text(t, paused ? "yes" : "no");
	table_text(t, "suspended");
	table_text(t, "no");
}

static void
dns_row(void *arg, const char *name, int64_t ttl_ms, const char *addrs)
{
	table_text(arg, name);
	table_number(arg, ttl_ms / 1000);
	table_text(arg, addrs);
}

static void
finish_dns(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	(void)host;
	(void)state;
	connector_dns(pool_worker(home)->connectors, dns_row, t);
}

/* ---- the table ---- */

#define POPULATION begin_population, visit_population
#define STATS_OF   console_stats_begin, console_stats_visit

/* clang-format off */
const struct view console_views[] = {
	{ "VERSION", version_columns, false, NULL, NULL, finish_version, NULL },
	{ "POOLS", pool_view_pool_columns, false, POPULATION, finish_pools, discard_population },
	{ "CLIENTS", pool_view_server_columns, false, NULL, visit_clients, NULL, NULL },
	{ "SERVERS", pool_view_server_columns, false, NULL, visit_servers, NULL, NULL },
	{ "SOCKETS", pool_view_socket_columns, false, NULL, visit_sockets, NULL, NULL },
	{ "ACTIVE_SOCKETS", pool_view_socket_columns, false, NULL, visit_active_sockets, NULL, NULL },
	{ "DATABASES", pool_view_database_columns, false, NULL, NULL, finish_databases, NULL },
	{ "USERS", user_columns, false, NULL, NULL, finish_users, NULL },
	{ "STATS", console_stats_columns, false, STATS_OF, console_stats_both, console_stats_discard },
	{ "STATS_TOTALS", console_stats_totals_columns, false, STATS_OF, console_stats_totals,
	    console_stats_discard },
	{ "STATS_AVERAGES", console_stats_averages_columns, false, STATS_OF, console_stats_averages,
	    console_stats_discard },
	{ "TOTALS", console_stats_sum_columns, false, STATS_OF, console_stats_sum, console_stats_discard },
	{ "CONFIG", config_columns, false, NULL, NULL, finish_config, NULL },
	{ "LISTS", list_columns, false, POPULATION, finish_lists, discard_population },
	{ "STATE", state_columns, false, NULL, NULL, finish_state, NULL },
	{ "MEM", mem_columns, false, POPULATION, finish_mem, discard_population },
	{ "SECRETS", console_secrets_columns, false, NULL, NULL, console_secrets, NULL },
	{ "DNS_HOSTS", dns_columns, false, NULL, NULL, finish_dns, NULL },
	{ NULL, NULL, false, NULL, NULL, NULL, NULL },
};
/* clang-format on */
