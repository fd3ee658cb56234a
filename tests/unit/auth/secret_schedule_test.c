#include "auth/secret_schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Goal: refreshes come between half of the TTL and all of it, at both ends and between. */
static void
test_refresh(void **state)
{
	(void)state;
	assert_int_equal(secret_schedule_refresh(300000, 0), 150000);
	assert_int_equal(secret_schedule_refresh(300000, UINT32_MAX), 299999);
	assert_in_range(secret_schedule_refresh(300000, 0x80000000u), 224000, 226000);
	assert_int_equal(secret_schedule_refresh(1, 0), 0);
	for (uint32_t r = 0; r < 0xf0000000u; r += 0x01234567u)
		assert_in_range(secret_schedule_refresh(86400000, r), 43200000, 86400000);
}

/* Goal: the pause after failures doubles from 250 ms up to the cap, is drawn from all of it, and is never
 * nothing, however many there were. */
static void
test_retry(void **state)
{
	(void)state;
	assert_int_equal(secret_schedule_retry(1, 30000, UINT32_MAX), 249);
	assert_int_equal(secret_schedule_retry(2, 30000, UINT32_MAX), 499);
	assert_int_equal(secret_schedule_retry(7, 30000, UINT32_MAX), 15999);
	assert_int_equal(secret_schedule_retry(8, 30000, UINT32_MAX), 29999);
	assert_int_equal(secret_schedule_retry(UINT32_MAX, 30000, UINT32_MAX), 29999);
	assert_int_equal(secret_schedule_retry(UINT32_MAX, 3600000, UINT32_MAX), 3599999);
	assert_int_equal(secret_schedule_retry(0, 30000, UINT32_MAX), 249);
	assert_int_equal(secret_schedule_retry(20, 30000, 0), 20);
}

/* Goal: forced questions are Tmin apart, doubling up to the cap; without a Tmin they are apart still. */
static void
test_forced(void **state)
{
	(void)state;
	assert_int_equal(secret_schedule_forced(0, 1000, 30000), 1000);
	assert_int_equal(secret_schedule_forced(3, 1000, 30000), 8000);
	assert_int_equal(secret_schedule_forced(5, 1000, 30000), 30000);
	assert_int_equal(secret_schedule_forced(UINT32_MAX, 1000, 30000), 30000);
	assert_int_equal(secret_schedule_forced(0, 60000, 30000), 60000);
	assert_int_equal(secret_schedule_forced(9, 60000, 30000), 60000);
	assert_int_equal(secret_schedule_forced(0, 0, 30000), 50);
}

/* Goal: leases are renewed after two thirds, and replaced at 60 to 75 % when they cannot be. */
static void
test_lease(void **state)
{
	(void)state;
	assert_in_range(secret_schedule_renew(3600000), 2399990, 2400010);
	assert_int_equal(secret_schedule_renew(0), 0);
	assert_int_equal(secret_schedule_renew(-5), 0);
	assert_int_equal(secret_schedule_replace(100000, 0), 60000);
	assert_in_range(secret_schedule_replace(100000, UINT32_MAX), 74990, 75000);
}

/* Goal: the pause after questions of one kind doubles while they follow each other, and begins anew after a
 * calm. */
static void
test_pace(void **state)
{
	struct secret_pace p = { 0 };
	uint64_t now = 1000000;

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		uint64_t pause = i < 5 ? 1000u << i : 30000;

		secret_pace_count(&p, now, 1000, 30000);
		assert_int_equal(p.after_ms, now + pause);
		now = p.after_ms;
	}
	now += 29999;
	secret_pace_count(&p, now, 1000, 30000);
	assert_int_equal(p.after_ms, now + 30000);
	now = p.after_ms + 30000;
	secret_pace_count(&p, now, 1000, 30000);
	assert_int_equal(p.after_ms, now + 1000);
}

/* Goal: no hour has more calls than the budget, wherever it begins; what lies an hour back is free again. */
static void
test_budget(void **state)
{
	enum { LIMIT = 7, CALLS = 4000 };
	static uint64_t made[CALLS];
	struct secret_budget b = { 0 };
	uint64_t now = 59 * 60000 + 59999;
	int n = 0;

	(void)state;
	for (int i = 0; i < CALLS; i++, now += 17 * 1000)
		if (secret_budget_take(&b, now, LIMIT))
			made[n++] = now;
	assert_true(n > 6 * LIMIT);
	for (int i = LIMIT; i < n; i++)
		assert_true(made[i] - made[i - LIMIT] >= 3600000);
	/* and not many less than it allows: 4,000 * 17 s are 18.9 hours */
	assert_true(n >= LIMIT * 18);
}

/* Goal: a call that was not made costs nothing; long idle times and a clock near 0 are no trouble. */
static void
test_budget_edges(void **state)
{
	struct secret_budget b = { 0 };

	(void)state;
	assert_true(secret_budget_take(&b, 5, 1));
	assert_false(secret_budget_take(&b, 6, 1));
	secret_budget_give(&b);
	assert_true(secret_budget_take(&b, 7, 1));
	assert_true(secret_budget_take(&b, UINT64_C(1) << 50, 1));
	assert_false(secret_budget_take(&b, (UINT64_C(1) << 50) + 1, 1));
	secret_budget_give(&b);
	secret_budget_give(&b);
	assert_int_equal(b.sum, 0);
	assert_false(secret_budget_take(&b, (UINT64_C(1) << 50) + 1, 0));
	for (int i = 0; i < 100000; i++)
		(void)secret_budget_take(&b, UINT64_C(1) << 50, 1000000);
	assert_int_equal(b.sum, UINT16_MAX);
}

/* Goal: who fails for hours keeps the second half of the budget for the time when it works again. */
static void
test_budget_pause(void **state)
{
	struct secret_budget b = { 0 };
	uint64_t now = 1000;
	int hour = 0;

	(void)state;
	assert_int_equal(secret_budget_pause(&b, now, 600), 0);
	for (; now < 3 * 3600000; hour++) {
		int64_t pause = secret_budget_pause(&b, now, 600);

		assert_true(secret_budget_take(&b, now, 600));
		now += pause > 1000 ? (uint64_t)pause : 1000;
	}
	assert_true(hour < 3 * 600);
	assert_int_equal(secret_budget_pause(&b, now, 600), 12000);
	assert_int_equal(secret_budget_pause(&b, now + 7200000, 600), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_forced),
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_pace),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_edges),
		cmocka_unit_test(test_budget_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
