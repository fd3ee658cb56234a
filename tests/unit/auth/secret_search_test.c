/* What a refused login sets off: forced questions, rotations with a gap, alternating users. */
#include "tests/unit/auth/secret_fixture.h"

static struct said *const current = &service.stage[SECRET_CURRENT],
			  *const pending = &service.stage[SECRET_PENDING],
			  *const previous = &service.stage[SECRET_PREVIOUS];

/* Goal: a server that refuses everything makes the provider be asked after 0, 1, 3, 7 ... s, then every
 * 30 s, three stages each; and is itself bothered as seldom. */
static void
test_forced_bounded(void **state)
{
	int refused;

	(void)state;
	begin_warm("ttl=86400");
	refused = serve("app/none", 31 * SECOND);
	assert_in_range(service.fetched[SECRET_CURRENT], 1 + 5, 1 + 6);
	assert_in_range(service.fetched[SECRET_PENDING], 5, 6);
	assert_in_range(refused, 5, 14);
	assert_state("refused");
	refused = serve("app/none", 10 * MINUTE);
	assert_in_range(service_calls(), 3 * 20, 3 * 30);
	assert_in_range(refused, 19, 45);
	look();
	assert_in_range(seen.forced, 20, 30);
	finish();
}

/* Goal: many connections that are refused at once are one question, and those that come back late, when
 * another version is in use, say nothing about it. */
static void
test_refused_at_once(void **state)
{
	struct secret_version *v[50];

	(void)state;
	begin_warm("");
	for (int i = 0; i < 50; i++)
		v[i] = secret_login(rw);
	*current = SAID("app", "two", "v2");
	for (int i = 0; i < 25; i++)
		secret_login_refused(rw, v[i]);
	pass(40);
	assert_int_equal(service_calls(), 2);
	assert_logs_in("app/two");
	for (int i = 25; i < 50; i++)
		secret_login_refused(rw, v[i]);
	pass(40);
	assert_int_equal(service_calls(), 2);
	assert_logs_in("app/two");
	assert_logs_in("app/two");
	for (int i = 0; i < 50; i++)
		secret_version_unref(v[i]);
	finish();
}

/* Goal: a refusal while a question is in flight joins it, and is answered. */
static void
test_refused_while_asking(void **state)
{
	(void)state;
	begin_warm("");
	*pending = SAID("app", "two", "v2");
	service.holds = true;
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	pass(20);
	assert_string_equal(log_in("app/two"), NOBODY);
	pass(20);
	assert_int_equal(service.fetched[SECRET_CURRENT], 2);
	service.holds = false;
	assert_int_equal(serve("app/two", 200), 0);
	assert_logs_in("app/two");
	assert_int_equal(service.fetched[SECRET_CURRENT], 2);
	finish();
}

/* Goal: the gap of a rotation. The database has the new password, AWSCURRENT is the old one for 30 s: one
 * login is refused, AWSPENDING is used, is asked for once, and becomes the current one in place. */
static void
test_gap(void **state)
{
	struct secret_version *v, *w;

	(void)state;
	begin_warm("ttl=20");
	assert_logs_in("app/one");
	*pending = SAID("app", "two", "v2");
	assert_int_equal(serve("app/two", 30 * SECOND), 1);
	assert_state("rotating");
	assert_string_equal(seen_version, "v2");
	assert_int_equal(service.fetched[SECRET_PENDING], 1);
	assert_int_equal(service.fetched[SECRET_PREVIOUS], 0);
	v = secret_login(rw);
	*current = *pending; /* and AWSPENDING stays on it, as AWS leaves it */
	assert_int_equal(serve("app/two", 30 * SECOND), 0);
	assert_state("ok");
	assert_int_equal(seen.changes, 1);
	w = secret_login(rw);
	assert_ptr_equal(v, w);
	secret_version_unref(v);
	secret_version_unref(w);
	finish();
}

/* Goal: a pending version that the database does not take is tried once, whatever comes later; the current
 * one is tried again and again. */
static void
test_pending_once(void **state)
{
	(void)state;
	begin_warm("");
	*pending = SAID("app", "two", "v2");
	for (int i = 0; i < 100; i++) {
		const char *pair = log_in("app/none");
		struct secret_version *v;

		if (i > 20 && pair != NULL) {
			v = secret_login(rw);
			assert_true(v == NULL || strcmp(v->password, "one") == 0);
			secret_version_unref(v);
		}
		pass(100);
	}
	assert_state("refused");
	assert_string_equal(seen_version, "v1");
	/* the old password is good after all */
	(void)serve("app/one", 31 * SECOND);
	assert_logs_in("app/one");
	assert_state("ok");
	finish();
}

/* Goal: another version is pending later: it is tried, too. */
static void
test_next_pending(void **state)
{
	(void)state;
	begin_warm("");
	*pending = SAID("app", "two", "v2");
	(void)serve("app/none", 2 * SECOND);
	*pending = SAID("app", "three", "v3");
	(void)serve("app/three", 10 * SECOND);
	assert_logs_in("app/three");
	assert_state("rotating");
	finish();
}

/* Goal: the second rotation begins before anybody has noticed the end of the first: what was pending, then
 * good, is refused, has become the current one, and the search goes on past it. */
static void
test_two_rotations(void **state)
{
	(void)state;
	begin_warm("ttl=86400");
	*pending = SAID("app", "two", "v2");
	(void)serve("app/two", 10 * SECOND);
	assert_logs_in("app/two");
	*current = SAID("app", "two", "v2");
	*pending = SAID("app", "three", "v3");
	assert_in_range(serve("app/three", SECOND), 1, 2);
	assert_logs_in("app/three");
	*current = SAID("app", "three", "v3");
	(void)serve("app/three", 2 * SECOND);
	/* without any pending stage */
	*pending = FAILS(SECRET_NOT_SERVED);
	*current = SAID("app", "four", "v4");
	(void)serve("app/four", 2 * SECOND);
	assert_logs_in("app/four");
	finish();
}

/* Goal: rotations every 3 s, with a gap of 1 s each: the pause between forced questions does not grow. */
static void
test_many_rotations(void **state)
{
	char password[2][20], version[2][20], takes[40];

	(void)state;
	begin_warm("ttl=300");
	assert_logs_in("app/one");
	for (int i = 0; i < 40; i++) {
		snprintf(password[i % 2], 20, "p%d", i);
		snprintf(version[i % 2], 20, "r%d", i);
		snprintf(takes, sizeof(takes), "app/p%d", i);
		*pending = SAID("app", password[i % 2], version[i % 2]);
		assert_in_range(serve(takes, SECOND), 0, 2);
		assert_logs_in(takes);
		*current = *pending;
		(void)serve(takes, 2 * SECOND);
	}
	assert_true(service_calls() < 40 * 6);
	finish();
}

/* Goal: a rotation is taken back: what was pending and good is refused, the current one is tried at once. */
static void
test_taken_back(void **state)
{
	(void)state;
	begin_warm("");
	*pending = SAID("app", "two", "v2");
	(void)serve("app/two", 5 * SECOND);
	assert_logs_in("app/two");
	assert_string_equal(log_in("app/one"), NOBODY);
	pass(20);
	assert_logs_in("app/one");
	pass(20);
	assert_state("ok");
	finish();
}

/* Goal: users alternate and the current one is refused: AWSPREVIOUS, another user, is used; connections of
 * the first are retired, and in use again when the second fails. */
static void
test_alternating(void **state)
{
	struct secret_version *a, *b;

	(void)state;
	begin_warm("");
	*previous = SAID("app_clone", "zero", "v0");
	a = secret_login(rw);
	(void)serve("app_clone/zero", SECOND);
	assert_logs_in("app_clone/zero");
	b = secret_login(rw);
	assert_state("rotating");
	assert_string_equal(seen_user, "app_clone");
	assert_true(a->retired);
	assert_false(b->retired);
	/* both are accepted from clients */
	assert_true(fits("app", "one"));
	assert_true(fits("app_clone", "zero"));
	/* the second is refused: the first gets its chance at once */
	secret_login_refused(rw, b);
	pass(20);
	assert_logs_in("app/one");
	pass(20);
	assert_false(a->retired);
	assert_true(b->retired);
	assert_state("ok");
	secret_version_unref(a);
	secret_version_unref(b);
	finish();
}

/* Goal: users take turns as AWS does it: the switch retires the former user, each time. */
static void
test_turns(void **state)
{
	struct secret_version *v[4];

	(void)state;
	begin_warm("ttl=10");
	for (int i = 0; i < 4; i++) {
		static char password[4][8], version[4][8];

		v[i] = secret_login(rw);
		snprintf(password[i], 8, "p%d", i);
		snprintf(version[i], 8, "r%d", i);
		*previous = *current;
		*current = SAID(i % 2 == 0 ? "app_clone" : "app", password[i], version[i]);
		pass(12 * SECOND);
		assert_true(v[i]->retired);
		assert_logs_in(i % 2 == 0 ? (i == 0 ? "app_clone/p0" : "app_clone/p2")
					  : (i == 1 ? "app/p1" : "app/p3"));
		/* the one before is good for clients */
		assert_true(fits(v[i]->user, v[i]->password));
	}
	for (int i = 0; i < 4; i++)
		secret_version_unref(v[i]);
	assert_int_equal(service.fetched[SECRET_PREVIOUS], 0);
	finish();
}

/* Goal: the previous password of the same user opens nothing, so servers are not bothered with it. */
static void
test_previous_same_user(void **state)
{
	(void)state;
	begin_warm("");
	*previous = SAID("app", "zero", "v0");
	(void)serve("app/zero", 5 * SECOND);
	assert_state("refused");
	assert_string_equal(seen_version, "v1");
	assert_false(fits("app", "zero"));
	finish();
}

/* Goal: every fetch of a token or a lease gives another one. A database that refuses them all must not be
 * a storm of logins and new roles. */
static void
test_always_new(void **state)
{
	int refused;

	(void)state;
	begin("");
	service.one_by_one = true;
	current->lease = "l";
	current->life_ms = HOUR;
	pass(20);
	refused = serve("nobody", MINUTE);
	assert_true(refused < 20);
	assert_true(service_calls() < 12);
	/* no role is left behind but the one in use */
	pass(SECOND);
	assert_int_equal(service.revoked, service.serial - 1);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forced_bounded),
		cmocka_unit_test(test_refused_at_once),
		cmocka_unit_test(test_refused_while_asking),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_pending_once),
		cmocka_unit_test(test_next_pending),
		cmocka_unit_test(test_two_rotations),
		cmocka_unit_test(test_many_rotations),
		cmocka_unit_test(test_taken_back),
		cmocka_unit_test(test_alternating),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_previous_same_user),
		cmocka_unit_test(test_always_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
