/* All secrets of a configuration: loaded, reloaded, shown; what they cost. */
#include "tests/unit/auth/secret_fixture.h"

#include <malloc.h>

/* Goal: SHOW has a row per secret, by name, with everything but a value; cold ones have no version. */
static void
test_show(void **state)
{
	(void)state;
	fixture_init();
	service.stage[SECRET_CURRENT] = SAID("app", "one", "v1");
	service.holds = true;
	assert_true(
	    fixture_reload("b = provider=plain\nrw = provider=fake ttl=100\na = provider=fake\n"));
	look_at("a");
	assert_int_equal(seen_rows, 3);
	assert_string_equal(seen.provider, "fake");
	assert_string_equal(seen_state, "cold");
	assert_string_equal(seen_version, "");
	assert_string_equal(seen_user, "");
	assert_int_equal(seen.age_ms, -1);
	assert_int_equal(seen.checked_ms, -1);
	assert_int_equal(seen.next_refresh_ms, -1);
	assert_int_equal(seen.expires_ms, -1);
	assert_int_equal(seen.calls, 1);
	service.holds = false;
	pass(5 * SECOND);
	look_at("b");
	assert_string_equal(seen.provider, "plain");
	assert_string_equal(seen_state, "ok");
	assert_string_equal(seen_version, "v1");
	assert_string_equal(seen_user, "app");
	assert_in_range(seen.age_ms, 4900, 5000);
	assert_in_range(seen.checked_ms, 4900, 5000);
	look();
	assert_in_range(seen.next_refresh_ms, 44 * SECOND, 100 * SECOND);
	service.stage[SECRET_CURRENT] = FAILS(SECRET_TRANSIENT);
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	pass(20);
	look();
	assert_int_equal(seen.failures, 1);
	assert_int_equal(seen.calls, 2);
	assert_string_equal(seen_error, "it says no");
	finish();
}

/* Goal: every fault of a configuration is told, with its line, and nothing of it takes effect. */
static void
test_faults(void **state)
{
	(void)state;
	begin_warm("");
	assert_false(
	    fixture_reload("a = provider=nope\nb = secret_id=x\nc = provider=fake secret_id=bad\n"
			   "rw = provider=plain\nd = provider=fake\n"));
	assert_string_equal(fixture_faults,
	    "6: secret a: provider: found \"nope\", expected one of fake, plain\n"
	    "7: secret b: found no provider, expected one of fake, plain\n"
	    "8: secret c: secret_id: found \"bad\"\n");
	assert_int_equal(service.open, 1);
	assert_null(secrets_find(fixture_secrets, "d"));
	look();
	assert_string_equal(seen.provider, "fake");
	assert_logs_in("app/one");
	finish();
}

/* Goal: an entry that says the same keeps its source and its versions; one that has changed is asked for
 * anew and serves meanwhile; one that is gone is found no more and forgets its values. */
static void
test_reload(void **state)
{
	struct secret *was;

	(void)state;
	begin_warm("ttl=60");
	was = rw;
	assert_true(fixture_reload("other = provider=fake\nrw = provider=fake ttl=60\n"));
	pass(20);
	assert_ptr_equal(rw, was);
	assert_int_equal(service.opened, 2);
	assert_int_equal(service_calls(), 2);
	/* changed, and slow */
	service.stage[SECRET_CURRENT] = SAID("app", "two", "v2");
	service.delay_ms = 10 * SECOND;
	assert_true(fixture_reload("rw = provider=fake ttl=61\n"));
	assert_ptr_equal(rw, was);
	assert_int_equal(service.opened, 3);
	assert_int_equal(service.open, 1);
	pass(5 * SECOND);
	assert_logs_in("app/one");
	pass(6 * SECOND);
	assert_logs_in("app/two");
	assert_null(secrets_find(fixture_secrets, "other"));
	look();
	assert_int_equal(seen_rows, 1);
	/* gone */
	told = 0;
	assert_true(fixture_reload(""));
	assert_int_equal(service.open, 0);
	assert_int_equal(told, 1);
	assert_null(rw);
	assert_false(secrets_refresh(fixture_secrets, "rw"));
	assert_null(secret_login(was));
	assert_true(secret_is_cold(was));
	pass(HOUR);
	assert_int_equal(secure_bytes(), bytes_before);
	look();
	assert_int_equal(seen_rows, 0);
	finish();
}

/* Goal: a plan that is thrown away closes what it has opened. */
static void
test_discard(void **state)
{
	struct secrets_plan *plan;
	struct config *cfg;

	(void)state;
	begin_warm("");
	cfg = fixture_config("rw = provider=fake ttl=1\nx = provider=fake\n");
	plan = secrets_prepare(fixture_secrets, cfg, fixture_say, NULL);
	assert_non_null(plan);
	assert_int_equal(service.open, 3);
	secrets_discard(plan);
	secrets_discard(NULL);
	config_unref(cfg);
	assert_int_equal(service.open, 1);
	assert_null(secrets_find(fixture_secrets, "x"));
	finish();
}

/* Goal: a source that never answers is closed in the middle of it; its client is told. Letters that are
 * under way to a secret that has been removed do no harm. */
static void
test_closed_while_asking(void **state)
{
	struct secret_version *v;
	struct secret *was;
	unsigned searches;

	(void)state;
	begin_warm("");
	was = rw;
	service.holds = true;
	v = secret_login(rw);
	secret_login_refused(rw, v);
	searches = secret_client_refused(rw);
	pass(MINUTE);
	assert_int_equal(secret_searches(rw), searches);
	secret_login_refused(was, v);
	secret_login_worked(was, v);
	secret_version_unref(secret_login(was));
	/* this one has nothing to give back, so it need not wait for the answer */
	assert_true(fixture_reload("rw = provider=plain\n"));
	assert_int_equal(service.open, 1);
	assert_int_not_equal(secret_searches(was), searches);
	pass(MINUTE);
	searches = secret_client_refused(was);
	secret_login_refused(was, v);
	secret_login_worked(was, v);
	assert_true(fixture_reload(""));
	assert_int_equal(service.open, 0);
	pass(MINUTE);
	assert_int_not_equal(secret_searches(was), searches);
	searches = secret_client_refused(was);
	secret_login_refused(was, v);
	pass(MINUTE);
	assert_int_not_equal(secret_searches(was), searches);
	secret_version_unref(v);
	finish();
}

/* Goal: messages say why there is nothing, and hold no secret. */
static void
test_why_not(void **state)
{
	char why[300];

	(void)state;
	begin("");
	secret_why_not(rw, why, sizeof(why));
	assert_string_equal(why, "secret \"rw\" is not available yet");
	service.stage[SECRET_CURRENT] = FAILS(SECRET_DENIED);
	pass(20);
	secret_why_not(rw, why, sizeof(why));
	assert_string_equal(why, "secret \"rw\" is not available yet: it says no");
	service.stage[SECRET_CURRENT] = SAID("app", "one", "v1");
	pass(5 * MINUTE);
	(void)log_in("app/x");
	secret_why_not(rw, why, sizeof(why));
	assert_string_equal(why, "the server refused the user name and password of secret \"rw\"");
	assert_string_equal(secret_name(rw), "rw");
	finish();
}

/* Goal: a secret with its current and its previous version costs less than 4 kB, all memory counted. */
static void
test_memory(void **state)
{
	enum { N = 1000 };
	static char entries[N * 64];
	size_t len = 0, heap, secure;

	(void)state;
	fixture_init();
	service.stage[SECRET_CURRENT] = SAID("application_user", "a-password-of-32-characters-....",
	    "8f7a52c4-36f0-4b4b-a7e5-0e02b2c3d479");
	service.stage[SECRET_CURRENT]
	    .host = "orders.cluster-abcdefghijkl.eu-west-1.rds.amazonaws.com";
	for (int i = 0; i < N; i++)
		len += (size_t)snprintf(entries + len, sizeof(entries) - len,
		    "s%d = provider=plain\n", i);
	heap = mallinfo2().uordblks + mallinfo2().hblkhd;
	secure = secure_bytes();
	assert_true(fixture_reload(entries));
	pass(SECOND);
	service.stage[SECRET_CURRENT].version = "00000000-36f0-4b4b-a7e5-0e02b2c3d479";
	service.stage[SECRET_CURRENT].password = "another---of-32-characters-....";
	for (int i = 0; i < N; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", i);
		assert_true(secrets_refresh(fixture_secrets, name));
	}
	pass(SECOND);
	heap = mallinfo2().uordblks + mallinfo2().hblkhd - heap;
	secure = secure_bytes() - secure;
	print_message("%zu bytes per secret: %zu heap, %zu locked\n", (heap + secure) / N, heap / N,
	    secure / N);
	/* sanitizers have an allocator of their own, which mallinfo2() does not know: heap is 0 then */
	assert_true((heap + secure) / N < 4096);
	assert_true(secure / N > 100);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_show),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_discard),
		cmocka_unit_test(test_closed_while_asking),
		cmocka_unit_test(test_why_not),
		cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
