/* Clients that show the user and a password of a secret: old, new and wrong ones. */
#include "tests/unit/auth/secret_fixture.h"

static struct said *const current = &service.stage[SECRET_CURRENT],
			  *const pending = &service.stage[SECRET_PENDING],
			  *const previous = &service.stage[SECRET_PREVIOUS];

/* Goal: a client that knows a newer password is let in at the first try; the old one stays good for the
 * time of grace and not longer, whatever AWSPREVIOUS says. */
static void
test_client_newer(void **state)
{
	uint64_t ms;

	(void)state;
	begin_warm("ttl=86400 grace=60");
	*current = SAID("app", "two", "v2");
	*previous = SAID("app", "one", "v1");
	assert_true(client("app", "two", &ms));
	assert_true(ms < 100);
	assert_true(fits("app", "one"));
	pass(59 * SECOND);
	assert_true(client("app", "one", NULL));
	pass(2 * SECOND);
	assert_false(client("app", "one", NULL));
	pass(5 * MINUTE);
	assert_false(client("app", "one", NULL));
	assert_true(client("app", "two", NULL));
	finish();
}

/* Goal: during the gap clients come in with the pending password, servers go on with the current one. */
static void
test_client_pending(void **state)
{
	(void)state;
	begin_warm("ttl=86400");
	*pending = SAID("app", "two", "v2");
	assert_true(client("app", "two", NULL));
	assert_true(client("app", "one", NULL));
	assert_logs_in("app/one");
	/* the database moves on: the first refusal finds it there already */
	assert_int_equal(serve("app/two", SECOND), 1);
	assert_logs_in("app/two");
	finish();
}

/* Goal: after a start in the middle of things the version before lets clients in, for one grace, and no
 * server uses it. */
static void
test_client_previous(void **state)
{
	(void)state;
	begin_warm("ttl=86400 grace=30");
	*previous = SAID("app_clone", "zero", "v0");
	assert_true(client("app_clone", "zero", NULL));
	assert_logs_in("app/one");
	pass(31 * SECOND);
	assert_false(client("app_clone", "zero", NULL));
	pass(MINUTE);
	assert_false(client("app_clone", "zero", NULL));
	finish();
}

/* Goal: wrong passwords in a loop: after 0, 1, 3, 7 ... s a search of three stages, all others are refused
 * within 2 s. */
static void
test_client_wrong(void **state)
{
	uint64_t end = fake_loop_now_ms() + 10 * MINUTE, ms;
	int tries = 0;

	(void)state;
	begin_warm("ttl=86400");
	for (; fake_loop_now_ms() < end; tries++) {
		assert_false(client("app", "wrong", &ms));
		assert_true(ms < 2100);
		if (ms == 0)
			pass(10);
	}
	assert_true(tries > 100);
	assert_in_range(service_calls(), 3 * 20, 3 * 28);
	look();
	assert_int_equal(seen.forced, 0);
	finish();
}

/* Goal: clients with wrong passwords do not put off the question that a refused server needs. */
static void
test_client_wrong_in_rotation(void **state)
{
	uint64_t end;

	(void)state;
	begin_warm("ttl=86400");
	end = fake_loop_now_ms() + 2 * MINUTE;
	while (fake_loop_now_ms() < end) {
		(void)client("app", "wrong", NULL);
		pass(10);
	}
	*current = SAID("app", "two", "v2");
	assert_in_range(serve("app/two", 200), 1, 2);
	assert_logs_in("app/two");
	finish();
}

/* Goal: nor do they use up the calls of the hour. */
static void
test_client_wrong_budget(void **state)
{
	(void)state;
	begin_warm("ttl=86400 max_calls_per_hour=40");
	for (int i = 0; i < 50 * 60; i++) {
		(void)client("app", "wrong", NULL);
		pass(SECOND);
	}
	assert_in_range(service_calls(), 10, 24);
	*current = SAID("app", "two", "v2");
	(void)serve("app/two", 2 * SECOND);
	assert_logs_in("app/two");
	finish();
}

/* Goal: wrong passwords while the provider is away, and for a lease that only we know, cost nothing. */
static void
test_client_wrong_otherwise(void **state)
{
	int calls;

	(void)state;
	begin_warm("ttl=86400");
	*current = FAILS(SECRET_TRANSIENT);
	for (int i = 0; i < 300; i++) {
		assert_false(client("app", "wrong", NULL));
		pass(SECOND);
	}
	assert_true(service_calls() < 60);
	finish();
	begin("");
	current->lease = "l1";
	current->life_ms = HOUR;
	pass(20);
	calls = service_calls();
	for (int i = 0; i < 100; i++) {
		assert_false(client("app", "wrong", NULL));
		pass(100);
	}
	assert_int_equal(service_calls(), calls);
	finish();
}

/* Goal: clients that come while a search is on its way wait for its end, not for one of their own. */
static void
test_client_joins(void **state)
{
	unsigned searches[20];
	int calls;

	(void)state;
	begin_warm("ttl=86400");
	service.holds = true;
	for (int i = 0; i < 20; i++) {
		searches[i] = secret_client_refused(rw);
		pass(20);
		assert_int_equal(secret_searches(rw), searches[i]);
	}
	told = 0;
	service.holds = false;
	pass(100);
	for (int i = 0; i < 20; i++)
		assert_int_not_equal(secret_searches(rw), searches[i]);
	assert_int_equal(service_calls(), 1 + 3);
	assert_int_equal(told, 1);
	/* and one that joins the servers' search is answered by it, although it may not ask itself */
	pass(500);
	service.holds = true;
	assert_string_equal(log_in("app/none"), NOBODY);
	pass(20);
	calls = service_calls();
	searches[0] = secret_client_refused(rw);
	pass(20);
	service.holds = false;
	pass(200);
	assert_int_not_equal(secret_searches(rw), searches[0]);
	assert_int_equal(service_calls(), calls + 2);
	finish();
}

/* Where a client's search stands when it is told that something has changed. */
static bool told_in_order;
static unsigned searches_before;

static void
check_order(void *arg, struct secret *s)
{
	(void)arg;
	if (fits("app", "two"))
		told_in_order = secret_searches(s) != searches_before;
}

/* Goal: who is told finds both the new version and the end of the search: in no order of events is a client
 * refused whose password has just arrived. */
static void
test_order(void **state)
{
	struct secrets_settings use = { .main = &fixture_main,
		.find = fixture_find,
		.names = fixture_names,
		.changed = check_order,
		.unix_ms = fixture_unix_ms };
	struct said *const stages[] = { current, pending, previous };

	(void)state;
	for (int i = 0; i < 3; i++) {
		fixture_init();
		secrets_free(fixture_secrets);
		fixture_secrets = secrets_new(&use);
		*current = SAID("app", "one", "v1");
		assert_true(fixture_reload("rw = provider=fake ttl=86400\n"));
		pass(20);
		*stages[i] = SAID("app", "two", "v2");
		told_in_order = false;
		searches_before = secret_client_refused(rw);
		while (secret_searches(rw) == searches_before) {
			assert_false(told_in_order);
			pass(16);
		}
		assert_true(told_in_order);
		finish();
	}
}

/* Goal: a version that is neither current, nor pending, nor within its grace lets nobody in; nor do empty
 * and unknown names. */
static void
test_candidates(void **state)
{
	struct secret_version *v[SECRET_CANDIDATES];

	(void)state;
	begin_warm("grace=10 ttl=86400");
	*current = SAID("app", "two", "v2");
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	pass(20);
	*pending = SAID("app", "three", "v3");
	assert_true(client("app", "three", NULL));
	assert_int_equal(secret_candidates(rw, "app", v), 3);
	assert_string_equal(v[0]->password, "two");
	assert_string_equal(v[1]->password, "three");
	assert_string_equal(v[2]->password, "one");
	for (int i = 0; i < 3; i++)
		secret_version_unref(v[i]);
	assert_int_equal(secret_candidates(rw, "App", v), 0);
	assert_int_equal(secret_candidates(rw, "", v), 0);
	/* the rotation is given up and another one done: what was pending is nothing any more */
	*current = SAID("app", "four", "v4");
	*pending = FAILS(SECRET_GONE);
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	pass(20);
	assert_false(fits("app", "three"));
	assert_true(fits("app", "two"));
	pass(11 * SECOND);
	assert_false(fits("app", "two"));
	assert_true(fits("app", "four"));
	assert_int_equal(secret_iterations(rw), 2);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_client_newer),
		cmocka_unit_test(test_client_pending),
		cmocka_unit_test(test_client_previous),
		cmocka_unit_test(test_client_wrong),
		cmocka_unit_test(test_client_wrong_in_rotation),
		cmocka_unit_test(test_client_wrong_budget),
		cmocka_unit_test(test_client_wrong_otherwise),
		cmocka_unit_test(test_client_joins),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_candidates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
