/* pool_close.c -- which connections end, and why. */
#include "pool/pool.h"

#include "pool/server.h"
#include "proxy/base/log.h"

static bool
is_over_quota(struct quota *q)
{
	int max = atomic_load_explicit(&q->max_servers, memory_order_relaxed);

	return max > 0 && atomic_load_explicit(&q->n_servers, memory_order_relaxed) > max;
}

bool
pool_is_over_limit(struct pool *p)
{
	int size = atomic_load_explicit(&p->rules.size, memory_order_relaxed);

	if (is_over_quota(&p->db->quota) || is_over_quota(p->user))
		return true;
	return size > 0 &&
	       atomic_load_explicit(&p->n_servers, memory_order_relaxed) >
		   size + atomic_load_explicit(&p->rules.reserve_size, memory_order_relaxed);
}

/* Another pool waits for room under a limit that it shares with this one, and it is its turn. */
static bool
owes_room(struct pool_local *l, struct quota *q, atomic_bool *self)
{
	uint64_t since;

	if (atomic_load_explicit(&q->blocked, memory_order_relaxed) <= (atomic_load(self) ? 1 : 0))
		return false;
	if (list_empty(&l->waiting))
		return true;
	since = atomic_load(&q->blocked_since_ms);
	return since + POOL_TURN_MS <= loop_now_ms(&l->worker->loop) &&
	       atomic_compare_exchange_strong(&q->blocked_since_ms, &since,
		   loop_now_ms(&l->worker->loop));
}

const char *
pool_reason_to_close(struct server *s)
{
	struct pool_local *l = pool_local(s->pool, s->worker);

	if (!server_is_clean(s))
		return s->stream.broken || s->stream.eof ? "the server closed the connection"
							 : "unclean server";
	if (s->close_when_free ||
	    s->epoch != atomic_load_explicit(&s->pool->epoch, memory_order_relaxed))
		return "close_needed";
	if (server_is_retired(s))
		return "its credentials have been replaced";
	if (atomic_load_explicit(&s->pool->db->paused, memory_order_relaxed))
		return "the database is paused";
	if (owes_room(l, &s->pool->db->quota, &s->pool->blocked_by_db) ||
	    owes_room(l, s->pool->user, &s->pool->blocked_by_user))
		return "another pool needs its room";
	if (pool_is_over_limit(s->pool))
		return "the pool is larger than its limit";
	/* even with server_lifetime = 0 it serves once */
	if (s->used && server_is_too_old(s, loop_now_ms(&l->worker->loop)))
		return "server_lifetime";
	return NULL;
}

void
pool_close_server(struct server *s, const char *reason)
{
	struct pool *p = s->pool;
	struct worker *w = s->worker;
	struct pool_local *l = pool_local(p, w);

	log_debug("S-%llu: %s/%s closing because: %s (age=%llus)", (unsigned long long)s->id,
	    p->db->quota.name, p->user->name, reason,
	    (unsigned long long)((loop_now_ms(&l->worker->loop) - s->connected_ms) / 1000));
	if (list_linked(&s->place)) {
		list_del(&s->place);
		atomic_fetch_sub(s->state == SERVER_IDLE ? &l->n_idle : &l->n_active, 1);
	}
	s->holder = NULL;
	if (s->cancels > 0) {
		/* the cancel job points here: it frees the server when it comes back */
		s->doomed = true;
		s->parked = false;
		stream_detach(&s->stream);
		return;
	}
	server_free(s);
	pool_uncount_server(p, w);
}

void
pool_evict_one(struct pool_local *l)
{
	struct list_node *n = list_last(&l->idle);

	if (n != NULL && list_empty(&l->waiting))
		pool_close_server(list_entry(n, struct server, place), "evicted");
}

void
pool_close_idle(struct pool *p, struct worker *w, bool all, const char *reason)
{
	struct pool_local *l = pool_local(p, w);

	list_each(n, tmp, &l->idle)
	{
		struct server *s = list_entry(n, struct server, place);

		if (all || s->epoch != atomic_load(&p->epoch))
			pool_close_server(s, reason);
	}
}
