/* When the provider is asked, and what its answers do. */
#include "tests/unit/auth/secret_fixture.h"

/* Goal: a thousand needs before there is a secret are one call; afterwards none. */
static void
test_single_flight(void **state)
{
	(void)state;
	begin("");
	service.holds = true;
	for (int i = 0; i < 1000; i++) {
		assert_true(secret_is_cold(rw));
		assert_null(log_in(NULL));
		if (i % 100 == 0)
			pass(20);
	}
	assert_state("cold");
	service.holds = false;
	told = 0;
	pass(40);
	assert_int_equal(service_calls(), 1);
	assert_int_equal(told, 1);
	for (int i = 0; i < 1000; i++) {
		assert_false(secret_is_cold(rw));
		assert_logs_in("app/one");
	}
	settle();
	assert_int_equal(service_calls(), 1);
	look();
	assert_int_equal(seen.hits, 1000);
	finish();
}

/* Goal: refreshes come at T/2 to T, for hours, and nobody needs to ask. */
static void
test_refresh(void **state)
{
	uint64_t last, least = UINT64_MAX, most = 0;

	(void)state;
	begin_warm("ttl=100");
	last = service.last_ms;
	for (int i = 0; i < 200; i++) {
		int calls = service_calls();

		while (service_calls() == calls)
			pass(16);
		if (service.last_ms - last < least)
			least = service.last_ms - last;
		if (service.last_ms - last > most)
			most = service.last_ms - last;
		last = service.last_ms;
	}
	/* the wheel and the answer add a few ms */
	assert_in_range(least, 50 * SECOND, 60 * SECOND);
	assert_in_range(most, 90 * SECOND, 100 * SECOND + 64);
	assert_int_equal(service.fetched[SECRET_PENDING] + service.fetched[SECRET_PREVIOUS], 0);
	look();
	assert_int_equal(seen.changes, 0);
	finish();
}

/* Goal: a new version is used at the next refresh; REFRESH and a watch do not wait for it. */
static void
test_new_version(void **state)
{
	(void)state;
	begin_warm("ttl=100");
	service.stage[SECRET_CURRENT] = SAID("app", "two", "v2");
	pass(100 * SECOND + 40);
	assert_logs_in("app/two");
	service.stage[SECRET_CURRENT] = SAID("app", "three", "v3");
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	pass(20);
	assert_logs_in("app/three");
	service.stage[SECRET_CURRENT] = SAID("app", "four", "v4");
	service.changed(service.changed_arg);
	pass(20);
	assert_logs_in("app/four");
	assert_false(secrets_refresh(fixture_secrets, "nope"));
	look();
	assert_int_equal(seen.changes, 3);
	finish();
}

/* Goal: a file that changes while it is being read is read again: the answer may be the old one. */
static void
test_change_while_asking(void **state)
{
	(void)state;
	begin_warm("");
	service.delay_ms = 200;
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	pass(100);
	service.changed(service.changed_arg);
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	assert_int_equal(service_calls(), 2);
	pass(250);
	assert_int_equal(service_calls(), 3);
	pass(5 * SECOND);
	assert_int_equal(service_calls(), 3);
	finish();
}

/* Goal: what the entry says counts before what the secret says. */
static void
test_entry_first(void **state)
{
	struct secret_version *v;

	(void)state;
	begin("user=boss host=h dbname=d port=7");
	service.stage[SECRET_CURRENT].host = "elsewhere";
	pass(20);
	v = secret_login(rw);
	assert_string_equal(v->user, "boss");
	assert_string_equal(v->host, "h");
	assert_string_equal(v->dbname, "d");
	assert_int_equal(v->port, 7);
	secret_version_unref(v);
	finish();
}

/* Goal: within seconds after a change an answer that is the version before is a read that lags; later it is
 * what somebody wants; with and without a grace. */
static void
test_lag(void **state)
{
	const char *const options[] = { "ttl=300", "ttl=300 grace=0" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		begin_warm(options[i]);
		service.stage[SECRET_CURRENT] = SAID("app", "two", "v2");
		assert_true(secrets_refresh(fixture_secrets, "rw"));
		pass(20);
		assert_logs_in("app/two");
		service.stage[SECRET_CURRENT] = SAID("app", "one", "v1");
		for (int s = 0; s < 9; s++) {
			assert_true(secrets_refresh(fixture_secrets, "rw"));
			pass(SECOND);
			assert_logs_in("app/two");
		}
		pass(3 * SECOND);
		assert_logs_in("app/one");
		finish();
	}
}

/* Goal: the same user and password under another id, or for longer, is no trouble. */
static void
test_same_content(void **state)
{
	(void)state;
	begin("");
	service.stage[SECRET_CURRENT].life_ms = 100 * SECOND;
	service.stage[SECRET_CURRENT].refresh_in_ms = 50 * SECOND;
	for (int i = 0; i < 100; i++) {
		pass(10 * SECOND);
		assert_logs_in("app/one");
		assert_true(fits("app", "one"));
	}
	look();
	assert_int_equal(seen.changes, 0);
	assert_in_range(seen.expires_ms, 40 * SECOND, 100 * SECOND);
	service.stage[SECRET_CURRENT].version = "v1b";
	pass(MINUTE);
	assert_logs_in("app/one");
	finish();
}

/* Goal: answers that have ended when they arrive make no storm of questions. */
static void
test_ended_on_arrival(void **state)
{
	(void)state;
	begin("");
	service.stage[SECRET_CURRENT].life_ms = -5;
	for (int i = 0; i < 300; i++) {
		(void)secret_is_cold(rw);
		assert_null(log_in(NULL));
		pass(200);
	}
	assert_in_range(service_calls(), 2, 70);
	assert_state("expired");
	finish();
}

/* Goal: a deleted version is used and flagged. */
static void
test_deleted(void **state)
{
	(void)state;
	begin_warm("ttl=10");
	service.stage[SECRET_CURRENT].deleted = true;
	pass(11 * SECOND);
	assert_state("deleted");
	assert_logs_in("app/one");
	service.stage[SECRET_CURRENT].deleted = false;
	pass(11 * SECOND);
	assert_state("ok");
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single_flight),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_new_version),
		cmocka_unit_test(test_change_while_asking),
		cmocka_unit_test(test_entry_first),
		cmocka_unit_test(test_lag),
		cmocka_unit_test(test_same_content),
		cmocka_unit_test(test_ended_on_arrival),
		cmocka_unit_test(test_deleted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
