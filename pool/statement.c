#include "pool/statement.h"

#include "proxy/base/secret.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	pthread_mutex_t lock;
	struct hmap map;
	uint64_t last_id;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct statement *
statement_ref(struct statement *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void
statement_unref(struct statement *s)
{
	unsigned refs;

	if (s == NULL)
		return;
	/* the last reference goes under the lock, where look-ups make new ones */
	refs = atomic_load_explicit(&s->refs, memory_order_relaxed);
	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(&s->refs, &refs, refs - 1,
			memory_order_release, memory_order_relaxed))
			return;
	pthread_mutex_lock(&table.lock);
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1) {
		hmap_del(&table.map, &s->node);
		free(s);
	}
	pthread_mutex_unlock(&table.lock);
}

static struct statement *
make(const uint8_t *body, size_t len, uint64_t hash)
{
	struct statement *s = malloc(sizeof(*s) + len);
	uint64_t salt;

	if (s == NULL)
		return NULL;
	if (secret_random(&salt, sizeof(salt)) == -1) {
		free(s);
		return NULL;
	}
	snprintf(s->name, sizeof(s->name), "pgs_%" PRIx64 "_%" PRIx64, ++table.last_id, salt);
	s->len = (uint32_t)len;
	memcpy(s->body, body, len);
	atomic_init(&s->refs, 1);
	atomic_init(&s->proven, NULL);
	if (!hmap_add(&table.map, &s->node, hash)) {
		free(s);
		return NULL;
	}
	return s;
}

struct statement *
statement_intern(const uint8_t *body, size_t len)
{
	uint64_t hash = hmap_hash(body, len);
	struct statement *found = NULL;
	struct hnode *n;

	pthread_mutex_lock(&table.lock);
	for (n = hmap_find(&table.map, hash); n != NULL && found == NULL; n = hmap_next_same(n)) {
		struct statement *s = hmap_entry(n, struct statement, node);

		if (s->len == len && memcmp(s->body, body, len) == 0)
			found = statement_ref(s);
	}
	if (found == NULL)
		found = make(body, len, hash);
	pthread_mutex_unlock(&table.lock);
	return found;
}
