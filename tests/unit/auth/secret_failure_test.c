/* What failures of the provider do, and how often it is asked then. */
#include "tests/unit/auth/secret_fixture.h"

/* Goal: the last good version serves without limit, whatever the provider does, and SHOW says so; when it
 * answers again all is well. */
static void
test_stale(void **state)
{
	const enum secret_error errors[] = { SECRET_TRANSIENT, SECRET_THROTTLED, SECRET_DENIED,
		SECRET_GONE, SECRET_BAD_VALUE };

	(void)state;
	begin_warm("ttl=60 max_calls_per_hour=100000");
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		service.stage[SECRET_CURRENT] = FAILS(errors[i]);
		pass(2 * MINUTE);
		assert_state("stale");
		assert_string_equal(seen_error, "it says no");
		for (int h = 0; h < 24; h++) {
			pass(HOUR);
			assert_logs_in("app/one");
			assert_true(fits("app", "one"));
			assert_false(secret_is_cold(rw));
		}
		service.stage[SECRET_CURRENT] = SAID("app", "one", "v1");
		pass(2 * MINUTE);
		assert_state("ok");
		assert_string_equal(seen_error, "");
	}
	finish();
}

/* Goal: with max_stale there is an end, for servers and clients, and another beginning. */
static void
test_max_stale(void **state)
{
	(void)state;
	begin_warm("ttl=60 max_stale=600 max_calls_per_hour=100000");
	service.stage[SECRET_CURRENT] = FAILS(SECRET_TRANSIENT);
	pass(9 * MINUTE);
	assert_logs_in("app/one");
	pass(2 * MINUTE);
	assert_state("expired");
	assert_null(log_in(NULL));
	assert_false(fits("app", "one"));
	assert_true(secret_is_cold(rw));
	service.stage[SECRET_CURRENT] = SAID("app", "one", "v1");
	pass(31 * SECOND);
	assert_logs_in("app/one");
	finish();
}

/* How many calls in a while of failures, with or without somebody who waits. */
static int
calls_while_failing(enum secret_error error, bool cold, bool waiting, uint64_t ms)
{
	int calls;

	begin("max_calls_per_hour=1000000");
	if (!cold)
		pass(20);
	service.stage[SECRET_CURRENT] = FAILS(error);
	if (!cold)
		assert_true(secrets_refresh(fixture_secrets, "rw"));
	pass(20);
	calls = service_calls();
	for (uint64_t t = 0; t < ms; t += 200) {
		if (waiting)
			(void)secret_is_cold(rw);
		pass(200);
	}
	calls = service_calls() - calls;
	finish();
	return calls;
}

/* Goal: the pause after failures is that of their class; only a cold secret that somebody waits for is
 * asked for every second or so. */
static void
test_back_off(void **state)
{
	(void)state;
	assert_in_range(calls_while_failing(SECRET_TRANSIENT, false, false, HOUR), 200, 330);
	assert_in_range(calls_while_failing(SECRET_TRANSIENT, false, true, HOUR), 200, 330);
	assert_in_range(calls_while_failing(SECRET_TRANSIENT, true, false, HOUR), 200, 330);
	assert_in_range(calls_while_failing(SECRET_TRANSIENT, true, true, HOUR), 2800, 4400);
	assert_in_range(calls_while_failing(SECRET_DENIED, true, true, HOUR), 2800, 4400);
	assert_in_range(calls_while_failing(SECRET_THROTTLED, true, true, HOUR), 200, 330);
	assert_in_range(calls_while_failing(SECRET_THROTTLED, true, true, 5 * SECOND), 0, 12);
	/* people repair these; T is 300 s */
	assert_in_range(calls_while_failing(SECRET_GONE, false, true, HOUR), 12, 24);
	assert_in_range(calls_while_failing(SECRET_BAD_VALUE, false, true, HOUR), 12, 24);
	assert_in_range(calls_while_failing(SECRET_GONE, true, true, HOUR), 200, 330);
}

/* Goal: somebody who comes late in a long pause of a cold secret does not wait for its end. */
static void
test_late_comer(void **state)
{
	(void)state;
	begin("");
	service.stage[SECRET_CURRENT] = FAILS(SECRET_TRANSIENT);
	pass(5 * MINUTE);
	for (int i = 0; i < 20; i++) {
		int calls = service_calls();

		(void)secret_is_cold(rw);
		pass(1100);
		assert_true(service_calls() > calls);
		pass(61 * SECOND);
	}
	finish();
}

/* Goal: a provider that says when to come back is left alone until then, by everybody but REFRESH. */
static void
test_retry_after(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		begin("");
		service.stage[SECRET_CURRENT] = FAILS(i == 0 ? SECRET_THROTTLED : SECRET_TRANSIENT);
		service.stage[SECRET_CURRENT].retry_after_ms = 90 * SECOND;
		pass(20);
		for (int t = 0; t < 89; t++) {
			(void)secret_is_cold(rw);
			(void)secret_client_refused(rw);
			pass(SECOND);
			assert_int_equal(service_calls(), 1);
		}
		pass(2 * SECOND);
		assert_int_equal(service_calls(), 2);
		assert_true(secrets_refresh(fixture_secrets, "rw"));
		assert_int_equal(service_calls(), 3);
		finish();
	}
}

/* Goal: the same for one that was in use and is refused now. */
static void
test_retry_after_refusal(void **state)
{
	(void)state;
	begin_warm("");
	service.stage[SECRET_CURRENT] = FAILS(SECRET_THROTTLED);
	service.stage[SECRET_CURRENT].retry_after_ms = 60 * SECOND;
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	pass(20);
	assert_int_equal(service_calls(), 2);
	(void)serve("app/two", 58 * SECOND);
	assert_int_equal(service_calls(), 2);
	service.stage[SECRET_CURRENT] = SAID("app", "two", "v2");
	(void)serve("app/two", 4 * SECOND);
	assert_logs_in("app/two");
	finish();
}

/* Goal: max_calls_per_hour holds against everything at once; the secret serves meanwhile, the loop does not
 * spin, and it is said once. */
static void
test_budget(void **state)
{
	(void)state;
	begin_warm("max_calls_per_hour=20 ttl=1 min_refresh_interval=0");
	for (int i = 0; i < 60 * 59; i++) {
		assert_true(secrets_refresh(fixture_secrets, "rw"));
		(void)log_in("app/two");
		(void)secret_client_refused(rw);
		pass(SECOND);
		assert_true(service_calls() <= 20);
	}
	assert_int_equal(service_calls(), 20);
	look();
	assert_string_equal(seen_error, "max_calls_per_hour is reached");
	pass(4 * MINUTE);
	assert_true(service_calls() > 20);
	finish();
}

/* Goal: a cold secret whose budget is used up neither spins nor stays cold longer than it must. */
static void
test_budget_cold(void **state)
{
	int turns = 0;

	(void)state;
	begin("max_calls_per_hour=4");
	service.stage[SECRET_CURRENT] = FAILS(SECRET_TRANSIENT);
	told = 0;
	for (int i = 0; i < 600; i++) {
		(void)secret_is_cold(rw);
		pass(SECOND);
		turns = told;
	}
	assert_true(service_calls() <= 4);
	assert_true(turns < 30);
	service.stage[SECRET_CURRENT] = SAID("app", "one", "v1");
	for (int i = 0; secret_is_cold(rw); i++) {
		assert_true(i < 3600);
		pass(SECOND);
	}
	finish();
}

/* Goal: half an hour without the provider and with clients that wait does not use up the budget of the
 * time after. */
static void
test_budget_lasts(void **state)
{
	(void)state;
	begin("");
	service.stage[SECRET_CURRENT] = FAILS(SECRET_TRANSIENT);
	for (int i = 0; i < 50 * 60; i++) {
		(void)secret_is_cold(rw);
		pass(SECOND);
	}
	service.stage[SECRET_CURRENT] = SAID("app", "one", "v1");
	for (int i = 0; secret_is_cold(rw); i++) {
		assert_true(i < 15);
		pass(SECOND);
	}
	finish();
}

/* Goal: no memory for a version: what is there serves on, who waits is told, and a second later it is tried
 * again. */
static void
test_out_of_memory(void **state)
{
	static void *hog[20000];
	const size_t sizes[] = { SECURE_MAX, 4096, 1024, 64 };
	size_t n = 0;

	(void)state;
	begin("ttl=86400");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		while (
		    n < sizeof(hog) / sizeof(hog[0]) && (hog[n] = secure_alloc(sizes[i])) != NULL)
			n++;
	told = 0;
	pass(20);
	assert_true(secret_is_cold(rw));
	assert_int_equal(told, 1);
	assert_state("failing");
	assert_string_equal(seen_error, "out of memory");
	while (n > 0)
		secure_free(hog[--n]);
	pass(1100);
	assert_state("ok");
	assert_logs_in("app/one");
	assert_in_range(service_calls(), 2, 3);
	finish();
}

static int
count(const char *path, const char *word)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	int times = 0;

	fclose(f);
	text[n] = '\0';
	for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
		times++;
	return times;
}

/* Goal: each class of failure, each new version and each refusal is told once, and never a password. */
static void
test_log(void **state)
{
	char path[] = "/tmp/secret_log.XXXXXX";
	struct log_settings loud = { .file = path, .verbose = 9 };

	(void)state;
	close(mkstemp(path));
	begin("ttl=5");
	service.stage[SECRET_CURRENT] = SAID("app", "Hush-1", "v1");
	assert_int_equal(log_setup(&loud), 0);
	pass(20);
	service.stage[SECRET_CURRENT] = FAILS(SECRET_TRANSIENT);
	pass(MINUTE);
	service.stage[SECRET_CURRENT] = FAILS(SECRET_GONE);
	pass(MINUTE);
	service.stage[SECRET_CURRENT] = SAID("app", "Hush-1", "v1");
	pass(MINUTE);
	(void)serve("app/Hush-2", MINUTE);
	service.stage[SECRET_CURRENT] = SAID("app", "Hush-2", "v2");
	(void)serve("app/Hush-2", MINUTE);
	assert_int_equal(count(path, "no answer: it says no"), 1);
	assert_int_equal(count(path, "not available: it says no"), 1);
	assert_int_equal(count(path, "answers again"), 1);
	assert_int_equal(count(path, "refused version v1"), 1);
	assert_int_equal(count(path, "version v1 is in use"), 1);
	assert_int_equal(count(path, "version v2 is in use, new password of the same user"), 1);
	assert_int_equal(count(path, "Hush"), 0);
	unlink(path);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_max_stale),
		cmocka_unit_test(test_back_off),
		cmocka_unit_test(test_late_comer),
		cmocka_unit_test(test_retry_after),
		cmocka_unit_test(test_retry_after_refusal),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_budget_cold),
		cmocka_unit_test(test_budget_lasts),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
