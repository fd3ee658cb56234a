/* pool_open.c -- opening server connections: how many, with which credentials, and what failure means. */
#include "pool/pool.h"

#include "auth/userlist.h"
#include "pool/command.h"
#include "pool/connect_target.h"
#include "pool/connector.h"
#include "pool/pool_set.h"
#include "pool/server.h"
#include "pool/welcome.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_QUERY_TIMEOUT_MS 30000

/* One connection being opened: the job, and copies of all that it points to. */
struct opening {
	struct connect_job job;
	struct connect_target target;
	struct pool *pool;
	struct config *cfg;	/* the texts of target live in here ... */
	struct userlist *users; /* ... the password in here */
	char *connect_query;
	unsigned epoch;
};

/* ---- limits ---- */

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

/* Counts one more connection everywhere, or nowhere. */
static bool
count_server(struct pool *p, int limit, uint64_t now)
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

/* ---- failure ---- */

static void
note_failure(struct pool *p, const struct connect_job *job)
{
	pthread_mutex_lock(&p->lock);
	snprintf(p->fail_sqlstate, sizeof(p->fail_sqlstate), "%s", job->sqlstate);
	snprintf(p->fail_message, sizeof(p->fail_message), "%s", job->message);
	pthread_mutex_unlock(&p->lock);
	if (!atomic_exchange(&p->failing, true) || job->result == CONNECT_REFUSED)
		log_warning("%s/%s: cannot connect to the server: %s", p->db->quota.name,
		    p->user->name, job->message);
}

bool
pool_failure(struct pool *p, char *sqlstate, size_t n_sqlstate, char *message, size_t n_message)
{
	if (!atomic_load(&p->failing))
		return false;
	pthread_mutex_lock(&p->lock);
	snprintf(sqlstate, n_sqlstate, "%s",
	    p->fail_sqlstate[0] != '\0' ? p->fail_sqlstate : "08006");
	snprintf(message, n_message, "%s", p->fail_message);
	pthread_mutex_unlock(&p->lock);
	return true;
}

struct refuse_letter {
	struct letter letter;
	struct pool *pool;
};

static void
deliver_refuse(struct worker *w, struct letter *l)
{
	struct refuse_letter *r = list_entry(l, struct refuse_letter, letter);

	pool_refuse_waiting(pool_local(r->pool, w));
	pool_unref(r->pool);
	free(r);
}

/* It will not pass by itself (a password, a missing database): whoever waits is told now. */
static void
refuse_everywhere(struct pool *p, struct worker *w)
{
	int64_t retry = atomic_load(&p->rules.server_login_retry);

	atomic_store(&p->refused_until_ms,
	    loop_now_ms(&w->loop) + (uint64_t)(retry > 0 ? retry : 1));
	for (int i = 0; i < p->n_local; i++) {
		struct refuse_letter *r;

		if (atomic_load(&p->local[i].hungry) == 0 || (r = calloc(1, sizeof(*r))) == NULL)
			continue;
		list_init(&r->letter.node);
		r->letter.deliver = deliver_refuse;
		r->pool = pool_ref(p);
		worker_post(p->local[i].worker, &r->letter);
	}
}

/* ---- a connection arrives ---- */

static void
opening_free(struct opening *o)
{
	free(o->job.params);
	free(o->connect_query);
	config_unref(o->cfg);
	userlist_unref(o->users);
	explicit_bzero(o->job.key, sizeof(o->job.key));
	free(o);
}

static void
set_welcome(struct pool *p, struct connect_job *job, struct server *s)
{
	struct welcome *w = welcome_new(job->params, job->params_len, s->params), *old;

	if (w == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	old = p->welcome;
	p->welcome = w;
	pthread_mutex_unlock(&p->lock);
	welcome_unref(old);
}

struct welcome *
pool_welcome(struct pool *p)
{
	struct welcome *w;

	pthread_mutex_lock(&p->lock);
	w = p->welcome != NULL ? welcome_ref(p->welcome) : NULL;
	pthread_mutex_unlock(&p->lock);
	return w;
}

static void
on_connect_query(struct server *s, const struct command_result *r, void *arg)
{
	(void)arg;
	if (!r->ok)
		log_warning("S-%llu: %s/%s connect_query: %s", (unsigned long long)s->id,
		    s->pool->db->quota.name, s->pool->user->name, r->why);
	/* as PgBouncer: its errors are logged and ignored; a broken connection is not clean and closes */
	pool_give_back(s);
}

static const struct command_ops connect_query_ops = { .done = on_connect_query };

static void
arrived(struct opening *o, struct worker *w)
{
	struct pool *p = o->pool;
	struct pool_local *l = pool_local(p, w);
	struct server *s = server_adopt(&o->job, p, w);
	char *query = o->connect_query;

	if (s == NULL) {
		opening_free(o);
		pool_uncount_server(p, w);
		return;
	}
	s->epoch = o->epoch;
	if (atomic_exchange(&p->failing, false))
		log_info("%s/%s: the server can be reached again", p->db->quota.name,
		    p->user->name);
	atomic_store(&p->refused_until_ms, 0);
	set_welcome(p, &o->job, s);
	log_debug("S-%llu: %s/%s new connection to the server, backend %u",
	    (unsigned long long)s->id, p->db->quota.name, p->user->name, s->backend_pid);
	server_open(s, w);
	list_push_back(&l->active, &s->place);
	atomic_fetch_add(&l->n_active, 1);
	o->connect_query = NULL;
	opening_free(o);
	if (query == NULL)
		pool_give_back(s);
	else if (!command_run(s, query, CONNECT_QUERY_TIMEOUT_MS, &connect_query_ops, NULL))
		pool_close_server(s, "connect_query failed");
	free(query);
}

void
pool_on_retry(struct deadline *d)
{
	struct pool_local *l = list_entry(d, struct pool_local, retry);
	struct pool *p = l->pool;

	if (loop_now_ms(&l->worker->loop) < atomic_load(&p->refused_until_ms) &&
	    atomic_load(&p->n_servers) == 0) {
		pool_refuse_waiting(l);
		return;
	}
	pool_grow(p, l->worker);
}

static void
retry_later(struct pool *p, struct worker *w)
{
	int64_t delay = POOL_RETRY_MS;
	bool wanted = false;

	for (int i = 0; i < p->n_local; i++)
		wanted |= atomic_load(&p->local[i].hungry) > 0;
	if (!wanted) {
		/* for min_pool_size only: no hurry */
		delay = atomic_load(&p->rules.server_login_retry);
		if (atomic_load(&p->rules.min_size) == 0)
			return;
	}
	loop_deadline(&w->loop, &pool_local(p, w)->retry, loop_now_ms(&w->loop) + (uint64_t)delay);
}

static void
on_opened(struct worker *w, struct connect_job *job)
{
	struct opening *o = list_entry(job, struct opening, job);
	struct pool *p = o->pool;
	enum connect_result result = job->result;

	atomic_fetch_sub(&p->opening, 1);
	if (result == CONNECT_OK) {
		atomic_store(&p->next_host,
		    job->host_used + (atomic_load(&p->stay_on_host) ? 0u : 1u));
		arrived(o, w);
		/* more may wait than could be opened at once */
		pool_grow(p, w);
		return;
	}
	note_failure(p, job);
	atomic_fetch_add(&p->next_host, 1);
	opening_free(o);
	if (result == CONNECT_REFUSED)
		refuse_everywhere(p, w);
	retry_later(p, w);
	pool_uncount_server(p, w);
}

/* ---- opening ---- */

/* The connection is counted already. */
static void
start(struct pool *p, struct worker *w)
{
	struct pool_worker *pw = pool_worker(w);
	const struct config_database *db = config_find_database(pw->cfg, p->db->quota.name);
	struct opening *o = calloc(1, sizeof(*o));

	if (o == NULL || db == NULL)
		goto fail;
	o->cfg = config_ref(pw->cfg);
	o->users = userlist_ref(pw->users);
	o->pool = p; /* the reference of the counted server */
	/* a configuration that a reload has replaced already leads to the server of before: not to be kept */
	o->epoch = atomic_load(&p->epoch);
	if (pool_set_config() != NULL && pw->cfg != pool_set_config())
		o->epoch--;
	connect_target_fill(&o->target, o->cfg, db, p, o->users);
	if (db->connect_query != NULL && (o->connect_query = strdup(db->connect_query)) == NULL)
		goto fail_opening;
	o->job.asker = w;
	o->job.done = on_opened;
	o->job.target = &o->target;
	o->job.first_host = atomic_load(&p->next_host);
	list_init(&o->job.letter.node);
	atomic_fetch_add(&p->opening, 1);
	atomic_store(&p->stay_on_host, db->load_balance_hosts == BALANCE_DISABLE);
	pool_ref(p);
	connector_connect(pw->connectors, &o->job);
	return;
fail_opening:
	opening_free(o);
	o = NULL;
fail:
	free(o);
	if (db == NULL) {
		pthread_mutex_lock(&p->lock);
		snprintf(p->fail_sqlstate, sizeof(p->fail_sqlstate), "3D000");
		snprintf(p->fail_message, sizeof(p->fail_message),
		    "database \"%.63s\" is no longer in the configuration", p->db->quota.name);
		pthread_mutex_unlock(&p->lock);
		atomic_store(&p->failing, true);
		refuse_everywhere(p, w);
	}
	pool_ref(p);
	/* not through pool_uncount_server(): it would try again at once */
	atomic_fetch_sub(&p->user->n_servers, 1);
	atomic_fetch_sub(&p->db->quota.n_servers, 1);
	atomic_fetch_sub(&p->n_servers, 1);
	pool_unref(p);
}

/* How many more connections somebody waits for; *reserve when one has waited long enough for the reserve. */
static int
wanted(struct pool *p, struct worker *w, bool *reserve)
{
	int hungry = 0, opening = atomic_load(&p->opening), min = atomic_load(&p->rules.min_size);
	int64_t patience = atomic_load(&p->rules.reserve_timeout);
	uint64_t now = loop_now_ms(&w->loop);
	struct list_node *n = list_first(&pool_local(p, w)->waiting);
	int clients = 0;

	for (int i = 0; i < p->n_local; i++)
		hungry += atomic_load(&p->local[i].hungry) - atomic_load(&p->local[i].coming);
	*reserve = n != NULL && patience > 0 &&
		   now - list_entry(n, struct pool_ticket, place)->since_ms >= (uint64_t)patience;
	hungry -= opening;
	min -= atomic_load(&p->n_servers);
	for (int i = 0; i < p->n_local; i++)
		clients += atomic_load(&p->local[i].n_clients);
	if ((p->forced_user || clients > 0) && min > hungry)
		hungry = min;
	if (atomic_load(&p->failing) && hungry > 1 - opening)
		hungry = 1 - opening;
	return hungry;
}

void
pool_grow(struct pool *p, struct worker *w)
{
	struct pool_local *l = pool_local(p, w);
	int size = atomic_load(&p->rules.size), extra = atomic_load(&p->rules.reserve_size);
	uint64_t now = loop_now_ms(&w->loop);
	bool reserve;
	int want;

	if (pool_worker(w)->connectors == NULL || atomic_load(&p->db->paused))
		return;
	if (now < atomic_load(&p->refused_until_ms)) {
		/* nobody else would come back to those who wait */
		if (!list_empty(&l->waiting) && (l->retry.at == WHEEL_NEVER || l->retry.at < now))
			loop_deadline(&w->loop, &l->retry, atomic_load(&p->refused_until_ms));
		return;
	}
	if (atomic_load(&p->failing) && l->retry.at != WHEEL_NEVER && l->retry.at > now)
		return; /* an attempt is due shortly */
	for (want = wanted(p, w, &reserve); want > 0; want--) {
		if (atomic_load(&p->opening) >= POOL_OPENING_MAX ||
		    !count_server(p, size == 0 ? 0 : size + (reserve ? extra : 0), now))
			break;
		start(p, w);
	}
	if (want > 0 && extra > 0 && !reserve && !list_empty(&l->waiting)) {
		int64_t patience = atomic_load(&p->rules.reserve_timeout);

		if (patience > 0)
			loop_deadline(&w->loop, &l->retry,
			    list_entry(list_first(&l->waiting), struct pool_ticket, place)
				    ->since_ms +
				(uint64_t)patience);
	}
}
