/* hmap_test.c -- the hash map against an array, and the list. */
#include "proxy/base/hmap.h"

#include "proxy/base/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { KEYS = 300 };

struct item {
	struct hnode node;
	int key;
	bool in;
};

static struct item *
find(const struct hmap *m, int key, uint64_t hash)
{
	for (struct hnode *n = hmap_find(m, hash); n != NULL; n = hmap_next_same(n))
		if (hmap_entry(n, struct item, node)->key == key)
			return hmap_entry(n, struct item, node);
	return NULL;
}

/* goal: what was added and not deleted is found, with equal hashes too, and iteration sees each once */
static void
test_against_array(void **state)
{
	static struct item items[KEYS];
	struct hmap m = { 0 };
	uint32_t count = 0;

	(void)state;
	srand(2);
	assert_null(hmap_first(&m));
	for (int i = 0; i < 100000; i++) {
		int key = rand() % KEYS;
		struct item *it = &items[key];
		uint64_t hash = (uint64_t)key % 90 * 0x100000001u; /* many are equal */

		assert_ptr_equal(find(&m, key, hash), it->in ? it : NULL);
		if (it->in) {
			hmap_del(&m, &it->node);
			count--;
		} else {
			it->key = key;
			assert_true(hmap_add(&m, &it->node, hash));
			count++;
		}
		it->in = !it->in;
		assert_int_equal(m.count, count);
		if (i % 1000 == 0) {
			uint32_t seen = 0;

			for (struct hnode *n = hmap_first(&m); n != NULL;
			     n = hmap_after(&m, n), seen++)
				assert_true(hmap_entry(n, struct item, node)->in);
			assert_int_equal(seen, count);
		}
	}
	hmap_release(&m);
}

/* goal: the hash depends on every byte and on the length, and is the same for the same key */
static void
test_hash(void **state)
{
	uint8_t key[40] = { 0 };
	uint64_t seen[41];

	(void)state;
	for (size_t n = 0; n <= sizeof(key); n++) {
		seen[n] = hmap_hash(key, n);
		assert_true(seen[n] == hmap_hash(key, n));
		for (size_t i = 0; i < n; i++)
			assert_true(seen[i] != seen[n]);
	}
	for (size_t i = 0; i < sizeof(key); i++) {
		key[i] = 1;
		assert_true(hmap_hash(key, sizeof(key)) != seen[40]);
		key[i] = 0;
	}
	assert_true(hmap_hash_str("abc") == hmap_hash("abc", 3));
}

/* goal: a list keeps its order; deleting is harmless twice and while walking; splicing moves all */
static void
test_list(void **state)
{
	struct list_node a, b, n[6];
	int i = 0;

	(void)state;
	list_init(&a);
	list_init(&b);
	assert_true(list_empty(&a));
	assert_null(list_first(&a));
	assert_null(list_last(&a));
	assert_null(list_pop(&a));
	for (i = 0; i < 6; i++)
		list_push_back(i < 3 ? &a : &b, &n[i]);
	list_splice_back(&a, &b);
	assert_true(list_empty(&b));
	list_splice_back(&a, &b);
	i = 0;
	list_each(at, tmp, &a)
	{
		assert_ptr_equal(at, &n[i]);
		if (i++ % 2)
			list_del(at);
	}
	assert_int_equal(i, 6);
	list_del(&n[1]);
	assert_false(list_linked(&n[1]));
	assert_ptr_equal(list_first(&a), &n[0]);
	assert_ptr_equal(list_last(&a), &n[4]);
	list_push_front(&a, &n[5]);
	assert_ptr_equal(list_pop(&a), &n[5]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_array),
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
