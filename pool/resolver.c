#include "pool/resolver.h"

#include "pool/dns.h"
#include "proxy/base/hmap.h"
#include "proxy/base/log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAMES_MAX	1024 /* from here on names that nobody asked for lately are forgotten */
#define FORGET_AFTER_MS (10 * 60 * 1000)

struct resolver {
	struct worker *home;
	struct resolver_settings settings;
	struct dns *dns;
	pthread_mutex_t lock; /* home alone changes names and entries, under the lock */
	struct hmap names;
};

struct entry {
	struct hnode node;
	struct resolver *resolver;
	struct resolved *addrs; /* NULL = none known */
	const char *why;	/* why there are none */
	uint64_t until_ms;
	bool asking;
	struct list_node waiting; /* struct resolve_job */
	char name[];
};

/* ---- answers ---- */

static void
deliver_answer(struct worker *w, struct letter *l)
{
	struct resolve_job *job = list_entry(l, struct resolve_job, letter);

	job->done(w, job);
}

static void
answer(struct resolve_job *job, struct resolved *addrs, const char *why)
{
	job->addrs = addrs != NULL ? resolved_ref(addrs) : NULL;
	job->why = why;
	job->letter.deliver = deliver_answer;
	list_init(&job->letter.node);
	worker_post(job->asker, &job->letter);
}

static int64_t
shorter(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Takes over the addresses. */
static void
set_addresses(struct entry *e, struct resolved *addrs)
{
	struct resolved *old = e->addrs;
	char was[256], is[256];

	if (old != NULL) {
		int good = resolved_find(addrs, old->text[atomic_load(&old->good)]);

		atomic_store(&addrs->good, good > 0 ? (unsigned)good : 0);
		if (!resolved_same(addrs, old)) {
			resolved_print(old, was, sizeof(was));
			resolved_print(addrs, is, sizeof(is));
			log_info("DNS: host \"%s\" has moved from %s to %s", e->name, was, is);
		}
		resolved_unref(old);
	}
	e->addrs = addrs;
	e->why = NULL;
}

/* How long the answer may be used. */
static int64_t
take_answer(struct entry *e, const struct dns_answer *a)
{
	const struct resolver_settings *s = &e->resolver->settings;

	switch (a->result) {
	case DNS_OK:
		set_addresses(e, a->addrs);
		return shorter(a->ttl_ms, s->max_ttl);
	case DNS_FAILED:
		log_warning("DNS: cannot look up host \"%s\": %s%s", e->name, a->why,
		    e->addrs != NULL ? "; its last addresses stay in use" : "");
		if (e->addrs == NULL)
			e->why = a->why;
		return s->nxdomain_ttl;
	case DNS_NO_SUCH:
		log_warning("DNS: no host \"%s\": %s", e->name, a->why);
		/* fallthrough */
	case DNS_CLOSED:
		resolved_unref(e->addrs);
		e->addrs = NULL;
		e->why = a->why;
		return a->result == DNS_CLOSED ? 0 : s->nxdomain_ttl;
	}
	return 0;
}

static void
on_told(void *arg, const struct dns_answer *a)
{
	struct entry *e = arg;
	struct resolver *r = e->resolver;
	struct list_node *n;
	int64_t ttl;

	pthread_mutex_lock(&r->lock);
	e->asking = false;
	ttl = take_answer(e, a);
	e->until_ms = loop_now_ms(&r->home->loop) + (ttl > 0 ? (uint64_t)ttl : 0);
	pthread_mutex_unlock(&r->lock);
	while ((n = list_pop(&e->waiting)) != NULL)
		answer(list_entry(n, struct resolve_job, letter.node), e->addrs, e->why);
}

/* ---- names ---- */

static void
forget(struct resolver *r, struct entry *e)
{
	hmap_del(&r->names, &e->node);
	resolved_unref(e->addrs);
	free(e);
}

static void
forget_old(struct resolver *r, uint64_t now)
{
	struct hnode *n, *next;

	for (n = hmap_first(&r->names); n != NULL; n = next) {
		struct entry *e = hmap_entry(n, struct entry, node);

		next = hmap_after(&r->names, n);
		if (!e->asking && e->until_ms + FORGET_AFTER_MS < now)
			forget(r, e);
	}
}

static struct entry *
find(struct resolver *r, const char *name)
{
	uint64_t hash = hmap_hash_str(name);
	size_t size = strlen(name) + 1;
	struct entry *e;

	for (struct hnode *n = hmap_find(&r->names, hash); n != NULL; n = hmap_next_same(n)) {
		e = hmap_entry(n, struct entry, node);
		if (strcmp(e->name, name) == 0)
			return e;
	}
	e = calloc(1, sizeof(*e) + size);
	if (e == NULL)
		return NULL;
	memcpy(e->name, name, size);
	e->resolver = r;
	list_init(&e->waiting);
	pthread_mutex_lock(&r->lock);
	if (r->names.count >= NAMES_MAX)
		forget_old(r, loop_now_ms(&r->home->loop));
	if (!hmap_add(&r->names, &e->node, hash)) {
		free(e);
		e = NULL;
	}
	pthread_mutex_unlock(&r->lock);
	return e;
}

static void
deliver_ask(struct worker *w, struct letter *l)
{
	struct resolve_job *job = list_entry(l, struct resolve_job, letter);
	struct resolver *r = job->resolver;
	struct entry *e = find(r, job->name);

	if (e == NULL) {
		answer(job, NULL, "out of memory");
		return;
	}
	if (!e->asking && loop_now_ms(&w->loop) < e->until_ms) {
		answer(job, e->addrs, e->why);
		return;
	}
	list_push_back(&e->waiting, &job->letter.node);
	if (e->asking)
		return;
	e->asking = true;
	dns_ask(r->dns, e->name, on_told, e);
}

void
resolver_ask(struct resolver *r, struct resolve_job *job)
{
	job->addrs = NULL;
	job->why = NULL;
	job->resolver = r;
	job->letter.deliver = deliver_ask;
	list_init(&job->letter.node);
	worker_post(r->home, &job->letter);
}

void
resolver_rows(struct resolver *r,
    void (*row)(void *arg, const char *name, int64_t ttl_ms, const char *addrs), void *arg)
{
	char addrs[RESOLVED_MAX * RESOLVED_TEXT_SIZE];
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	pthread_mutex_lock(&r->lock);
	for (struct hnode *n = hmap_first(&r->names); n != NULL; n = hmap_after(&r->names, n)) {
		struct entry *e = hmap_entry(n, struct entry, node);

		resolved_print(e->addrs, addrs, sizeof(addrs));
		row(arg, e->name, e->until_ms > now ? (int64_t)(e->until_ms - now) : 0, addrs);
	}
	pthread_mutex_unlock(&r->lock);
}

/* ---- beginning and end ---- */

struct resolver *
resolver_new(struct worker *home, const struct resolver_settings *settings)
{
	struct resolver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->dns = dns_open(&home->loop, settings->servers);
	if (r->dns == NULL)
		goto fail;
	r->home = home;
	r->settings = *settings;
	pthread_mutex_init(&r->lock, NULL);
	return r;
fail:
	free(r);
	return NULL;
}

void
resolver_free(struct resolver *r)
{
	struct hnode *n;

	if (r == NULL)
		return;
	dns_close(r->dns);
	while ((n = hmap_first(&r->names)) != NULL)
		forget(r, hmap_entry(n, struct entry, node));
	hmap_release(&r->names);
	pthread_mutex_destroy(&r->lock);
	free(r);
}
