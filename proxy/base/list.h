/* list.h -- intrusive, circular, doubly linked list.
 * The node lives inside its owner; the list allocates nothing and owns nothing.
 * An unlinked node points to itself, so list_del() of one is harmless. */
#ifndef PROXY_BASE_LIST_H
#define PROXY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
	struct list_node *next, *prev;
};

/* The struct that holds node `n` as its `member`. */
#define list_entry(n, type, member) ((type *)((char *)(n)-offsetof(type, member)))

/* Safe against deletion of the current node, not of the next one. */
#define list_each(n, tmp, head)                                                                    \
	for (struct list_node *n = (head)->next, *tmp = n->next; n != (head);                      \
	     n = tmp, tmp = n->next)

static inline void
list_init(struct list_node *n)
{
	n->next = n->prev = n;
}

static inline bool
list_empty(const struct list_node *head)
{
	return head->next == head;
}

static inline bool
list_linked(const struct list_node *n)
{
	return n->next != n;
}

static inline void
list_insert_after(struct list_node *at, struct list_node *n)
{
	n->next = at->next;
	n->prev = at;
	at->next->prev = n;
	at->next = n;
}

static inline void
list_push_front(struct list_node *head, struct list_node *n)
{
	list_insert_after(head, n);
}

static inline void
list_push_back(struct list_node *head, struct list_node *n)
{
	list_insert_after(head->prev, n);
}

static inline void
list_del(struct list_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

/* NULL when empty. */
static inline struct list_node *
list_first(const struct list_node *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct list_node *
list_last(const struct list_node *head)
{
	return list_empty(head) ? NULL : head->prev;
}

static inline struct list_node *
list_pop(struct list_node *head)
{
	struct list_node *n = list_first(head);

	if (n != NULL)
		list_del(n);
	return n;
}

/* All of `from` goes to the end of `to`; `from` is empty afterwards. */
static inline void
list_splice_back(struct list_node *to, struct list_node *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	from->prev->next = to;
	to->prev->next = from->next;
	to->prev = from->prev;
	list_init(from);
}

#endif
