#include "proxy/admin/averages.h"

#include "proxy/base/hmap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	struct hnode node;
	char *name;
	uint64_t last[AVERAGES_MAX], average[AVERAGES_MAX];
};

struct averages {
	pthread_mutex_t lock;
	struct hmap entries;
	unsigned n;
	signed char per[AVERAGES_MAX];
	uint64_t now_us, length_us;
};

struct averages *
averages_new(unsigned n, const signed char *per, uint64_t now_us)
{
	struct averages *a;

	if (n > AVERAGES_MAX)
		return NULL;
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	pthread_mutex_init(&a->lock, NULL);
	a->n = n;
	memcpy(a->per, per, n);
	a->now_us = now_us;
	return a;
}

static void
entry_free(struct entry *e)
{
	if (e == NULL)
		return;
	free(e->name);
	free(e);
}

void
averages_free(struct averages *a)
{
	struct hnode *n;

	if (a == NULL)
		return;
	while ((n = hmap_first(&a->entries)) != NULL) {
		hmap_del(&a->entries, n);
		entry_free(hmap_entry(n, struct entry, node));
	}
	hmap_release(&a->entries);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

static struct entry *
find(struct averages *a, const char *name, uint64_t hash)
{
	struct hnode *n;

	for (n = hmap_find(&a->entries, hash); n != NULL; n = hmap_next_same(n)) {
		struct entry *e = hmap_entry(n, struct entry, node);

		if (strcmp(e->name, name) == 0)
			return e;
	}
	return NULL;
}

static struct entry *
find_or_make(struct averages *a, const char *name)
{
	uint64_t hash = hmap_hash_str(name);
	struct entry *e = find(a, name, hash);

	if (e != NULL)
		return e;
	e = calloc(1, sizeof(*e));
	if (e == NULL || (e->name = strdup(name)) == NULL ||
	    !hmap_add(&a->entries, &e->node, hash)) {
		entry_free(e);
		return NULL;
	}
	return e;
}

void
averages_period(struct averages *a, uint64_t now_us)
{
	pthread_mutex_lock(&a->lock);
	a->length_us = now_us - a->now_us;
	a->now_us = now_us;
	pthread_mutex_unlock(&a->lock);
}

void
averages_sample(struct averages *a, const char *name, const uint64_t *totals)
{
	uint64_t grown[AVERAGES_MAX];
	struct entry *e;

	pthread_mutex_lock(&a->lock);
	e = find_or_make(a, name);
	for (unsigned i = 0; e != NULL && i < a->n; i++)
		grown[i] = totals[i] - e->last[i];
	for (unsigned i = 0; e != NULL && i < a->n; i++) {
		uint64_t by = a->per[i] == AVERAGES_PER_SECOND ? a->length_us : grown[a->per[i]];
		double unit = a->per[i] == AVERAGES_PER_SECOND ? 1e6 : 1;

		e->average[i] = by == 0 ? 0 : (uint64_t)((double)grown[i] * unit / (double)by);
		e->last[i] = totals[i];
	}
	pthread_mutex_unlock(&a->lock);
}

void
averages_get(struct averages *a, const char *name, uint64_t *out)
{
	struct entry *e;

	pthread_mutex_lock(&a->lock);
	e = find(a, name, hmap_hash_str(name));
	if (e != NULL)
		memcpy(out, e->average, a->n * sizeof(*out));
	else
		memset(out, 0, a->n * sizeof(*out));
	pthread_mutex_unlock(&a->lock);
}
