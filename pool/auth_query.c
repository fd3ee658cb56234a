#include "pool/auth_query.h"

#include "auth/userlist.h"
#include "pool/auth_lookup.h"
#include "pool/pool.h"
#include "proxy/base/hmap.h"
#include "proxy/base/list.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PENDING_MAX 1000
#define FAULT_MS    1000 /* a failed look-up is not repeated sooner */
#define DOUBT_MS    1000 /* nor one for the sake of a password that did not fit */

enum entry_state { ENTRY_PENDING, ENTRY_KNOWN, ENTRY_FAULT };

struct entry {
	struct hnode node;
	struct list_node place; /* oldest answer first */
	enum entry_state state;
	struct userlist *users; /* NULL: no such user. While pending: the answer of before */
	bool had_answer;
	uint64_t asked_ms, until_ms; /* of the loop's clock */
	int64_t valid_until;	     /* seconds since 1970, 0 = for ever */
	char key[];		     /* database NUL user NUL query NUL */
};

static struct {
	pthread_mutex_t lock;
	struct hmap map;
	struct list_node order;
	int n, pending;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER, .order = { &cache.order, &cache.order } };

/* ---- what is asked, where and as whom ---- */

struct where {
	const char *database, *auth_user, *query;
	char *key; /* freed by key_free() */
	size_t key_len;
};

static bool
find_where(struct where *w, const struct config *cfg, const char *database, const char *user)
{
	const struct config_database *db = config_find_database(cfg, database);
	const char *named = db != NULL ? db->auth_dbname : NULL;
	size_t n[3];

	w->auth_user = db != NULL && db->auth_user != NULL ? db->auth_user : cfg->auth_user;
	w->query = db != NULL && db->auth_query != NULL ? db->auth_query : cfg->auth_query;
	w->database = named != NULL		 ? named
		      : cfg->auth_dbname != NULL ? cfg->auth_dbname
						 : database;
	/* auth_user itself is in auth_file, or it cannot log in to ask */
	if (w->auth_user == NULL || w->query == NULL || strcmp(user, w->auth_user) == 0 ||
	    config_find_database(cfg, w->database) == NULL)
		return false;
	n[0] = strlen(w->database) + 1;
	n[1] = strlen(user) + 1;
	n[2] = strlen(w->query) + 1;
	w->key_len = n[0] + n[1] + n[2];
	w->key = malloc(w->key_len);
	if (w->key == NULL)
		return false;
	memcpy(w->key, w->database, n[0]);
	memcpy(w->key + n[0], user, n[1]);
	memcpy(w->key + n[0] + n[1], w->query, n[2]);
	return true;
}

/* ---- the cache; the lock is held ---- */

static bool
same_key(const char *a, const char *b)
{
	for (int i = 0; i < 3; i++) {
		if (strcmp(a, b) != 0)
			return false;
		a += strlen(a) + 1;
		b += strlen(b) + 1;
	}
	return true;
}

static struct entry *
look_up(const char *key, size_t len)
{
	struct hnode *n;

	for (n = hmap_find(&cache.map, hmap_hash(key, len)); n != NULL; n = hmap_next_same(n))
		if (same_key(hmap_entry(n, struct entry, node)->key, key))
			return hmap_entry(n, struct entry, node);
	return NULL;
}

static void
drop(struct entry *e)
{
	hmap_del(&cache.map, &e->node);
	list_del(&e->place);
	cache.n--;
	userlist_unref(e->users);
	free(e);
}

static void
make_room(void)
{
	list_each(n, tmp, &cache.order)
	{
		struct entry *e = list_entry(n, struct entry, place);

		if (cache.n < AUTH_QUERY_MAX)
			return;
		if (e->state != ENTRY_PENDING)
			drop(e);
	}
}

static struct entry *
add(const char *key, size_t len)
{
	struct entry *e;

	make_room();
	e = calloc(1, sizeof(*e) + len);
	if (e == NULL)
		return NULL;
	memcpy(e->key, key, len);
	if (!hmap_add(&cache.map, &e->node, hmap_hash(key, len))) {
		free(e);
		return NULL;
	}
	list_push_back(&cache.order, &e->place);
	cache.n++;
	return e;
}

static bool
is_fresh(const struct entry *e, uint64_t now)
{
	if (e->state == ENTRY_PENDING || now >= e->until_ms)
		return false;
	return true;
}

static enum auth_query_result
tell(const struct entry *e, struct userlist **out)
{
	if (e->state == ENTRY_FAULT && !e->had_answer)
		return AUTH_QUERY_FAULT;
	if (e->users == NULL || (e->valid_until != 0 && time(NULL) >= e->valid_until))
		return AUTH_QUERY_NONE;
	*out = userlist_ref(e->users);
	return AUTH_QUERY_FOUND;
}

/* ---- answers ---- */

static void
deliver_recheck(struct worker *w, struct letter *l)
{
	if (pool_worker(w)->recheck != NULL)
		pool_worker(w)->recheck(w);
	free(l);
}

static void
recheck_everywhere(struct worker *w)
{
	struct pool_worker *pw = pool_worker(w);

	for (int i = 0; i < pw->n_workers; i++) {
		struct letter *l = calloc(1, sizeof(*l));

		if (l == NULL)
			continue; /* a login has a time limit */
		list_init(&l->node);
		l->deliver = deliver_recheck;
		worker_post(&pw->workers[i], l);
	}
}

static void
settle(struct entry *e, const struct auth_lookup_answer *a, const struct config *cfg, uint64_t now)
{
	int64_t ttl = a->users != NULL ? cfg->auth_query_ttl : cfg->auth_query_negative_ttl;

	cache.pending--;
	if (!a->ok) {
		/* what was known before serves on */
		e->state = e->had_answer ? ENTRY_KNOWN : ENTRY_FAULT;
		e->until_ms = now + FAULT_MS;
		return;
	}
	userlist_unref(e->users);
	e->users = a->users != NULL ? userlist_ref(a->users) : NULL;
	e->valid_until = a->valid_until;
	e->had_answer = true;
	e->state = ENTRY_KNOWN;
	e->until_ms = now + (uint64_t)ttl;
	list_del(&e->place);
	list_push_back(&cache.order, &e->place);
}

static void
on_answer(struct worker *w, const char *key, size_t key_len, const struct auth_lookup_answer *a)
{
	struct entry *e;

	pthread_mutex_lock(&cache.lock);
	e = look_up(key, key_len);
	if (e != NULL && e->state == ENTRY_PENDING)
		settle(e, a, pool_worker(w)->cfg, loop_now_ms(&w->loop));
	pthread_mutex_unlock(&cache.lock);
	recheck_everywhere(w);
}

/* ---- questions ---- */

/* Marks the entry as pending: the caller starts the look-up, or gives up by give_up(). */
static enum auth_query_result
find(const struct where *k, uint64_t now, struct userlist **out, bool *ask)
{
	struct entry *e = look_up(k->key, k->key_len);

	if (e != NULL && is_fresh(e, now))
		return tell(e, out);
	if (e != NULL && e->state == ENTRY_PENDING)
		return AUTH_QUERY_WAIT;
	if (cache.pending >= PENDING_MAX)
		return AUTH_QUERY_FAULT;
	if (e == NULL && (e = add(k->key, k->key_len)) == NULL)
		return AUTH_QUERY_FAULT;
	e->state = ENTRY_PENDING;
	e->asked_ms = now;
	cache.pending++;
	*ask = true;
	return AUTH_QUERY_WAIT;
}

enum auth_query_result
auth_query_find(struct worker *w, const struct config *cfg, const char *database, const char *user,
    struct userlist **out)
{
	static const struct auth_lookup_answer none;
	enum auth_query_result r;
	struct where k;
	bool ask = false;

	if (!find_where(&k, cfg, database, user))
		return AUTH_QUERY_NONE;
	pthread_mutex_lock(&cache.lock);
	r = find(&k, loop_now_ms(&w->loop), out, &ask);
	pthread_mutex_unlock(&cache.lock);
	if (ask && !auth_lookup(w, cfg, k.database, k.auth_user, user, k.query, k.key, k.key_len,
		       on_answer)) {
		on_answer(w, k.key, k.key_len, &none);
	}
	explicit_bzero(k.key, k.key_len);
	free(k.key);
	return r;
}

void
auth_query_doubt(const struct config *cfg, const char *database, const char *user)
{
	struct timespec ts;
	struct entry *e;
	struct where k;
	uint64_t now;

	if (!find_where(&k, cfg, database, user))
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	pthread_mutex_lock(&cache.lock);
	e = look_up(k.key, k.key_len);
	if (e != NULL && e->state == ENTRY_KNOWN && e->asked_ms + DOUBT_MS <= now)
		e->until_ms = now;
	pthread_mutex_unlock(&cache.lock);
	free(k.key);
}

void
auth_query_forget(void)
{
	pthread_mutex_lock(&cache.lock);
	list_each(n, tmp, &cache.order)
	{
		struct entry *e = list_entry(n, struct entry, place);

		if (e->state != ENTRY_PENDING)
			drop(e);
	}
	pthread_mutex_unlock(&cache.lock);
}
