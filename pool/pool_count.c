/* pool_count.c -- connections counted against the limits of pool, database and user, exactly. */
#include "pool/pool.h"

static bool
take_one(atomic_int *n, int limit)
{
	int have = atomic_load(n);

	do {
		if (limit > 0 && have >= limit)
			return false;
	} while (!atomic_compare_exchange_weak(n, &have, have + 1));
	return true;
}

/* Does anybody wait for a server of this pool? A pool without waiters must not make others give up room. */
static bool
is_waited_for(struct pool *p)
{
	for (int i = 0; i < p->n_local; i++)
		if (atomic_load(&p->local[i].hungry) > 0)
			return true;
	return false;
}

static void
set_blocked(atomic_bool *flag, struct quota *q, bool blocked, uint64_t now)
{
	if (atomic_exchange(flag, blocked) == blocked)
		return;
	if (atomic_fetch_add(&q->blocked, blocked ? 1 : -1) == 0)
		atomic_store(&q->blocked_since_ms, now);
}

void
pool_unblock(struct pool *p)
{
	if (is_waited_for(p))
		return;
	set_blocked(&p->blocked_by_db, &p->db->quota, false, 0);
	set_blocked(&p->blocked_by_user, p->user, false, 0);
}

/* One more under a limit that pools share. Who finds it reached says so first and then looks once more:
 * pool_uncount_server() makes room first and then looks who is blocked. */
static bool
take_shared(struct quota *q, atomic_bool *flag, struct pool *p, uint64_t now)
{
	bool got = take_one(&q->n_servers, atomic_load(&q->max_servers));

	if (!got) {
		set_blocked(flag, q, is_waited_for(p), now);
		got = take_one(&q->n_servers, atomic_load(&q->max_servers));
	}
	if (got)
		set_blocked(flag, q, false, now);
	return got;
}

bool
pool_count_server(struct pool *p, int limit, uint64_t now)
{
	if (!take_one(&p->n_servers, limit))
		return false;
	if (!take_shared(&p->db->quota, &p->blocked_by_db, p, now))
		goto fail_db;
	if (!take_shared(p->user, &p->blocked_by_user, p, now))
		goto fail_user;
	return true;
fail_user:
	atomic_fetch_sub(&p->db->quota.n_servers, 1);
fail_db:
	atomic_fetch_sub(&p->n_servers, 1);
	/* an idle connection of another pool under the same limit makes room */
	if (is_waited_for(p))
		pool_share_evict(p);
	return false;
}

void
pool_uncount_server(struct pool *p, struct worker *w)
{
	bool others_wait;

	atomic_fetch_sub(&p->user->n_servers, 1);
	atomic_fetch_sub(&p->db->quota.n_servers, 1);
	atomic_fetch_sub(&p->n_servers, 1);
	others_wait = atomic_load(&p->db->quota.blocked) > 0 || atomic_load(&p->user->blocked) > 0;
	if (others_wait) {
		/* they come first; what they leave is taken a little later */
		pool_share_room(p);
		loop_deadline(&w->loop, &pool_local(p, w)->retry,
		    loop_now_ms(&w->loop) + POOL_SLACK_MS);
	} else {
		pool_grow(p, w);
	}
	pool_unref(p);
}
