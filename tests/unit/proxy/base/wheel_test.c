/* wheel_test.c -- the timing wheel against a naive list of deadlines, on a fake clock. */
#include "proxy/base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DEADLINES = 200 };

struct timer {
	struct deadline deadline; /* first */
	uint64_t want;		  /* what the naive model knows */
	uint64_t due;		  /* the same, or when it was set if that was later */
	int fired;
};

static struct wheel wheel;
static struct timer timers[DEADLINES];
static uint64_t now, seed;

static uint64_t
draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 16) % below;
}

static void change(struct timer *);

static void
on_fire(struct deadline *d)
{
	struct timer *t = (struct timer *)d;

	if (t->want == WHEEL_NEVER)
		fail_msg("one that is not set fired");
	if (t->want > now)
		fail_msg("fired %llu ms early", (unsigned long long)(t->want - now));
	t->want = WHEEL_NEVER;
	t->fired++;
	/* callbacks set, move and remove others, and themselves */
	if (draw(2) == 0)
		change(&timers[draw(DEADLINES)]);
	if (draw(4) == 0)
		change(t);
}

static void
change(struct timer *t)
{
	static const uint64_t spans[] = { 1, 15, 16, 17, 900, 1100, 5000, 66000, 70000, 4500000,
		300000000 };

	switch (draw(8)) {
	case 0:
		wheel_remove(&wheel, &t->deadline);
		t->want = WHEEL_NEVER;
		assert_false(list_linked(&t->deadline.node));
		break;
	case 1:
		wheel_clear(&t->deadline);
		t->want = WHEEL_NEVER;
		break;
	case 2: /* in the past */
		t->want = now - draw(100);
		t->due = now;
		wheel_set(&wheel, &t->deadline, t->want);
		break;
	default:
		t->due = t->want = now + draw(spans[draw(sizeof(spans) / sizeof(spans[0]))]);
		wheel_set(&wheel, &t->deadline, t->want);
		break;
	}
}

static void
advance(uint64_t span)
{
	now += span;
	wheel_advance(&wheel, now);
}

static void
begin(uint64_t s)
{
	seed = s * 0x9e3779b97f4a7c15u | 1;
	now = 1000000 + draw(1000000000);
	wheel_init(&wheel, now);
	for (int i = 0; i < DEADLINES; i++) {
		timers[i] = (struct timer){ .want = WHEEL_NEVER };
		deadline_init(&timers[i].deadline, on_fire);
	}
}

/* What is due by now has fired; the next wake-up is not after what is due next. */
static void
check(void)
{
	uint64_t next = wheel_next(&wheel), first = WHEEL_NEVER;

	for (int i = 0; i < DEADLINES; i++) {
		if (timers[i].want != WHEEL_NEVER && timers[i].due + 2 * WHEEL_TICK_MS < now)
			fail_msg("timer %d is %llu ms late", i,
			    (unsigned long long)(now - timers[i].due));
		if (timers[i].want != WHEEL_NEVER && timers[i].due < first)
			first = timers[i].due;
	}
	if (first != WHEEL_NEVER && next > first + 2 * WHEEL_TICK_MS &&
	    next > now + 2 * WHEEL_TICK_MS)
		fail_msg("would sleep %llu ms too long", (unsigned long long)(next - first));
}

/* goal: whatever is set, moved, cleared and removed, also from callbacks: nothing fires early, twice or more
 * than two ticks late */
static void
test_against_list(void **state)
{
	static const uint64_t steps[] = { 1, 16, 40, 1000, 70000, 5000000 };

	(void)state;
	for (uint64_t s = 1; s <= 300; s++) {
		begin(s);
		for (int i = 0; i < 1000; i++) {
			uint64_t n = draw(5), step = draw(steps[draw(6)]);

			while (n-- > 0)
				change(&timers[draw(DEADLINES)]);
			/* in one go, or by waking up when the wheel says so */
			if (draw(2) == 0) {
				advance(step);
			} else {
				uint64_t next = wheel_next(&wheel);

				advance(next != WHEEL_NEVER && next > now
					    ? (next - now < 10000000 ? next - now : step)
					    : 1);
			}
			/* set anew in callbacks: a tick more and they are due */
			advance(2 * WHEEL_TICK_MS);
			check();
		}
	}
}

/* goal: the wheel's own wake-ups are enough: sleeping from one to the next fires all in time */
static void
test_wake_ups(void **state)
{
	(void)state;
	for (uint64_t s = 1; s <= 200; s++) {
		int left;

		begin(s);
		for (int i = 0; i < DEADLINES; i++) {
			timers[i].due = timers[i].want = now + draw(20000000);
			wheel_set(&wheel, &timers[i].deadline, timers[i].want);
		}
		do {
			uint64_t next = wheel_next(&wheel);

			left = 0;
			if (next == WHEEL_NEVER)
				break;
			assert_true(next > now);
			now = next;
			wheel_advance(&wheel, now);
			check();
			for (int i = 0; i < DEADLINES; i++)
				left += timers[i].want != WHEEL_NEVER;
		} while (left > 0);
		assert_int_equal(left, 0);
	}
}

/* goal: beyond the wheel's horizon a deadline still fires, and not before its time */
static void
test_horizon(void **state)
{
	(void)state;
	begin(7);
	timers[0].want = now + (1ull << 36);
	wheel_set(&wheel, &timers[0].deadline, timers[0].want);
	for (int i = 0; i < 100 && timers[0].fired == 0; i++) {
		now = wheel_next(&wheel);
		assert_int_not_equal(now, WHEEL_NEVER);
		wheel_advance(&wheel, now);
	}
	assert_int_equal(timers[0].fired, 1);
	assert_int_equal(wheel_next(&wheel), WHEEL_NEVER);
}

/* goal: moving later and clearing are lazy, moving earlier is not */
static void
test_lazy(void **state)
{
	(void)state;
	begin(9);
	timers[0].want = now + 1000;
	wheel_set(&wheel, &timers[0].deadline, now + 1000);
	timers[0].want = now + 60000;
	wheel_set(&wheel, &timers[0].deadline, now + 60000);
	now += 30000;
	wheel_advance(&wheel, now);
	assert_int_equal(timers[0].fired, 0);
	timers[0].want = now + 100;
	wheel_set(&wheel, &timers[0].deadline, now + 100);
	now += 200;
	wheel_advance(&wheel, now);
	assert_int_equal(timers[0].fired, 1);
	wheel_remove(&wheel, &timers[0].deadline);
	wheel_remove(&wheel, &timers[0].deadline);
	assert_int_equal(wheel.count, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_list),
		cmocka_unit_test(test_wake_ups),
		cmocka_unit_test(test_horizon),
		cmocka_unit_test(test_lazy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
