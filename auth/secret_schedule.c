#include "auth/secret_schedule.h"

#include <string.h>

#define RETRY_FIRST 250
#define RETRY_LEAST 20

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

bool
secret_budget_take(struct secret_budget *b, uint64_t now_ms, uint32_t per_hour)
{
	uint64_t minute = now_ms / 60000;

	if (minute - b->minute >= 60) {
		memset(b->count, 0, sizeof(b->count));
		b->sum = 0;
		b->minute = minute;
	}
	while (b->minute < minute) {
		b->minute++;
		b->sum -= b->count[b->minute % 60];
		b->count[b->minute % 60] = 0;
	}
	if (b->sum >= per_hour || b->count[minute % 60] == UINT16_MAX)
		return false;
	b->count[minute % 60]++;
	b->sum++;
	return true;
}
