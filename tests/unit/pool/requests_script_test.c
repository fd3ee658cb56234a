/* requests_script_test.c -- the queue of outstanding requests: single cases that clients are known to bring;
 * requests_test.c has the random ones. */
#include "pool/requests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int settled_count;

static void
count_settled(void *owner, const struct request *r, bool ok)
{
	(void)owner;
	(void)r;
	(void)ok;
	settled_count++;
}

static void
no_fake(void *owner, enum request_kind kind)
{
	(void)owner;
	(void)kind;
	fail_msg("nothing was to be faked");
}

static const struct requests_ops script_ops = { .settled = count_settled, .fake = no_fake };

static void
push(struct requests *q, enum request_kind kind)
{
	assert_true(requests_push(q, kind, REQUEST_FORWARD, NULL, &script_ops, NULL));
}

/* Every message of `types` goes to the client. */
static void
pass(struct requests *q, const char *types)
{
	for (; *types != '\0'; types++)
		if (requests_answer(q, (uint8_t)*types, &script_ops, NULL) != REQUEST_PASS)
			fail_msg("'%c' is not passed on", *types);
}

static enum request_verdict
answer(struct requests *q, char type)
{
	return requests_answer(q, (uint8_t)type, &script_ops, NULL);
}

/* goal: an answer that nobody asked for is never passed on */
static void
test_unasked(void **state)
{
	static const char all[] = "Z123nTtCIsGVDHWdcRKvx";
	struct requests q = { 0 };

	(void)state;
	for (const char *t = all; *t != '\0'; t++)
		assert_int_equal(answer(&q, *t), REQUEST_BAD);
	pass(&q, "NSA");
	push(&q, REQUEST_BIND);
	for (const char *t = "Z13nTtCIsGVDHWdcRK"; *t != '\0'; t++)
		assert_int_equal(answer(&q, *t), REQUEST_BAD);
	pass(&q, "2");
	push(&q, REQUEST_SYNC);
	assert_int_equal(answer(&q, '2'), REQUEST_BAD);
	pass(&q, "Z");
	assert_true(requests_idle(&q));
	requests_release(&q);
}

/* goal: psycopg's COPY by the extended protocol (the Sync comes right behind the Execute) ends clean */
static void
test_copy_extended(void **state)
{
	struct requests q = { 0 };

	(void)state;
	push(&q, REQUEST_PARSE);
	push(&q, REQUEST_BIND);
	push(&q, REQUEST_DESCRIBE);
	push(&q, REQUEST_EXECUTE);
	push(&q, REQUEST_SYNC);
	pass(&q, "12nG");
	push(&q, REQUEST_COPY_END);
	push(&q, REQUEST_SYNC);
	pass(&q, "C");
	assert_false(requests_idle(&q));
	pass(&q, "Z");
	assert_true(requests_idle(&q));
	assert_false(q.tainted);
	requests_release(&q);
}

/* goal: the same COPY that fails before it read anything (its target is a view) passes all on: error and
 * ReadyForQuery; that the Sync was not eaten is not held against the server */
static void
test_copy_extended_fails_at_once(void **state)
{
	struct requests q = { 0 };

	(void)state;
	push(&q, REQUEST_PARSE);
	push(&q, REQUEST_BIND);
	push(&q, REQUEST_DESCRIBE);
	push(&q, REQUEST_EXECUTE);
	push(&q, REQUEST_SYNC);
	pass(&q, "12nGEZ");
	requests_release(&q);
}

/* goal: the same COPY that fails after it has eaten the Sync: the client sends CopyDone and another Sync,
 * whose ReadyForQuery is passed on, and then the session can go on */
static void
test_copy_extended_fails_later(void **state)
{
	struct requests q = { 0 };

	(void)state;
	push(&q, REQUEST_EXECUTE);
	push(&q, REQUEST_SYNC);
	pass(&q, "G");
	push(&q, REQUEST_COPY_END);
	push(&q, REQUEST_SYNC);
	pass(&q, "EZ");
	push(&q, REQUEST_QUERY);
	pass(&q, "TDCZ");
	requests_release(&q);
}

/* goal: answered by Flush, without a Sync, is not idle: a transaction is open. Nor is it when the only Sync was
 * eaten by a COPY */
static void
test_no_sync(void **state)
{
	struct requests q = { 0 };

	(void)state;
	push(&q, REQUEST_PARSE);
	pass(&q, "1");
	assert_false(requests_idle(&q));
	push(&q, REQUEST_SYNC);
	pass(&q, "Z");
	assert_true(requests_idle(&q));
	push(&q, REQUEST_EXECUTE);
	push(&q, REQUEST_SYNC);
	pass(&q, "G");
	push(&q, REQUEST_COPY_END);
	pass(&q, "C");
	assert_false(requests_idle(&q));
	push(&q, REQUEST_SYNC);
	pass(&q, "Z");
	assert_true(requests_idle(&q));
	requests_release(&q);
}

/* goal: a FATAL out of the blue is passed on */
static void
test_fatal_when_idle(void **state)
{
	struct requests q = { 0 };

	(void)state;
	pass(&q, "E");
	requests_release(&q);
}

/* goal: the number of requests is bounded, and those there are stay whole */
static void
test_bound(void **state)
{
	struct requests q = { 0 };
	int note = 0;

	(void)state;
	for (int i = 0; i < REQUESTS_MAX; i++)
		push(&q, REQUEST_BIND);
	assert_false(requests_push(&q, REQUEST_BIND, REQUEST_FORWARD, NULL, &script_ops, NULL));
	for (int i = 0; i < REQUESTS_MAX; i++)
		assert_int_equal(answer(&q, '2'), REQUEST_PASS);
	assert_int_equal(q.count, 0);
	settled_count = 0;
	for (int i = 0; i < 100; i++)
		assert_true(
		    requests_push(&q, REQUEST_PARSE, REQUEST_SWALLOW, &note, &script_ops, NULL));
	requests_abandon(&q, &script_ops, NULL);
	assert_int_equal(settled_count, 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unasked),
		cmocka_unit_test(test_copy_extended),
		cmocka_unit_test(test_copy_extended_fails_at_once),
		cmocka_unit_test(test_copy_extended_fails_later),
		cmocka_unit_test(test_no_sync),
		cmocka_unit_test(test_fatal_when_idle),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
