#include "pool/pool_rules.h"

#include "pool/pool.h"
#include "proxy/config/config.h"

#include <string.h>

void
pool_rules_database(struct database *db, const struct config *cfg)
{
	const struct config_database *d = config_find_database(cfg, db->quota.name);

	db->listed = d != NULL && strcmp(d->name, "*") != 0;
	db->from_fallback = d != NULL && !db->listed;
	atomic_store(&db->quota.max_servers, d != NULL && d->max_db_connections >= 0
						 ? d->max_db_connections
						 : cfg->max_db_connections);
	atomic_store(&db->quota.max_clients, d != NULL && d->max_db_client_connections >= 0
						 ? d->max_db_client_connections
						 : cfg->max_db_client_connections);
}

void
pool_rules_user(struct quota *q, const struct config *cfg)
{
	const struct config_user *u = config_find_user(cfg, q->name);

	atomic_store(&q->max_servers, u != NULL && u->max_user_connections >= 0
					  ? u->max_user_connections
					  : cfg->max_user_connections);
	atomic_store(&q->max_clients, u != NULL && u->max_user_client_connections >= 0
					  ? u->max_user_client_connections
					  : cfg->max_user_client_connections);
}

/* The first that is set (not negative). */
static int64_t
first(int64_t a, int64_t b, int64_t c)
{
	return a >= 0 ? a : b >= 0 ? b : c;
}

/* A user's setting goes before the database's, as in PgBouncer; for query_wait_timeout the database's. */
void
pool_rules_pool(struct pool *p, const struct config *cfg)
{
	static const struct config_user no_user = { NULL, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0,
		NULL };
	const struct config_database *d = config_find_database(cfg, p->db->quota.name);
	const struct config_user *u = config_find_user(cfg, p->user->name);
	struct pool_rules *r = &p->rules;

	if (d == NULL)
		return; /* removed: who is connected goes on under the old rules */
	if (u == NULL)
		u = &no_user;
	atomic_store(&r->mode, (int)first(u->pool_mode, d->pool_mode, cfg->pool_mode));
	atomic_store(&r->size, (int)first(u->pool_size, d->pool_size, cfg->default_pool_size));
	atomic_store(&r->min_size, (int)first(d->min_pool_size, -1, cfg->min_pool_size));
	atomic_store(&r->reserve_size,
	    (int)first(u->reserve_pool_size, d->reserve_pool_size, cfg->reserve_pool_size));
	atomic_store(&r->max_statements, cfg->max_prepared_statements);
	atomic_store(&r->reserve_timeout, cfg->reserve_pool_timeout);
	atomic_store(&r->query_wait_timeout,
	    first(d->query_wait_timeout, u->query_wait_timeout, cfg->query_wait_timeout));
	atomic_store(&r->query_wait_notify, cfg->query_wait_notify);
	atomic_store(&r->server_lifetime, first(d->server_lifetime, -1, cfg->server_lifetime));
	atomic_store(&r->server_idle_timeout, cfg->server_idle_timeout);
	atomic_store(&r->server_check_delay, cfg->server_check_delay);
	atomic_store(&r->server_login_retry, cfg->server_login_retry);
	atomic_store(&r->query_timeout, first(u->query_timeout, -1, cfg->query_timeout));
	atomic_store(&r->idle_transaction_timeout,
	    first(u->idle_transaction_timeout, -1, cfg->idle_transaction_timeout));
	atomic_store(&r->transaction_timeout,
	    first(u->transaction_timeout, -1, cfg->transaction_timeout));
	atomic_store(&r->client_idle_timeout,
	    first(u->client_idle_timeout, -1, cfg->client_idle_timeout));
	atomic_store(&r->round_robin_servers, cfg->server_round_robin);
	atomic_store(&r->reset_always, cfg->server_reset_query_always);
}
