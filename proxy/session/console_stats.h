/* console_stats.h -- SHOW STATS and its relatives: counters of databases, added up over workers, and
 * their averages over the last period. The functions are those of a struct view (proxy/admin/console.h). */
#ifndef PROXY_SESSION_CONSOLE_STATS_H
#define PROXY_SESSION_CONSOLE_STATS_H

struct console_host;
struct table;
struct worker;

extern const char *const console_stats_columns[], *const console_stats_totals_columns[],
						      *const console_stats_averages_columns[],
							  *const console_stats_sum_columns[];

/* How each counter is averaged (averages.h), in the order of stats.h. */
extern const signed char console_stats_per[];

void *console_stats_begin(void);
void console_stats_visit(struct worker *, struct table *, void *state);
void console_stats_discard(void *state);

void console_stats_both(struct worker *, struct console_host *, struct table *, void *state);
void console_stats_totals(struct worker *, struct console_host *, struct table *, void *state);
void console_stats_averages(struct worker *, struct console_host *, struct table *, void *state);
void console_stats_sum(struct worker *, struct console_host *, struct table *, void *state);

#endif
