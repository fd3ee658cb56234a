/* secret_schedule.h -- when the cache may and should ask a provider: times to refresh, back-off after
 * failures, and a budget of calls per hour. Pure arithmetic; randomness and clock come from the
 * caller. Times are ms. Rules: reference/secrets-and-metrics.md sections 1.2 and 1.3. */
#ifndef AUTH_SECRET_SCHEDULE_H
#define AUTH_SECRET_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

/* Uniform in [T/2, T]; r is any random number. */
int64_t secret_schedule_refresh(int64_t ttl, uint32_t r);
/* After the n-th failure in a row (from 1): uniform in (0, min(250 ms * 2^(n-1), cap)], 20 ms at
 * least. */
int64_t secret_schedule_retry(unsigned n, int64_t cap, uint32_t r);
/* How long a pair that the database refused is left alone, and forced refreshes are apart, after n
 * of them without a new version: Tmin doubling up to cap. */
int64_t secret_schedule_forced(unsigned n, int64_t tmin, int64_t cap);
/* When to renew a lease of which `left` ms remain: after two thirds. */
int64_t secret_schedule_renew(int64_t left);
/* When to replace a lease that cannot be renewed: at 60 to 75 % of its life. */
int64_t secret_schedule_replace(int64_t life, uint32_t r);

/* Questions of one kind (servers that were refused, clients that were), kept apart; all zeros = none yet. */
struct secret_pace {
	uint64_t after_ms; /* none before */
	unsigned in_row;   /* without a calm of `cap` between them */
};

/* One has been asked: the next after Tmin, which doubles up to cap. */
void secret_pace_count(struct secret_pace *, uint64_t now_ms, int64_t tmin, int64_t cap);

#define SECRET_BUDGET_MINUTES                                                                      \
	61 /* one begun and 60 whole ones: no hour has more calls than it may */

/* Calls in the hour that ends now, by minutes. */
struct secret_budget {
	uint64_t minute; /* of the newest count */
	uint16_t count[SECRET_BUDGET_MINUTES];
	uint32_t sum;
};

/* Counts a call and returns true, or (the budget is used up) false. */
bool secret_budget_take(struct secret_budget *, uint64_t now_ms, uint32_t per_hour);
/* The call that was counted last has not been made. */
void secret_budget_give(struct secret_budget *);
/* How long a call that fails again and again, or is for a client's sake only, should wait: 0 while less than
 * half of the budget is used, then so long that the other half lasts. */
int64_t secret_budget_pause(struct secret_budget *, uint64_t now_ms, uint32_t per_hour);

#endif
