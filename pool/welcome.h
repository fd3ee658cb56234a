/* welcome.h -- what a client is told at login before it has a server: the parameters that the servers of
 * its pool report. Immutable and counted; shared by all threads. */
#ifndef POOL_WELCOME_H
#define POOL_WELCOME_H

#include <stdatomic.h>
#include <stddef.h>

struct params;

struct welcome {
	atomic_uint refs;
	struct params *params; /* those that a session may change */
	size_t len;
	char fixed[]; /* the others: name NUL value NUL ... */
};

/* From a connector's list of name NUL value NUL ...; NULL when out of memory. */
struct welcome *welcome_new(const char *reported, size_t len, struct params *session);
struct welcome *welcome_ref(struct welcome *);
void welcome_unref(struct welcome *); /* NULL is harmless */

#endif
