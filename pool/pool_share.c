/* pool_share.c -- limits that several pools share: who makes room for whom, and how many clients there are. */
#include "pool/pool.h"

#include "pool/pool_set.h"

#include <stdlib.h>

static int
hungry_local(const struct pool *p)
{
	for (int i = 0; i < p->n_local; i++)
		if (atomic_load(&p->local[i].hungry) > 0)
			return i;
	return -1;
}

static void
wake_if_blocked(void *arg, struct pool *q)
{
	const struct pool *p = arg;
	int i;

	if (q == p || !((q->db == p->db && atomic_load(&q->blocked_by_db)) ||
			  (q->user == p->user && atomic_load(&q->blocked_by_user))))
		return;
	i = hungry_local(q);
	if (i >= 0)
		pool_ask(&q->local[i]);
}

void
pool_share_room(struct pool *p)
{
	pool_set_each_pool(wake_if_blocked, p);
}

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
