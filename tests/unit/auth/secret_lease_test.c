/* Credentials that end: renewed, replaced, left in time and given back. */
#include "tests/unit/auth/secret_fixture.h"

static struct said *const current = &service.stage[SECRET_CURRENT];

/* A role of 100 s that is another one with every fetch: app1, app2 ... with lease l1, l2 ... */
static void
begin_leased(const char *options, bool renewable)
{
	begin(options);
	service.one_by_one = true;
	*current = SAID("app", "one", "v");
	current->lease = "l";
	current->life_ms = 100 * SECOND;
	current->renewable = renewable;
	service.renewal = (struct said){ .life_ms = 100 * SECOND };
	pass(20);
}

static const char *
user_in_use(void)
{
	static char user[80];
	struct secret_version *v = secret_login(rw);

	if (v == NULL)
		return NULL;
	snprintf(user, sizeof(user), "%s", v->user);
	secret_version_unref(v);
	return user;
}

/* Goal: a lease is renewed after two thirds, again and again, and the role stays the same for hours. */
static void
test_renewal(void **state)
{
	(void)state;
	begin_leased("", true);
	pass(66 * SECOND);
	assert_int_equal(service.renewed, 0);
	pass(SECOND);
	assert_int_equal(service.renewed, 1);
	assert_string_equal(service.asked_lease, "l1");
	for (int i = 0; i < 600; i++) {
		assert_string_equal(user_in_use(), "app1");
		pass(MINUTE / 2);
	}
	assert_int_equal(service.fetched[SECRET_CURRENT], 1);
	look();
	assert_int_equal(seen.changes, 0);
	assert_in_range(seen.expires_ms, 30 * SECOND, 100 * SECOND);
	finish();
}

/* Goal: one that cannot be renewed is replaced at 60 to 75 %; the old role's connections are retired, and
 * its lease given back once, after the last one has gone. */
static void
test_replaced(void **state)
{
	struct secret_version *old, *again;

	(void)state;
	begin_leased("grace=3600", false);
	old = secret_login(rw);
	again = secret_version_ref(old);
	pass(59 * SECOND);
	assert_int_equal(service.fetched[SECRET_CURRENT], 1);
	pass(17 * SECOND);
	assert_int_equal(service.fetched[SECRET_CURRENT], 2);
	assert_string_equal(user_in_use(), "app2");
	assert_true(old->retired);
	assert_int_equal(service.revoked, 0);
	secret_version_unref(old);
	pass(20);
	assert_int_equal(service.revoked, 0);
	secret_version_unref(again);
	pass(20);
	assert_int_equal(service.revoked, 1);
	assert_string_equal(service.revoked_lease[0], "l1");
	pass(10 * SECOND);
	assert_int_equal(service.revoked, 1);
	finish();
}

/* Goal: where renewals stop extending, another role takes over in time. */
static void
test_not_extended(void **state)
{
	(void)state;
	begin_leased("", true);
	service.renewal.life_ms = 30 * SECOND; /* less than a third */
	pass(70 * SECOND);
	assert_int_equal(service.renewed, 1);
	assert_string_equal(user_in_use(), "app2");
	pass(20);
	assert_int_equal(service.revoked, 1);
	/* a little more than a third: used, but not to its end */
	service.renewal.life_ms = 40 * SECOND;
	for (int i = 0; i < 1000; i++) {
		assert_non_null(user_in_use());
		pass(200);
	}
	finish();
}

/* Goal: renewals fail: tried again for as long as there is time, then another role is got. */
static void
test_renewal_fails(void **state)
{
	(void)state;
	begin_leased("retry_max=2 max_calls_per_hour=10000", true);
	service.renewal = FAILS(SECRET_TRANSIENT);
	pass(70 * SECOND);
	assert_string_equal(user_in_use(), "app1");
	assert_state("stale");
	assert_in_range(service.renewed, 2, 40);
	pass(8 * SECOND);
	assert_string_equal(user_in_use(), "app2");
	assert_state("ok");
	/* gone: not worth a second try */
	service.renewed = 0;
	service.renewal = FAILS(SECRET_GONE);
	pass(68 * SECOND);
	assert_int_equal(service.renewed, 1);
	assert_string_equal(user_in_use(), "app3");
	finish();
}

/* Goal: the provider is away until the end: the role is left before it ends, nobody is given it any more,
 * and when the provider is back there is another at once. */
static void
test_end(void **state)
{
	struct secret_version *v;
	int before;

	(void)state;
	begin_leased("max_calls_per_hour=100000", true);
	v = secret_login(rw);
	service.renewal = *current = FAILS(SECRET_TRANSIENT);
	pass(94 * SECOND);
	assert_false(v->retired);
	assert_string_equal(user_in_use(), "app1");
	before = told;
	pass(SECOND + 200); /* 5 % before the end */
	assert_true(v->retired);
	assert_true(told > before);
	assert_null(user_in_use());
	assert_true(secret_is_cold(rw));
	assert_false(fits("app1", "one"));
	assert_state("expired");
	pass(MINUTE);
	assert_null(user_in_use());
	*current = SAID("app", "one", "v");
	current->lease = "l";
	current->life_ms = 100 * SECOND;
	pass(2100);
	assert_string_equal(user_in_use(), "app2");
	secret_version_unref(v);
	pass(20);
	assert_int_equal(service.revoked, 1);
	finish();
}

/* Goal: a provider that answers "gone" does not sleep through the rest of the lease, nor is the end of a
 * lease the beginning of a long pause. */
static void
test_gone_near_end(void **state)
{
	struct said good;

	(void)state;
	begin_leased("ttl=3600", false);
	good = *current;
	*current = FAILS(SECRET_GONE);
	pass(80 * SECOND);
	*current = good;
	pass(6 * SECOND);
	assert_string_equal(user_in_use(), "app2");
	finish();
}

/* Goal: tokens have an end but no lease: the connections made with one outlive it, and the next comes in
 * time. */
static void
test_token(void **state)
{
	struct secret_version *v;

	(void)state;
	begin("");
	service.one_by_one = true;
	current->life_ms = 15 * MINUTE;
	current->refresh_in_ms = 10 * MINUTE;
	pass(20);
	v = secret_login(rw);
	for (int i = 0; i < 200; i++) {
		assert_non_null(user_in_use());
		pass(10 * SECOND);
	}
	assert_in_range(service_calls(), 4, 5);
	assert_int_equal(service.revoked, 0);
	secret_version_unref(v);
	finish();
	/* the same user all the time */
	begin("");
	current->life_ms = 15 * MINUTE;
	pass(20);
	v = secret_login(rw);
	current->password = "two";
	current->version = "v2";
	pass(12 * MINUTE);
	assert_logs_in("app/two");
	pass(5 * MINUTE);
	assert_false(v->retired);
	secret_version_unref(v);
	finish();
}

/* Goal: all leases are given back at the end, once: that in use, and one that a connection held until
 * then; and no new one is made while that happens. */
static void
test_given_back_at_end(void **state)
{
	struct secret_version *v;

	(void)state;
	begin_leased("", false);
	v = secret_login(rw);
	pass(80 * SECOND);
	assert_string_equal(user_in_use(), "app2");
	assert_true(secrets_revoke(fixture_secrets));
	secret_version_unref(v);
	pass(200 * SECOND);
	assert_int_equal(service.revoked, 2);
	assert_string_equal(service.revoked_lease[0], "l2");
	assert_string_equal(service.revoked_lease[1], "l1");
	assert_int_equal(service.fetched[SECRET_CURRENT], 2);
	finish();
	assert_int_equal(service.revoked, 2);
	begin_warm("");
	assert_false(secrets_revoke(fixture_secrets));
	finish();
}

/* Goal: an entry that goes gives its lease back, at once or when its last connection has ended, and one
 * that is being made; then its source is closed. */
static void
test_removed(void **state)
{
	struct secret_version *v;
	struct secret *was;

	(void)state;
	begin_leased("", false);
	v = secret_login(rw);
	was = rw;
	assert_true(fixture_reload(""));
	assert_null(rw);
	assert_true(v->retired);
	pass(MINUTE);
	assert_int_equal(service.revoked, 0);
	assert_int_equal(service.open, 1);
	secret_version_unref(v);
	pass(40);
	assert_int_equal(service.revoked, 1);
	assert_int_equal(service.open, 0);
	assert_null(secret_login(was));
	/* it comes back */
	assert_true(fixture_reload("rw = provider=fake\n"));
	assert_ptr_equal(rw, was);
	pass(20);
	assert_non_null(user_in_use());
	/* and goes while it is being asked */
	service.delay_ms = SECOND;
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	assert_true(fixture_reload(""));
	pass(3 * SECOND);
	assert_int_equal(service.revoked, 3);
	assert_int_equal(service.open, 0);
	finish();
}

/* Goal: a lease is in use when the entry is given another provider, one without leases that does not
 * answer: nothing is renewed there, and the old role serves until its end. */
static void
test_other_provider(void **state)
{
	(void)state;
	begin_leased("", true);
	*current = FAILS(SECRET_TRANSIENT);
	assert_true(fixture_reload("rw = provider=plain\n"));
	pass(90 * SECOND);
	assert_string_equal(user_in_use(), "app1");
	assert_int_equal(service.renewed, 0);
	pass(6 * SECOND);
	assert_null(user_in_use());
	service.one_by_one = false;
	*current = SAID("app", "one", "v1");
	(void)secret_is_cold(rw);
	pass(5 * SECOND);
	assert_string_equal(user_in_use(), "app");
	finish();
}

/* Goal: the role is dropped by somebody else: a refused login gets another. */
static void
test_refused(void **state)
{
	(void)state;
	begin_leased("", true);
	assert_int_equal(serve("app2/one", SECOND), 1);
	assert_string_equal(user_in_use(), "app2");
	pass(100 * SECOND);
	assert_int_equal(service.revoked, 1);
	assert_string_equal(service.asked_lease, "l2");
	finish();
}

/* Goal: questions that come while a renewal is in flight are asked after it. */
static void
test_while_renewing(void **state)
{
	(void)state;
	begin_leased("", true);
	service.delay_ms = SECOND;
	pass(67 * SECOND);
	assert_int_equal(service.renewed, 1);
	(void)log_in("app9/one");
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	(void)secret_client_refused(rw);
	pass(5 * SECOND);
	assert_int_equal(service.fetched[SECRET_CURRENT], 2);
	assert_string_equal(user_in_use(), "app2");
	assert_int_not_equal(secret_searches(rw), 0);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_renewal),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_not_extended),
		cmocka_unit_test(test_renewal_fails),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_gone_near_end),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_given_back_at_end),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_other_provider),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_while_renewing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
