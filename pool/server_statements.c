#include "pool/server_statements.h"

#include "pool/statement.h"

#include <stdlib.h>

void
server_statements_init(struct server_statements *m)
{
	m->map = (struct hmap){ 0 };
	list_init(&m->lru);
}

void
server_statement_free(struct server_statement *e)
{
	if (e == NULL)
		return;
	statement_unref(e->st);
	free(e);
}

void
server_statements_release(struct server_statements *m)
{
	struct list_node *n;

	while ((n = list_pop(&m->lru)) != NULL)
		server_statement_free(list_entry(n, struct server_statement, lru));
	hmap_release(&m->map);
}

static uint64_t
hash_of(const struct statement *st)
{
	return st->node.hash;
}

static struct server_statement *
look_up(const struct server_statements *m, const struct statement *st)
{
	struct hnode *n;

	for (n = hmap_find(&m->map, hash_of(st)); n != NULL; n = hmap_next_same(n)) {
		struct server_statement *e = hmap_entry(n, struct server_statement, node);

		if (e->st == st)
			return e;
	}
	return NULL;
}

struct server_statement *
server_statements_find(struct server_statements *m, struct statement *st)
{
	struct server_statement *e = look_up(m, st);

	if (e != NULL && m->lru.prev != &e->lru) {
		list_del(&e->lru);
		list_push_back(&m->lru, &e->lru);
	}
	return e;
}

struct server_statement *
server_statements_add(struct server_statements *m, struct statement *st)
{
	struct server_statement *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	if (!hmap_add(&m->map, &e->node, hash_of(st))) {
		free(e);
		return NULL;
	}
	e->st = statement_ref(st);
	list_init(&e->lru);
	list_push_back(&m->lru, &e->lru);
	return e;
}

void
server_statements_take(struct server_statements *m, struct server_statement *e)
{
	hmap_del(&m->map, &e->node);
	list_del(&e->lru);
}

void
server_statements_put_back(struct server_statements *m, struct server_statement *e)
{
	struct server_statement *other = look_up(m, e->st);

	if (other != NULL)
		other->stale = true;
	if (other != NULL || !hmap_add(&m->map, &e->node, hash_of(e->st))) {
		server_statement_free(e);
		return;
	}
	e->stale = true;
	list_push_front(&m->lru, &e->lru);
}

struct server_statement *
server_statements_oldest(const struct server_statements *m)
{
	struct list_node *n = list_first(&m->lru);

	return n == NULL ? NULL : list_entry(n, struct server_statement, lru);
}

uint32_t
server_statements_count(const struct server_statements *m)
{
	return m->map.count;
}

void
server_statements_all_stale(struct server_statements *m)
{
	list_each(n, tmp, &m->lru) list_entry(n, struct server_statement, lru)->stale = true;
}
