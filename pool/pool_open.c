/* pool_open.c -- opening server connections: how many, with which credentials, and what failure means. */
#include "pool/pool.h"

#include "auth/secret.h"
#include "auth/secret_version.h"
#include "auth/secrets.h"
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
	struct secret *secret;		/* of the entry, or NULL; lives as long as the program */
	struct secret_version *version; /* reference: user and password live in here */
};

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
	secret_version_unref(o->version);
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
	s->secret = o->version;
	o->version = NULL;
	if (s->secret != NULL)
		secret_login_worked(o->secret, s->secret);
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

/* Did the server refuse a secret's user name or password? */
static bool
was_refused(const struct opening *o)
{
	return o->version != NULL &&
	       (strcmp(o->job.sqlstate, "28P01") == 0 || strcmp(o->job.sqlstate, "28000") == 0);
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
	if (was_refused(o)) {
		/* a rotation, most likely: clients wait until there is a version that is let in */
		secret_login_refused(o->secret, o->version);
		result = job->result = CONNECT_RETRY;
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

static void
set_failure(struct pool *p, const char *sqlstate, const char *message)
{
	pthread_mutex_lock(&p->lock);
	snprintf(p->fail_sqlstate, sizeof(p->fail_sqlstate), "%s", sqlstate);
	snprintf(p->fail_message, sizeof(p->fail_message), "%s", message);
	pthread_mutex_unlock(&p->lock);
}

/* The version to log in with, when the entry has secret=. False: there is none at present; the pool is told
 * when that changes. */
static bool
take_version(struct opening *o, const struct config_database *db, struct secrets *secrets)
{
	char why[400];

	if (db->secret == NULL || o->pool->replication == pool_for_auth)
		return true;
	o->secret = secrets != NULL ? secrets_find(secrets, db->secret) : NULL;
	if (o->secret == NULL) {
		snprintf(why, sizeof(why), "secret \"%.100s\" is no longer in the configuration",
		    db->secret);
	} else {
		o->version = secret_login(o->secret);
		if (o->version != NULL && (o->version->user != NULL || db->user != NULL))
			return true;
		if (o->version == NULL)
			secret_why_not(o->secret, why, sizeof(why));
		else
			snprintf(why, sizeof(why),
			    "secret \"%.100s\" names no user, and neither does the database's entry",
			    db->secret);
	}
	set_failure(o->pool, "08006", why);
	if (!atomic_exchange(&o->pool->failing, true))
		log_warning("%s/%s: cannot connect to the server: %s", o->pool->db->quota.name,
		    o->pool->user->name, why);
	return false;
}

static void
uncount(struct pool *p)
{
	/* not through pool_uncount_server(): it would try again at once */
	pool_ref(p);
	atomic_fetch_sub(&p->user->n_servers, 1);
	atomic_fetch_sub(&p->db->quota.n_servers, 1);
	atomic_fetch_sub(&p->n_servers, 1);
	pool_unref(p);
}

static void
launch(struct opening *o, const struct config_database *db, struct worker *w)
{
	struct pool *p = o->pool; /* the reference of the counted server */

	/* a configuration that a reload has replaced already leads to the server of before: not to be kept */
	o->epoch = atomic_load(&p->epoch);
	if (pool_set_config() != NULL && o->cfg != pool_set_config())
		o->epoch--;
	connect_target_fill(&o->target, o->cfg, db, p, o->users, o->version);
	o->job.asker = w;
	o->job.done = on_opened;
	o->job.target = &o->target;
	o->job.first_host = atomic_load(&p->next_host);
	list_init(&o->job.letter.node);
	atomic_fetch_add(&p->opening, 1);
	atomic_store(&p->stay_on_host, db->load_balance_hosts == BALANCE_DISABLE);
	pool_ref(p);
	connector_connect(pool_worker(w)->connectors, &o->job);
}

/* A reload has given the entry another user: who is still here belongs in another pool. */
static bool
has_another_user(struct pool *p, const struct config_database *db)
{
	const char *user = pool_set_entry_user(db);

	return atomic_load(&p->user_of_entry) && (user == NULL || strcmp(user, p->user->name) != 0);
}

/* The connection is counted already. False: none is on its way. */
static bool
start(struct pool *p, struct worker *w)
{
	struct pool_worker *pw = pool_worker(w);
	const struct config_database *db = config_find_database(pw->cfg, p->db->quota.name);
	struct opening *o = calloc(1, sizeof(*o));
	char gone[160];

	if (db != NULL && has_another_user(p, db)) {
		set_failure(p, "57P01",
		    "the user of this database has changed in the configuration: connect again");
		atomic_store(&p->failing, true);
		refuse_everywhere(p, w);
		uncount(p);
		free(o);
		return false;
	}
	if (db == NULL) {
		snprintf(gone, sizeof(gone), "database \"%.63s\" is no longer in the configuration",
		    p->db->quota.name);
		set_failure(p, "3D000", gone);
		atomic_store(&p->failing, true);
		refuse_everywhere(p, w);
	}
	if (o == NULL || db == NULL)
		goto fail;
	o->pool = p;
	o->cfg = config_ref(pw->cfg);
	o->users = userlist_ref(pw->users);
	if (db->connect_query != NULL && (o->connect_query = strdup(db->connect_query)) == NULL)
		goto fail_opening;
	if (!take_version(o, db, pw->secrets))
		goto fail_opening;
	launch(o, db, w);
	return true;
fail_opening:
	opening_free(o);
	o = NULL;
fail:
	if (db != NULL)
		retry_later(p, w);
	free(o);
	uncount(p);
	return false;
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
		    !pool_count_server(p, size == 0 ? 0 : size + (reserve ? extra : 0), now))
			break;
		if (!start(p, w))
			break;
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
