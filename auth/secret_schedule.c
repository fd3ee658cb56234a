#include "auth/secret_schedule.h"

#include <string.h>

#define RETRY_FIRST 250
#define RETRY_LEAST 20
#define HOUR_MS	    INT64_C(3600000)

static int64_t
part(int64_t range, uint32_t r)
{
	return range <= 0 ? 0 : (int64_t)(((uint64_t)range * r) >> 32);
}

static int64_t
doubled(int64_t first, unsigned n, int64_t cap)
{
	while (n-- > 0 && first < cap)
		first *= 2;
	return first < cap ? first : cap;
}

int64_t
secret_schedule_refresh(int64_t ttl, uint32_t r)
{
	return ttl / 2 + part(ttl - ttl / 2, r);
}

int64_t
secret_schedule_retry(unsigned n, int64_t cap, uint32_t r)
{
	int64_t wait = part(doubled(RETRY_FIRST, n > 0 ? n - 1 : 0, cap), r);

	return wait > RETRY_LEAST ? wait : RETRY_LEAST;
}

int64_t
secret_schedule_forced(unsigned n, int64_t tmin, int64_t cap)
{
	/* 0 asks for no pause; a database that refuses must not be asked in a tight loop all the same */
	return doubled(tmin > 0 ? tmin : 50, n, cap > tmin ? cap : tmin);
}

int64_t
secret_schedule_renew(int64_t left)
{
	return left <= 0 ? 0 : left / 3 * 2;
}

int64_t
secret_schedule_replace(int64_t life, uint32_t r)
{
	return life / 100 * 60 + part(life / 100 * 15, r);
}

void
secret_pace_count(struct secret_pace *p, uint64_t now_ms, int64_t tmin, int64_t cap)
{
	if (now_ms >= p->after_ms + (uint64_t)cap)
		p->in_row = 0;
	p->after_ms = now_ms + (uint64_t)secret_schedule_forced(p->in_row, tmin, cap);
	p->in_row++;
}

/* Forgets what is more than an hour ago. */
static void
move_on(struct secret_budget *b, uint64_t now_ms)
{
	uint64_t minute = now_ms / 60000;

	if (minute - b->minute >= SECRET_BUDGET_MINUTES) {
		memset(b->count, 0, sizeof(b->count));
		b->sum = 0;
		b->minute = minute;
	}
	while (b->minute < minute) {
		b->minute++;
		b->sum -= b->count[b->minute % SECRET_BUDGET_MINUTES];
		b->count[b->minute % SECRET_BUDGET_MINUTES] = 0;
	}
}

bool
secret_budget_take(struct secret_budget *b, uint64_t now_ms, uint32_t per_hour)
{
	uint16_t *count;

	move_on(b, now_ms);
	count = &b->count[b->minute % SECRET_BUDGET_MINUTES];
	if (b->sum >= per_hour || *count == UINT16_MAX)
		return false;
	++*count;
	b->sum++;
	return true;
}

void
secret_budget_give(struct secret_budget *b)
{
	uint16_t *count = &b->count[b->minute % SECRET_BUDGET_MINUTES];

	if (*count == 0)
		return; /* the minute has changed since: an hour later it is forgotten */
	--*count;
	b->sum--;
}

int64_t
secret_budget_pause(struct secret_budget *b, uint64_t now_ms, uint32_t per_hour)
{
	move_on(b, now_ms);
	return b->sum < per_hour / 2 ? 0 : 2 * HOUR_MS / (per_hour > 0 ? per_hour : 1);
}
