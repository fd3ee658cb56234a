#include "proxy/base/hmap.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static uint64_t seed[2];
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void
make_seed(void)
{
	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		seed[0] = (uint64_t)ts.tv_nsec * 0x9e3779b97f4a7c15u;
		seed[1] = (uint64_t)(uintptr_t)&ts ^ (uint64_t)ts.tv_sec;
	}
}

static inline uint64_t
rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t
hmap_hash(const void *key, size_t n)
{
	const uint8_t *p = key;
	uint64_t v[4], word;
	size_t left = n;

	pthread_once(&seeded, make_seed);
	v[0] = seed[0] ^ 0x736f6d6570736575u;
	v[1] = seed[1] ^ 0x646f72616e646f6du;
	v[2] = seed[0] ^ 0x6c7967656e657261u;
	v[3] = seed[1] ^ 0x7465646279746573u;
	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&word, p, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)n << 56;
	if (left > 0) {
		uint64_t rest = 0;

		memcpy(&rest, p, left);
		word |= rest;
	}
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
hmap_hash_str(const char *s)
{
	return hmap_hash(s, strlen(s));
}

void
hmap_release(struct hmap *m)
{
	free(m->bucket);
	memset(m, 0, sizeof(*m));
}

struct hnode *
hmap_next_same(const struct hnode *n)
{
	struct hnode *at = n->next;

	while (at != NULL && at->hash != n->hash)
		at = at->next;
	return at;
}

struct hnode *
hmap_find(const struct hmap *m, uint64_t hash)
{
	struct hnode *at;

	if (m->size == 0)
		return NULL;
	at = m->bucket[hash & (m->size - 1)];
	while (at != NULL && at->hash != hash)
		at = at->next;
	return at;
}

static bool
resize(struct hmap *m, uint32_t size)
{
	struct hnode **bucket = calloc(size, sizeof(*bucket));

	if (bucket == NULL)
		return false;
	for (uint32_t i = 0; i < m->size; i++) {
		struct hnode *n = m->bucket[i], *next;

		for (; n != NULL; n = next) {
			next = n->next;
			n->next = bucket[n->hash & (size - 1)];
			bucket[n->hash & (size - 1)] = n;
		}
	}
	free(m->bucket);
	m->bucket = bucket;
	m->size = size;
	return true;
}

bool
hmap_add(struct hmap *m, struct hnode *n, uint64_t hash)
{
	if (m->count >= m->size && !resize(m, m->size == 0 ? 4 : m->size * 2) && m->size == 0)
		return false;
	n->hash = hash;
	n->next = m->bucket[hash & (m->size - 1)];
	m->bucket[hash & (m->size - 1)] = n;
	m->count++;
	return true;
}

void
hmap_del(struct hmap *m, struct hnode *n)
{
	struct hnode **at = &m->bucket[n->hash & (m->size - 1)];

	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	n->next = NULL;
	m->count--;
}

struct hnode *
hmap_first(const struct hmap *m)
{
	for (uint32_t i = 0; i < m->size; i++)
		if (m->bucket[i] != NULL)
			return m->bucket[i];
	return NULL;
}

struct hnode *
hmap_after(const struct hmap *m, const struct hnode *n)
{
	if (n->next != NULL)
		return n->next;
	for (uint32_t i = (uint32_t)(n->hash & (m->size - 1)) + 1; i < m->size; i++)
		if (m->bucket[i] != NULL)
			return m->bucket[i];
	return NULL;
}
