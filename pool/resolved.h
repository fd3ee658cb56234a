/* resolved.h -- the addresses of a host name, in the order to try them. Counted and shared by all
 * threads; immutable once others have it, but for the note which address worked last.
 * Must not know where the addresses come from. */
#ifndef POOL_RESOLVED_H
#define POOL_RESOLVED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define RESOLVED_MAX	   32 /* more addresses of one name are ignored */
#define RESOLVED_TEXT_SIZE 46 /* INET6_ADDRSTRLEN */

struct resolved {
	atomic_uint refs;
	atomic_uint good; /* index of the address that worked last: begin there */
	unsigned n;
	char text[RESOLVED_MAX][RESOLVED_TEXT_SIZE];
};

struct resolved *resolved_new(void); /* empty; NULL when out of memory */
struct resolved *resolved_ref(struct resolved *);
void resolved_unref(struct resolved *); /* NULL is harmless */

/* An in_addr or in6_addr; others are ignored. */
void resolved_add(struct resolved *, int family, const void *bytes);
/* Where this address is, or -1. */
int resolved_find(const struct resolved *, const char *text);
/* The same addresses, whatever their order. */
bool resolved_same(const struct resolved *, const struct resolved *);
/* With commas between; cut after a whole address. NULL prints nothing. */
void resolved_print(const struct resolved *, char *out, size_t size);

#endif
