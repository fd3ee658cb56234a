#include "pool/pool_set.h"

#include "pool/pool.h"
#include "pool/pool_rules.h"
#include "pool/welcome.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"

#include <stdlib.h>
#include <string.h>

static struct {
	pthread_mutex_t lock;
	struct hmap databases, users, pools;
	struct worker *workers;
	int n_workers;
	_Atomic(const struct config *) cfg; /* the one applied last, by address only */
	atomic_bool paused;		    /* PAUSE of all is in force */
} set = { .lock = PTHREAD_MUTEX_INITIALIZER };

const char pool_for_auth[] = "auth_query";

int
pool_set_init(struct worker *workers, int n_workers)
{
	set.workers = workers;
	set.n_workers = n_workers;
	return 0;
}

/* ---- finding and making; the lock is held ---- */

static struct quota *
find_quota(const struct hmap *map, const char *name, uint64_t hash)
{
	struct hnode *n;

	for (n = hmap_find(map, hash); n != NULL; n = hmap_next_same(n)) {
		struct quota *q = hmap_entry(n, struct quota, node);

		if (strcmp(q->name, name) == 0)
			return q;
	}
	return NULL;
}

static struct quota *
find_or_make_user(const struct config *cfg, const char *name)
{
	uint64_t hash = hmap_hash_str(name);
	struct quota *q = find_quota(&set.users, name, hash);

	if (q != NULL)
		return q;
	q = calloc(1, sizeof(*q));
	if (q == NULL || (q->name = strdup(name)) == NULL ||
	    !hmap_add(&set.users, &q->node, hash)) {
		if (q != NULL)
			free(q->name);
		free(q);
		return NULL;
	}
	pool_rules_user(q, cfg);
	return q;
}

static struct database *
make_database(const struct config *cfg, const char *name, uint64_t hash)
{
	struct database *db = calloc(1, sizeof(*db));

	if (db == NULL)
		return NULL;
	db->quota.name = strdup(name);
	db->stats = aligned_alloc(64, (size_t)set.n_workers * sizeof(*db->stats));
	if (db->quota.name == NULL || db->stats == NULL ||
	    !hmap_add(&set.databases, &db->quota.node, hash)) {
		free(db->quota.name);
		free(db->stats);
		free(db);
		return NULL;
	}
	memset(db->stats, 0, (size_t)set.n_workers * sizeof(*db->stats));
	list_init(&db->pools);
	atomic_store(&db->paused, atomic_load(&set.paused));
	pool_rules_database(db, cfg);
	return db;
}

static struct database *
find_or_make_database(const struct config *cfg, const char *name)
{
	uint64_t hash = hmap_hash_str(name);
	struct quota *q = find_quota(&set.databases, name, hash);

	if (q != NULL)
		return (struct database *)q;
	return make_database(cfg, name, hash);
}

static uint64_t
pool_hash(const struct database *db, const struct quota *user, const char *replication)
{
	uintptr_t key[3] = { (uintptr_t)db, (uintptr_t)user,
		replication == NULL ? 0 : (uintptr_t)replication[0] };

	return hmap_hash(key, sizeof(key));
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static struct pool *
make_pool(const struct config *cfg, struct database *db, struct quota *user,
    const char *replication, uint64_t hash)
{
	size_t size = sizeof(struct pool) + (size_t)set.n_workers * sizeof(struct pool_local);
	struct pool *p = aligned_alloc(64, (size + 63) / 64 * 64);

	if (p == NULL)
		return NULL;
	memset(p, 0, size);
	p->db = db;
	p->user = user;
	p->replication = replication;
	p->n_local = set.n_workers;
	atomic_init(&p->refs, 1);
	pthread_mutex_init(&p->lock, NULL);
	for (int i = 0; i < set.n_workers; i++) {
		struct pool_local *l = &p->local[i];

		l->worker = &set.workers[i];
		l->pool = p;
		list_init(&l->idle);
		list_init(&l->active);
		list_init(&l->waiting);
		atomic_init(&l->oldest_ms, UINT64_MAX);
		deadline_init(&l->retry, pool_on_retry);
	}
	if (!hmap_add(&set.pools, &p->node, hash)) {
		free(p);
		return NULL;
	}
	list_push_back(&db->pools, &p->place);
	pool_rules_pool(p, cfg);
	return p;
}

static struct pool *
find_pool(struct database *db, struct quota *user, const char *replication, uint64_t hash)
{
	struct hnode *n;

	for (n = hmap_find(&set.pools, hash); n != NULL; n = hmap_next_same(n)) {
		struct pool *p = hmap_entry(n, struct pool, node);

		if (p->db == db && p->user == user && same_text(p->replication, replication))
			return p;
	}
	return NULL;
}

const char *
pool_set_entry_user(const struct config_database *entry)
{
	return entry->user != NULL ? entry->user : entry->secret;
}

static enum fault
get(const struct config *cfg, const struct config_database *entry, const char *database,
    const char *user, const char *replication, struct pool **out)
{
	struct database *db = find_or_make_database(cfg, database);
	const char *fixed = replication == pool_for_auth ? NULL : pool_set_entry_user(entry);
	struct quota *u = find_or_make_user(cfg, fixed != NULL ? fixed : user);
	uint64_t hash;
	struct pool *p;

	if (db == NULL || u == NULL)
		return FAULT_MEMORY;
	if (atomic_load(&db->disabled))
		return FAULT_DISABLED;
	hash = pool_hash(db, u, replication);
	p = find_pool(db, u, replication, hash);
	if (p == NULL)
		p = make_pool(cfg, db, u, replication, hash);
	if (p == NULL)
		return FAULT_MEMORY;
	atomic_store(&p->user_of_entry, fixed != NULL);
	*out = pool_ref(p);
	return FAULT_NONE;
}

enum fault
pool_set_get(const struct config *cfg, const char *database, const char *user,
    const char *replication, struct pool **out)
{
	const struct config_database *entry = config_find_database(cfg, database);
	enum fault f;

	if (entry == NULL)
		return FAULT_NO_DATABASE;
	pthread_mutex_lock(&set.lock);
	f = get(cfg, entry, database, user, replication, out);
	pthread_mutex_unlock(&set.lock);
	return f;
}

struct quota *
pool_set_user(const struct config *cfg, const char *name)
{
	struct quota *q;

	pthread_mutex_lock(&set.lock);
	q = find_or_make_user(cfg, name);
	pthread_mutex_unlock(&set.lock);
	return q;
}

struct database *
pool_set_database(const char *name)
{
	struct quota *q;

	pthread_mutex_lock(&set.lock);
	q = find_quota(&set.databases, name, hmap_hash_str(name));
	pthread_mutex_unlock(&set.lock);
	return (struct database *)q;
}

struct pool *
pool_ref(struct pool *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void
pool_unref(struct pool *p)
{
	/* the set itself holds one: a pool that exists stays, as its settings and history do */
	if (p != NULL)
		atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel);
}

void
pool_set_pause_new(bool on)
{
	atomic_store(&set.paused, on);
}

/* ---- all of them ---- */

void
pool_set_each_pool(void (*each)(void *arg, struct pool *), void *arg)
{
	pthread_mutex_lock(&set.lock);
	for (struct hnode *n = hmap_first(&set.pools); n != NULL; n = hmap_after(&set.pools, n))
		each(arg, hmap_entry(n, struct pool, node));
	pthread_mutex_unlock(&set.lock);
}

size_t
pool_set_pools(struct pool ***out)
{
	size_t n = 0;

	pthread_mutex_lock(&set.lock);
	*out = calloc(set.pools.count + 1u, sizeof(**out));
	for (struct hnode *h = hmap_first(&set.pools); *out != NULL && h != NULL;
	     h = hmap_after(&set.pools, h))
		(*out)[n++] = pool_ref(hmap_entry(h, struct pool, node));
	pthread_mutex_unlock(&set.lock);
	return n;
}

void
pool_set_each_database(void (*each)(void *arg, struct database *), void *arg)
{
	pthread_mutex_lock(&set.lock);
	for (struct hnode *n = hmap_first(&set.databases); n != NULL;
	     n = hmap_after(&set.databases, n))
		each(arg, (struct database *)hmap_entry(n, struct quota, node));
	pthread_mutex_unlock(&set.lock);
}

void
pool_set_each_user(void (*each)(void *arg, struct quota *), void *arg)
{
	pthread_mutex_lock(&set.lock);
	for (struct hnode *n = hmap_first(&set.users); n != NULL; n = hmap_after(&set.users, n))
		each(arg, hmap_entry(n, struct quota, node));
	pthread_mutex_unlock(&set.lock);
}

/* ---- configuration ---- */

static bool
same_server(const struct config *a, const struct config_database *x, const struct config *b,
    const struct config_database *y)
{
	if (x == NULL || y == NULL)
		return x == y;
	return same_text(config_host(a, x), config_host(b, y)) && x->port == y->port &&
	       same_text(x->dbname, y->dbname) && same_text(x->user, y->user) &&
	       same_text(x->password, y->password) && same_text(x->secret, y->secret) &&
	       same_text(x->connect_query, y->connect_query) &&
	       same_text(x->client_encoding, y->client_encoding) &&
	       same_text(x->datestyle, y->datestyle) && same_text(x->timezone, y->timezone) &&
	       same_text(x->application_name, y->application_name);
}

const struct config *
pool_set_config(void)
{
	return atomic_load(&set.cfg);
}

void
pool_set_apply(const struct config *old, const struct config *cfg)
{
	struct hnode *n;

	/* before any epoch is raised: see start() in pool_open.c */
	atomic_store(&set.cfg, cfg);
	pthread_mutex_lock(&set.lock);
	for (size_t i = 0; i < cfg->n_databases; i++)
		if (strcmp(cfg->databases[i].name, "*") != 0)
			(void)find_or_make_database(cfg, cfg->databases[i].name);
	for (n = hmap_first(&set.databases); n != NULL; n = hmap_after(&set.databases, n)) {
		struct database *db = (struct database *)hmap_entry(n, struct quota, node);
		const char *name = db->quota.name;

		pool_rules_database(db, cfg);
		if (old == NULL || same_server(old, config_find_database(old, name), cfg,
				       config_find_database(cfg, name)))
			continue;
		/* connections to the old address or as the old user end when they are free */
		list_each(m, tmp, &db->pools)
		    atomic_fetch_add(&list_entry(m, struct pool, place)->epoch, 1);
	}
	for (n = hmap_first(&set.users); n != NULL; n = hmap_after(&set.users, n))
		pool_rules_user(hmap_entry(n, struct quota, node), cfg);
	for (n = hmap_first(&set.pools); n != NULL; n = hmap_after(&set.pools, n)) {
		struct pool *p = hmap_entry(n, struct pool, node);

		pool_rules_pool(p, cfg);
		/* who waits may be served now, and what is idle may be too much */
		for (int i = 0; old != NULL && i < p->n_local; i++)
			pool_ask(&p->local[i]);
	}
	pthread_mutex_unlock(&set.lock);
}

void
pool_set_fill(const struct config *cfg)
{
	for (size_t i = 0; i < cfg->n_databases; i++) {
		const struct config_database *db = &cfg->databases[i];
		struct pool *p;

		if (pool_set_entry_user(db) == NULL || strcmp(db->name, "*") == 0)
			continue;
		if (pool_set_get(cfg, db->name, pool_set_entry_user(db), NULL, &p) != FAULT_NONE)
			continue;
		p->forced_user = true;
		if (atomic_load(&p->rules.min_size) > 0)
			pool_ask(&p->local[0]);
		pool_unref(p);
	}
}

void
pool_set_secret_changed(const struct config *cfg, const char *secret)
{
	struct pool **pools;
	size_t n = pool_set_pools(&pools);

	for (size_t i = 0; i < n; i++) {
		const struct config_database *db = config_find_database(cfg,
		    pools[i]->db->quota.name);

		if (db != NULL && same_text(db->secret, secret)) {
			atomic_store(&pools[i]->refused_until_ms, 0);
			for (int w = 0; w < pools[i]->n_local; w++)
				pool_try_now(&pools[i]->local[w]);
		}
		pool_unref(pools[i]);
	}
	free(pools);
}
