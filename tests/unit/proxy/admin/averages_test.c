#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/admin/averages.h"

static const signed char per[] = { AVERAGES_PER_SECOND, 0 };

/* Goal: a counter is averaged per second, a time per count, over the last period only. */
static void
last_period_counts(void **state)
{
	struct averages *a = averages_new(2, per, 1000000);
	uint64_t out[2], first[2] = { 20, 4000 }, second[2] = { 30, 4500 };

	(void)state;
	assert_non_null(a);
	averages_period(a, 3000000);
	averages_sample(a, "shop", first);
	averages_get(a, "shop", out);
	assert_int_equal(out[0], 10);
	assert_int_equal(out[1], 200);
	averages_period(a, 4000000);
	averages_sample(a, "shop", second);
	averages_get(a, "shop", out);
	assert_int_equal(out[0], 10);
	assert_int_equal(out[1], 50);
	averages_free(a);
}

/* Goal: nothing is divided by zero: a still period has averages of zero. */
static void
still_period_is_zero(void **state)
{
	struct averages *a = averages_new(2, per, 0);
	uint64_t out[2] = { 9, 9 }, totals[2] = { 20, 4000 };

	(void)state;
	averages_period(a, 0);
	averages_sample(a, "shop", totals);
	averages_get(a, "shop", out);
	assert_int_equal(out[0], 0);
	averages_period(a, 1000000);
	averages_sample(a, "shop", totals);
	averages_get(a, "shop", out);
	assert_int_equal(out[0], 0);
	assert_int_equal(out[1], 0);
	averages_free(a);
}

/* Goal: names are apart, and an unknown one has zeros. */
static void
names_are_apart(void **state)
{
	struct averages *a = averages_new(2, per, 0);
	uint64_t out[2], totals[2] = { 5, 10 };

	(void)state;
	averages_period(a, 1000000);
	averages_sample(a, "shop", totals);
	averages_get(a, "web", out);
	assert_int_equal(out[0], 0);
	assert_int_equal(out[1], 0);
	averages_free(a);
	averages_free(NULL);
}

/* Goal: too many counters are refused. */
static void
number_is_bounded(void **state)
{
	(void)state;
	assert_null(averages_new(AVERAGES_MAX + 1, per, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(last_period_counts),
		cmocka_unit_test(still_period_is_zero),
		cmocka_unit_test(names_are_apart),
		cmocka_unit_test(number_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
