/* stats.h -- counters of one database on one worker. Written by that worker only and read on it (a tour
 * of SHOW STATS), so plain integers do. Times are microseconds, sizes bytes; all only grow. */
#ifndef POOL_STATS_H
#define POOL_STATS_H

#include <stdint.h>

#define STATS_EACH(X)                                                                              \
	X(server_assignments)                                                                      \
	X(xacts)                                                                                   \
	X(queries)                                                                                 \
	X(received)                                                                                \
	X(sent)                                                                                    \
	X(xact_us)                                                                                 \
	X(query_us)                                                                                \
	X(wait_us)                                                                                 \
	X(client_parses)                                                                           \
	X(server_parses)                                                                           \
	X(binds)                                                                                   \
	X(client_logins)

struct stats {
#define STATS_MEMBER(name) uint64_t name;
	STATS_EACH(STATS_MEMBER)
#undef STATS_MEMBER
} __attribute__((aligned(64)));

static inline void
stats_add(struct stats *to, const struct stats *from)
{
#define STATS_ADD(name) to->name += from->name;
	STATS_EACH(STATS_ADD)
#undef STATS_ADD
}

#endif
