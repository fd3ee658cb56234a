/* pool_share.c -- limits that several pools share: who makes room for whom, and how many clients there are. */
#include "pool/pool.h"

#include "pool/pool_set.h"

#include <stdlib.h>

/* ---- room ---- */

/* Since when the longest waiting client of a pool waits, and on which worker; UINT64_MAX = nobody does. */
static uint64_t
waits_since(const struct pool *p, int *where)
{
	uint64_t since = UINT64_MAX;

	for (int i = 0; i < p->n_local; i++) {
		uint64_t oldest = atomic_load(&p->local[i].oldest_ms);

		if (oldest < since) {
			since = oldest;
			*where = i;
		}
	}
	return since;
}

struct looking {
	const struct pool *from;
	bool by_db, by_user; /* under which limits of `from` there is room */
	/* the best so far; what comes before `after` in the order of waiting had its turn */
	uint64_t after, since;
	const struct pool *after_pool;
	struct pool *best;
	int where;
};

/* Those who have waited equally long are in the order of their addresses. */
static bool
comes_before(uint64_t since, const struct pool *p, uint64_t other_since, const struct pool *other)
{
	return since < other_since || (since == other_since && (uintptr_t)p < (uintptr_t)other);
}

static void
look_if_blocked(void *arg, struct pool *q)
{
	struct looking *k = arg;
	uint64_t since;
	int where = 0;

	if (q == k->from ||
	    !((k->by_db && q->db == k->from->db && atomic_load(&q->blocked_by_db)) ||
		(k->by_user && q->user == k->from->user && atomic_load(&q->blocked_by_user))))
		return;
	since = waits_since(q, &where);
	if (since == UINT64_MAX || !comes_before(k->after, k->after_pool, since, q) ||
	    (k->best != NULL && !comes_before(since, q, k->since, k->best)))
		return;
	k->best = q;
	k->since = since;
	k->where = where;
}

static void
ask_next(struct looking *k)
{
	pool_set_each_pool(look_if_blocked, k);
	if (k->best != NULL)
		pool_ask(&k->best->local[k->where]);
}

void
pool_share_room(struct pool *p)
{
	struct looking db = { .from = p, .by_db = true }, user = { .from = p, .by_user = true };

	if (atomic_load(&p->db->quota.blocked) > 0)
		ask_next(&db);
	if (atomic_load(&p->user->blocked) > 0)
		ask_next(&user);
}

static bool
has_room_for_others(struct quota *q, atomic_bool *self)
{
	int max;

	if (atomic_load_explicit(&q->blocked, memory_order_relaxed) <= (atomic_load(self) ? 1 : 0))
		return false;
	max = atomic_load(&q->max_servers);
	return max == 0 || atomic_load(&q->n_servers) < max;
}

void
pool_share_pass_on(struct pool *p)
{
	struct looking k = { .from = p,
		.by_db = has_room_for_others(&p->db->quota, &p->blocked_by_db),
		.by_user = has_room_for_others(p->user, &p->blocked_by_user) };
	int where = 0;

	if (!k.by_db && !k.by_user)
		return;
	/* strictly onwards in the order of waiting: it comes to an end */
	k.after = waits_since(p, &where);
	if (k.after == UINT64_MAX)
		k.after = 0;
	else
		k.after_pool = p;
	ask_next(&k);
}

/* ---- eviction ---- */

struct evict_letter {
	struct letter letter;
	struct pool *pool;
};

static void
deliver_evict(struct worker *w, struct letter *letter)
{
	struct evict_letter *e = list_entry(letter, struct evict_letter, letter);

	pool_evict_one(pool_local(e->pool, w));
	pool_unref(e->pool);
	free(e);
}

static bool
evict_from(struct pool *q)
{
	for (int i = 0; i < q->n_local; i++) {
		struct evict_letter *e;

		if (atomic_load(&q->local[i].n_idle) == 0)
			continue;
		e = calloc(1, sizeof(*e));
		if (e == NULL)
			return false;
		e->pool = pool_ref(q);
		e->letter.deliver = deliver_evict;
		list_init(&e->letter.node);
		worker_post(q->local[i].worker, &e->letter);
		return true;
	}
	return false;
}

struct evicting {
	struct pool *for_whom;
	bool by_db, done;
};

static void
try_evict(void *arg, struct pool *q)
{
	struct evicting *e = arg;
	struct pool *p = e->for_whom;

	if (!e->done && q != p && (e->by_db ? q->db == p->db : q->user == p->user))
		e->done = evict_from(q);
}

void
pool_share_evict(struct pool *p)
{
	struct evicting e = { p, atomic_load(&p->blocked_by_db), false };

	pool_set_each_pool(try_evict, &e);
}

/* ---- clients ---- */

static bool
enter(struct quota *q)
{
	int have = atomic_load(&q->n_clients), max = atomic_load(&q->max_clients);

	do {
		if (max > 0 && have >= max)
			return false;
	} while (!atomic_compare_exchange_weak(&q->n_clients, &have, have + 1));
	return true;
}

enum fault
pool_client_enters(struct pool *p, struct quota *user, struct worker *w)
{
	if (!enter(&p->db->quota))
		return FAULT_TOO_MANY_DB_CLIENTS;
	if (!enter(user)) {
		atomic_fetch_sub(&p->db->quota.n_clients, 1);
		return FAULT_TOO_MANY_USER_CLIENTS;
	}
	atomic_fetch_add_explicit(&pool_local(p, w)->n_clients, 1, memory_order_relaxed);
	return FAULT_NONE;
}

void
pool_client_leaves(struct pool *p, struct quota *user, struct worker *w)
{
	atomic_fetch_sub(&p->db->quota.n_clients, 1);
	atomic_fetch_sub(&user->n_clients, 1);
	atomic_fetch_sub_explicit(&pool_local(p, w)->n_clients, 1, memory_order_relaxed);
}
