/* pool.c -- who gets which server: idle lists, the queue, the hand-over between workers. */
#include "pool/pool.h"

#include "pool/command.h"
#include "pool/server.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_TIMEOUT_MS 15000

static uint64_t
now_ms(const struct pool_local *l)
{
	return loop_now_ms(&l->worker->loop);
}

/* ---- the queue ---- */

static void
note_oldest(struct pool_local *l)
{
	struct list_node *n = list_first(&l->waiting);
	uint64_t since = n == NULL ? UINT64_MAX
				   : list_entry(n, struct pool_ticket, place)->since_ms;

	if (l->pool->n_local == 1)
		atomic_store_explicit(&l->oldest_ms, since, memory_order_relaxed);
	else
		atomic_store(&l->oldest_ms, since);
}

static void
enqueue(struct pool_local *l, struct pool_ticket *t)
{
	t->since_ms = now_ms(l);
	list_push_back(&l->waiting, &t->place);
	atomic_fetch_add(&l->hungry, 1);
	note_oldest(l);
}

static void
dequeue(struct pool_local *l, struct pool_ticket *t)
{
	list_del(&t->place);
	atomic_fetch_sub(&l->hungry, 1);
	note_oldest(l);
	if (list_empty(&l->waiting) &&
	    (atomic_load_explicit(&l->pool->blocked_by_db, memory_order_relaxed) ||
		atomic_load_explicit(&l->pool->blocked_by_user, memory_order_relaxed)))
		pool_unblock(l->pool);
}

void
pool_withdraw(struct pool *p, struct worker *w, struct pool_ticket *t)
{
	if (pool_is_queued(t))
		dequeue(pool_local(p, w), t);
}

void
pool_refuse_waiting(struct pool_local *l)
{
	char sqlstate[6], message[512];
	struct pool_refusal why = { FAULT_SERVER_LOGIN, sqlstate, message };
	struct list_node batch, *n;

	if (!pool_failure(l->pool, sqlstate, sizeof(sqlstate), message, sizeof(message)))
		return;
	list_init(&batch);
	while ((n = list_first(&l->waiting)) != NULL) {
		dequeue(l, list_entry(n, struct pool_ticket, place));
		list_push_back(&batch, n);
	}
	while ((n = list_pop(&batch)) != NULL) {
		struct pool_ticket *t = list_entry(n, struct pool_ticket, place);

		t->ops->refused(t, &why);
	}
}

/* ---- idle servers ---- */

static bool
idle_readable(struct server_holder *h, struct server *s)
{
	(void)h;
	if (server_idle_input(s))
		return true;
	pool_close_server(s, s->stream.eof ? "the server closed the idle connection"
					   : "unexpected data on an idle connection");
	return false;
}

static const struct server_holder_ops idle_ops = { .readable = idle_readable };
static struct server_holder idle_holder = { &idle_ops };

/* Life and idle limits of an idle server; moved later by one store each time it becomes idle. */
static void
on_server_deadline(struct deadline *d)
{
	struct server *s = list_entry(d, struct server, deadline);
	struct pool *p = s->pool;
	uint64_t now = loop_now_ms(&s->worker->loop);
	uint64_t idle = (uint64_t)atomic_load(&p->rules.server_idle_timeout);

	if (s->state != SERVER_IDLE)
		return;
	if (server_is_retired(s)) {
		pool_close_server(s, "its credentials have been replaced");
		return;
	}
	if (server_is_too_old(s, now)) {
		pool_close_server(s, "server_lifetime");
		return;
	}
	if (idle > 0 && now - s->idle_since_ms >= idle &&
	    atomic_load(&p->n_servers) > atomic_load(&p->rules.min_size)) {
		pool_close_server(s, "server_idle_timeout");
		return;
	}
	server_arm_limits(s);
}

static void
put_idle(struct pool_local *l, struct server *s)
{
	s->idle_since_ms = now_ms(l);
	s->deadline.fire = on_server_deadline;
	server_hold(s, &idle_holder, SERVER_IDLE);
	list_push_front(&l->idle, &s->place);
	atomic_fetch_add(&l->n_idle, 1);
	server_arm_limits(s);
}

static struct server *
take_idle(struct pool_local *l, struct list_node *n)
{
	struct server *s = list_entry(n, struct server, place);

	list_del(n);
	atomic_fetch_sub(&l->n_idle, 1);
	s->holder = NULL;
	return s;
}

static void
make_active(struct pool_local *l, struct server *s)
{
	s->state = SERVER_ACTIVE;
	list_push_back(&l->active, &s->place);
	atomic_fetch_add_explicit(&l->n_active, 1, memory_order_relaxed);
}

static void
on_checked(struct server *s, const struct command_result *r, void *arg)
{
	(void)arg;
	if (r->ok) {
		s->used = false;
		pool_give_back(s);
	} else {
		pool_close_server(s, r->why);
	}
}

static const struct command_ops check_ops = { .done = on_checked };

/* Too long idle to be trusted: ask it first. True when a check is under way (or the server is gone). */
static bool
check_first(struct pool_local *l, struct server *s)
{
	const struct config *cfg = pool_worker(l->worker)->cfg;
	int64_t delay = atomic_load(&l->pool->rules.server_check_delay);
	const char *sql = cfg->server_check_query;

	if (sql == NULL)
		sql = "";
	else if (sql[0] == '\0')
		return false;
	/* with server_check_delay = 0 always, but a server that has just been checked */
	if (now_ms(l) - s->idle_since_ms < (uint64_t)delay || !s->used)
		return false;
	make_active(l, s);
	if (!command_run(s, sql, CHECK_TIMEOUT_MS, &check_ops, NULL))
		pool_close_server(s, "server check failed");
	return true;
}

static struct server *
take_local(struct pool_local *l)
{
	struct list_node *n;

	while ((n = atomic_load_explicit(&l->pool->rules.round_robin_servers, memory_order_relaxed)
			? list_last(&l->idle)
			: list_first(&l->idle)) != NULL) {
		struct server *s = take_idle(l, n);

		if (server_is_retired(s)) {
			pool_close_server(s, "its credentials have been replaced");
			continue;
		}
		if (check_first(l, s))
			continue;
		make_active(l, s);
		return s;
	}
	return NULL;
}

/* ---- other workers ---- */

static int
unfed(struct pool_local *l)
{
	return atomic_load(&l->hungry) - atomic_load(&l->coming);
}

static void
on_arrival(struct worker *w, struct letter *letter)
{
	struct server *s = server_of_letter(letter);
	struct pool_local *l = pool_local(s->pool, w);
	uint64_t since = s->idle_since_ms;

	atomic_fetch_sub(&l->coming, 1);
	server_open(s, w);
	if (atomic_load_explicit(&s->pool->db->paused, memory_order_relaxed)) {
		pool_close_server(s, "the database is paused");
		return;
	}
	if (s->epoch != atomic_load_explicit(&s->pool->epoch, memory_order_relaxed)) {
		pool_close_server(s, "close_needed");
		return;
	}
	if (server_is_retired(s)) {
		pool_close_server(s, "its credentials have been replaced");
		return;
	}
	put_idle(l, s);
	/* the way here was no use: server_check_delay and server_idle_timeout count on */
	s->idle_since_ms = since;
	server_arm_limits(s);
	pool_dispatch(l);
}

static void
hand_over(struct pool_local *from, struct pool_local *to)
{
	struct server *s = take_idle(from, list_first(&from->idle));

	atomic_fetch_add(&to->coming, 1);
	server_move(s, to->worker, on_arrival);
}

/* The worker that waits for a server most, if there is any but `l` whose oldest ticket is older than
 * `since` by more than the slack. */
static struct pool_local *
hungriest(struct pool_local *l, uint64_t since)
{
	struct pool *p = l->pool;
	struct pool_local *best = NULL;
	uint64_t best_since = UINT64_MAX;

	for (int i = 0; i < p->n_local; i++) {
		struct pool_local *o = &p->local[i];
		uint64_t oldest;

		if (o == l || unfed(o) <= 0)
			continue;
		oldest = atomic_load(&o->oldest_ms);
		if (oldest < best_since) {
			best = o;
			best_since = oldest;
		}
	}
	if (best == NULL || (since != UINT64_MAX && best_since + POOL_SLACK_MS >= since))
		return NULL;
	return best;
}

/* Idle servers of a user whom another has replaced end within seconds. */
static void
let_retire(struct pool_local *l)
{
	list_each(n, tmp, &l->idle)
	{
		struct server *s = list_entry(n, struct server, place);

		if (server_is_retired(s))
			server_arm_limits(s);
	}
}

static void
on_ask(struct worker *w, struct letter *letter)
{
	struct pool_local *l = list_entry(letter, struct pool_local, ask);

	atomic_store(&l->asked, false);
	if (atomic_load(&l->pool->db->paused))
		pool_close_idle(l->pool, w, true, "the database is paused");
	else
		pool_close_idle(l->pool, w, false, "close_needed");
	while (pool_is_over_limit(l->pool) && !list_empty(&l->idle))
		pool_close_server(list_entry(list_last(&l->idle), struct server, place),
		    "the pool is larger than its limit");
	let_retire(l);
	if (atomic_exchange(&l->hurry, false))
		loop_deadline_remove(&w->loop, &l->retry);
	pool_dispatch(l);
	pool_grow(l->pool, l->worker);
	pool_share_pass_on(l->pool);
	pool_unref(l->pool);
}

void
pool_ask(struct pool_local *l)
{
	if (atomic_exchange(&l->asked, true))
		return;
	pool_ref(l->pool);
	l->ask.deliver = on_ask;
	list_init(&l->ask.node);
	worker_post(l->worker, &l->ask);
}

void
pool_try_now(struct pool_local *l)
{
	atomic_store(&l->hurry, true);
	pool_ask(l);
}

/* True when another worker has an idle server and was asked for it. */
static bool
ask_others(struct pool_local *l)
{
	struct pool *p = l->pool;
	bool asked = false;

	for (int i = 0; i < p->n_local; i++) {
		struct pool_local *o = &p->local[i];

		if (o != l && atomic_load(&o->n_idle) > 0) {
			pool_ask(o);
			asked = true;
		}
	}
	return asked;
}

void
pool_dispatch(struct pool_local *l)
{
	struct pool *p = l->pool;

	/* a grant may give a server back at once: the loop that is running takes it up */
	if (l->dispatching || atomic_load_explicit(&p->db->paused, memory_order_relaxed))
		return;
	l->dispatching = true;
	while (!list_empty(&l->idle)) {
		struct list_node *n = list_first(&l->waiting);
		struct pool_local *other = NULL;

		if (p->n_local > 1)
			other = hungriest(l,
			    n == NULL ? UINT64_MAX
				      : list_entry(n, struct pool_ticket, place)->since_ms);
		if (other != NULL) {
			hand_over(l, other);
		} else if (n != NULL) {
			struct pool_ticket *t = list_entry(n, struct pool_ticket, place);
			struct server *s = take_local(l);

			if (s == NULL)
				break;
			dequeue(l, t);
			t->ops->granted(t, s);
		} else {
			break;
		}
	}
	l->dispatching = false;
}

/* ---- take and give back ---- */

struct server *
pool_take(struct pool *p, struct worker *w, struct pool_ticket *t)
{
	struct pool_local *l = pool_local(p, w);

	if (list_empty(&l->waiting) &&
	    !atomic_load_explicit(&p->db->paused, memory_order_relaxed)) {
		struct server *s = take_local(l);

		if (s != NULL)
			return s;
	}
	enqueue(l, t);
	if (atomic_load(&p->refused_until_ms) > now_ms(l) && atomic_load(&p->n_servers) == 0) {
		loop_deadline(&w->loop, &l->retry, now_ms(l));
		return NULL;
	}
	if (p->n_local == 1 || !ask_others(l))
		pool_grow(p, w);
	return NULL;
}

void
pool_give_back(struct server *s)
{
	struct pool_local *l = pool_local(s->pool, s->worker);
	const char *reason = pool_reason_to_close(s);

	if (reason != NULL) {
		pool_close_server(s, reason);
		return;
	}
	if (s->cancels > 0) {
		/* the signal may still be on its way: it must not hit the next client's query */
		server_hold(s, &idle_holder, SERVER_TESTED);
		s->parked = true;
		return;
	}
	list_del(&s->place);
	atomic_fetch_sub_explicit(&l->n_active, 1, memory_order_relaxed);
	put_idle(l, s);
	pool_dispatch(l);
}
