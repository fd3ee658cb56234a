/* averages.h -- averages of counters over the last whole period, by name (of a database).
 * One thread takes the samples; any thread may ask. A counter's average is its growth per second, or
 * per growth of another counter (the time of transactions, per transaction).
 * Knows nothing of what is counted. */
#ifndef PROXY_ADMIN_AVERAGES_H
#define PROXY_ADMIN_AVERAGES_H

#include <stdint.h>

#define AVERAGES_MAX	    16 /* counters */
#define AVERAGES_PER_SECOND (-1)

struct averages;

/* per[i]: AVERAGES_PER_SECOND, or the counter that i is divided by. NULL = no memory. */
struct averages *averages_new(unsigned n, const signed char *per, uint64_t now_us);
void averages_free(struct averages *); /* NULL is harmless */

/* A period ends at now_us: averages_sample() for each name follows. */
void averages_period(struct averages *, uint64_t now_us);
/* Counters that are seen for the first time began at 0 with the period. Without memory the name has no
 * averages yet. */
void averages_sample(struct averages *, const char *name, const uint64_t *totals);
/* All zero when the name has none. */
void averages_get(struct averages *, const char *name, uint64_t *out);

#endif
