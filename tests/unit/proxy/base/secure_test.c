/* secure_test.c -- memory for secrets: what the kernel is told about its pages, what is left of a block
 * that was freed, what a child sees, and that blocks never share bytes. */
#include "tests/unit/proxy/base/secure_fixture.h"

#include "proxy/base/secure.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

/* Sanitizers replace mlock() by nothing. */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                               \
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define REAL_MLOCK false
#else
#define REAL_MLOCK true
#endif

/* ASan knows that a freed block must not be read; here it is. */
__attribute__((no_sanitize_address)) static bool
is_zero(const volatile uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0)
			return false;
	return true;
}

__attribute__((no_sanitize_address)) static void
poke(volatile uint8_t *p)
{
	*p = 1;
}

static size_t
page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static uint8_t *
page_of(void *p)
{
	return (uint8_t *)((uintptr_t)p / page() * page());
}

static void
act_poke(void *p)
{
	poke(p);
}

static void
act_free(void *p)
{
	secure_free(p);
}

static void
act_must_be_zero(void *p)
{
	if (!is_zero(p, 64))
		_exit(1);
}

static void
act_must_be_filled(void *p)
{
	if (*(volatile uint8_t *)p != 0x5a)
		_exit(1);
}

static void
expect_hidden(const void *p)
{
	char flags[256];

	flags_of(p, flags);
	if (flags[0] == '\0')
		return;
	assert_non_null(strstr(flags, " dd "));
	assert_true(strstr(flags, " wf ") != NULL || strstr(flags, " dc ") != NULL);
	if (REAL_MLOCK && secure_locked())
		assert_non_null(strstr(flags, " lo "));
}

/* goal: blocks of every size are zeroed, aligned, writable to the end, and gone when freed */
static void
test_sizes(void **state)
{
	static const size_t sizes[] = { 1, 63, 64, 65, 96, 97, 255, 600, 672, 673, 800, 1000, 1300,
		2047, 2048, 2049, 4096, 4097, 5000, 8192, 65537, SECURE_MAX };
	void *held[2][sizeof(sizes) / sizeof(sizes[0])];
	const size_t n = sizeof(sizes) / sizeof(sizes[0]);

	(void)state;
	assert_int_equal(secure_bytes(), 0);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < n; i++) {
			uint8_t *p = held[round][i] = secure_alloc(sizes[i]);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
			assert_true(is_zero(p, sizes[i]));
			memset(p, 0x5a, sizes[i]);
		}
	}
	assert_true(secure_bytes() > 2 * SECURE_MAX);
	for (size_t i = 0; i < n; i++) {
		secure_free(held[1][i]);
		secure_free(held[0][i]);
	}
	assert_int_equal(secure_bytes(), 0);
	assert_null(secure_alloc(0));
	assert_null(secure_alloc(SECURE_MAX + 1));
	assert_null(secure_alloc(SIZE_MAX));
	secure_free(NULL);
}

/* goal: nothing is left in a block that was freed, and its bytes are zero when they are used again */
static void
test_freed_is_zero(void **state)
{
	uint8_t *keep = secure_alloc(100), *p = secure_alloc(100);

	(void)state;
	assert_non_null(keep);
	assert_non_null(p);
	assert_ptr_equal(page_of(keep), page_of(p));
	memset(p, 0x5a, 100);
	secure_free(p);
	assert_true(is_zero(p, 128));
	assert_ptr_equal(secure_alloc(128), p);
	assert_true(is_zero(p, 128));
	secure_free(p);
	secure_free(keep);
}

/* goal: pages are locked, in no core file, and not given to children; those in use and the next ones */
static void
test_flags(void **state)
{
	uint8_t *small = secure_alloc(100), *large = secure_alloc(20000);

	(void)state;
	assert_non_null(small);
	assert_non_null(large);
	memset(large, 0x5a, 20000);
	expect_hidden(small);
	expect_hidden(large);
	expect_hidden(large + 19999);
	secure_free(large);
	large = secure_alloc(40000);
	assert_non_null(large);
	assert_true(is_zero(large, 40000));
	expect_hidden(large + 39999);
	secure_free(large);
	secure_free(small);
}

/* goal: before the first page, behind the last one and in a page given back there is nothing */
static void
test_guards(void **state)
{
	uint8_t *first = secure_alloc(64), *run = secure_alloc(3 * page());

	(void)state;
	assert_non_null(first);
	assert_non_null(run);
	assert_false(dies(act_poke, first));
	assert_true(dies(act_poke, page_of(first) - 1));
	assert_true(dies(act_poke, run + 3 * page()));
	secure_free(run);
	assert_true(dies(act_poke, run));
	assert_true(dies(act_poke, run + 2 * page()));
	secure_free(first);
	assert_true(dies(act_poke, first));
}

/* goal: what is no block, or no longer one, cannot be freed */
static void
test_wrong_free(void **state)
{
	uint8_t *keep = secure_alloc(64), *p = secure_alloc(64), *run = secure_alloc(10000);
	int local = 0;

	(void)state;
	assert_non_null(keep);
	assert_non_null(p);
	assert_non_null(run);
	assert_true(dies(act_free, p + 16));
	assert_true(dies(act_free, run + page()));
	assert_true(dies(act_free, run + 64));
	assert_true(dies(act_free, &local));
	assert_false(dies(act_free, p));
	secure_free(p);
	assert_true(dies(act_free, p));
	secure_free(run);
	assert_true(dies(act_free, run));
	secure_free(keep);
}

/* goal: a child sees zeros or nothing, and the parent keeps what it has */
static void
test_fork(void **state)
{
	uint8_t *p = secure_alloc(64);
	char flags[256];

	(void)state;
	assert_non_null(p);
	memset(p, 0x5a, 64);
	flags_of(p, flags);
	if (strstr(flags, " wf ") != NULL)
		assert_false(dies(act_must_be_zero, p));
	assert_true(dies(act_must_be_filled, p));
	assert_int_equal(p[63], 0x5a);
	secure_free(p);
}

static void
act_daemon(void *p)
{
	char flags[256];

	secure_after_fork();
	flags_of(p, flags);
	if (flags[0] != '\0' && secure_locked() && REAL_MLOCK && strstr(flags, " lo ") == NULL)
		_exit(1);
	if (flags[0] != '\0' && strstr(flags, " wf ") == NULL && strstr(flags, " dc ") == NULL)
		_exit(2);
	if (*(volatile uint8_t *)p != 0x5a)
		_exit(3);
	secure_free(p);
	if (secure_bytes() != 0)
		_exit(4);
}

/* goal: a daemon keeps the blocks of the process that started it, and locks and hides them again */
static void
test_daemon(void **state)
{
	uint8_t *p = secure_alloc(300);

	(void)state;
	assert_non_null(p);
	memset(p, 0x5a, 300);
	secure_before_fork();
	assert_int_equal(in_child(act_daemon, p), 0);
	secure_after_fork();
	assert_true(dies(act_must_be_filled, p));
	secure_free(p);
}

static void
act_no_lock(void *arg)
{
	struct rlimit none = { 0, 0 };
	uint8_t *p;

	(void)arg;
	if (setrlimit(RLIMIT_MEMLOCK, &none) == -1)
		_exit(1);
	/* root may lock without a limit */
	if (geteuid() == 0 && setuid(65534) == -1)
		_exit(2);
	p = secure_alloc(100);
	if (p == NULL || secure_locked())
		_exit(3);
	p[99] = 1;
	secure_free(p);
	if (secure_locked())
		_exit(4);
}

/* goal: where pages cannot be locked there is memory all the same, and one can ask */
static void
test_lock_refused(void **state)
{
	(void)state;
	if (REAL_MLOCK)
		assert_int_equal(in_child(act_no_lock, NULL), 0);
}

/* goal: a copy has a NUL behind it, and may be empty */
static void
test_dup(void **state)
{
	char *p = secure_dup("secret", 6), *empty = secure_dup(NULL, 0);

	(void)state;
	assert_string_equal(p, "secret");
	assert_string_equal(empty, "");
	assert_null(secure_dup("x", SIZE_MAX));
	assert_null(secure_dup("x", SECURE_MAX));
	secure_free(p);
	secure_free(empty);
	assert_int_equal(secure_bytes(), 0);
}

/* goal: many secrets take little more than their bytes */
static void
test_overhead(void **state)
{
	enum { N = 2000, BYTES = 500 };
	void **held = calloc(N, sizeof(*held));

	(void)state;
	assert_non_null(held);
	for (int i = 0; i < N; i++)
		assert_non_null(held[i] = secure_alloc(BYTES));
	assert_true(secure_bytes() <= (size_t)N * BYTES * 5 / 4);
	for (int i = 0; i < N; i++)
		secure_free(held[i * 7 % N]); /* each of them once */
	assert_int_equal(secure_bytes(), 0);
	free(held);
}

/* goal: when all addresses are taken there is NULL, and room again after a free */
static void
test_exhausted(void **state)
{
	enum { MAX = 8192 };
	void **held = calloc(MAX, sizeof(*held));
	int n = 0;

	(void)state;
	assert_non_null(held);
	while (n < MAX && (held[n] = secure_alloc(SECURE_MAX)) != NULL)
		n++;
	assert_true(n > 100 && n < MAX);
	assert_null(secure_alloc(SECURE_MAX));
	secure_free(held[n / 2]);
	held[n / 2] = secure_alloc(SECURE_MAX);
	assert_non_null(held[n / 2]);
	for (int i = 0; i < n; i++)
		secure_free(held[i]);
	assert_int_equal(secure_bytes(), 0);
	free(held);
}

/* Each thread fills its blocks with a byte of its own. */
static void *
churn(void *arg)
{
	enum { SLOTS = 64, ROUNDS = 20000 };
	uint8_t *slot[SLOTS] = { 0 }, own = (uint8_t)(uintptr_t)arg;
	size_t size[SLOTS];
	unsigned seed = own;
	void *wrong = NULL;

	for (size_t i = 0; i < ROUNDS + SLOTS; i++) {
		size_t k = i < ROUNDS ? (size_t)rand_r(&seed) % SLOTS : i - ROUNDS;

		if (slot[k] != NULL) {
			for (size_t b = 0; b < size[k]; b++)
				if (slot[k][b] != own)
					wrong = arg;
			secure_free(slot[k]);
			slot[k] = NULL;
		} else if (i < ROUNDS) {
			size[k] = 1 + (size_t)rand_r(&seed) % (i % 50 == 0 ? 30000 : 1500);
			slot[k] = secure_alloc(size[k]);
			if (slot[k] == NULL || !is_zero(slot[k], size[k]))
				return arg;
			memset(slot[k], own, size[k]);
		}
	}
	return wrong;
}

/* goal: threads that take and free at random never get each other's bytes, and nothing is lost */
static void
test_threads(void **state)
{
	pthread_t t[4];
	void *wrong;

	(void)state;
	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, churn, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], &wrong), 0);
		assert_null(wrong);
	}
	assert_int_equal(secure_bytes(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_freed_is_zero),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_guards),
		cmocka_unit_test(test_wrong_free),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_daemon),
		cmocka_unit_test(test_lock_refused),
		cmocka_unit_test(test_dup),
		cmocka_unit_test(test_overhead),
		cmocka_unit_test(test_exhausted),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
