/* hmap.h -- intrusive chained hash map, and the seeded hash for keys that a peer chooses.
 * The node lives inside its owner and keeps its hash; the caller compares keys. The map allocates its
 * bucket array only. Not thread-safe. An hmap of all zeros is a valid empty map. */
#ifndef PROXY_BASE_HMAP_H
#define PROXY_BASE_HMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hnode {
	struct hnode *next;
	uint64_t hash;
};

struct hmap {
	struct hnode **bucket;
	uint32_t size, count;
};

/* SipHash-1-3 under a key made of random bytes once per process: nobody outside can make collisions. */
uint64_t hmap_hash(const void *key, size_t n);
uint64_t hmap_hash_str(const char *);

void hmap_release(struct hmap *); /* frees the buckets; the nodes are the owner's */

/* First node of that hash; go on with hmap_next_same(). NULL when there is none. */
struct hnode *hmap_find(const struct hmap *, uint64_t hash);
struct hnode *hmap_next_same(const struct hnode *);
/* false when out of memory. Does not look for duplicates. */
bool hmap_add(struct hmap *, struct hnode *, uint64_t hash);
void hmap_del(struct hmap *, struct hnode *);
/* Iteration: hmap_first(), then hmap_after(); the node given to hmap_after() must still be in. */
struct hnode *hmap_first(const struct hmap *);
struct hnode *hmap_after(const struct hmap *, const struct hnode *);

#define hmap_entry(n, type, member) ((type *)((char *)(n)-offsetof(type, member)))

#endif
