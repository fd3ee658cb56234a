/* The cache under threads, on a real loop: for TSan and ASan above all. */
#define SECRET_FIXTURE_REAL_LOOP
#include "tests/unit/auth/secret_fixture.h"

enum { THREADS = 3, ROTATIONS = 60 };

static atomic_bool over;
static atomic_int database; /* the number of the password that is good */
static atomic_int logged_in, refused, let_in, rows;
static char password[ROTATIONS + 2][16], version[ROTATIONS + 2][16];

static void
log_in_once(void)
{
	struct secret_version *v = secret_login(rw);
	char why[300];

	if (v == NULL) {
		secret_why_not(rw, why, sizeof(why));
		usleep(500);
		return;
	}
	if ((int)strtol(v->password, NULL, 10) >= atomic_load(&database)) {
		secret_login_worked(rw, v);
		atomic_fetch_add(&logged_in, 1);
	} else {
		secret_login_refused(rw, v);
		atomic_fetch_add(&refused, 1);
	}
	secret_version_unref(v);
}

static void
come_in_once(void)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", atomic_load(&database));
	if (fits("app", text))
		atomic_fetch_add(&let_in, 1);
	else if (!secret_is_cold(rw))
		(void)(secret_client_refused(rw) + secret_searches(rw));
	(void)secret_iterations(rw);
}

static void
count_row(void *arg, const struct secret_view *v)
{
	(void)arg;
	atomic_fetch_add(&rows, v->state[0] != '\0' && v->provider != NULL);
}

static void *
work(void *arg)
{
	unsigned n = (unsigned)(uintptr_t)arg;

	while (!atomic_load(&over)) {
		log_in_once();
		come_in_once();
		if (++n % 64 == 0) {
			secrets_each(fixture_secrets, count_row, NULL);
			(void)secrets_find(fixture_secrets, "rw");
			(void)secrets_find(fixture_secrets, "other");
		}
		usleep(100);
	}
	return NULL;
}

/* ---- the main thread: rotates, refreshes, reloads ---- */

static struct deadline tick;
static int turn;

static void
on_tick(struct deadline *d)
{
	int step = turn % 4, n = turn / 4 + 1;

	if (n > ROTATIONS) {
		loop_stop(&fixture_main.loop);
		return;
	}
	if (step == 0) {
		service.stage[SECRET_PENDING] = SAID("app", password[n], version[n]);
		atomic_store(&database, n);
	} else if (step == 2) {
		service.stage[SECRET_CURRENT] = service.stage[SECRET_PENDING];
		service.stage[SECRET_PREVIOUS] = SAID("app", password[n - 1], version[n - 1]);
	} else if (n % 8 == 7) {
		struct secret *before = rw;

		/* (the threads read rw: it must not be written, and is the same) */
		assert_ptr_equal(before, secrets_find(fixture_secrets, "rw"));
		assert_true(secrets_refresh(fixture_secrets, "rw"));
	}
	turn++;
	loop_deadline(&fixture_main.loop, d, loop_now_ms(&fixture_main.loop) + 16);
}

/* Goal: rotations with a gap, seen by threads that log in, let clients in and show, for a second: no data
 * race, no version lost or freed too early, and most logins succeed. */
static void
test_rotations(void **state)
{
	pthread_t thread[THREADS];

	(void)state;
	for (int i = 0; i < ROTATIONS + 2; i++) {
		snprintf(password[i], sizeof(password[i]), "%d", i);
		snprintf(version[i], sizeof(version[i]), "v%d", i);
	}
	fixture_init();
	service.stage[SECRET_CURRENT] = SAID("app", password[0], version[0]);
	assert_true(fixture_reload("rw = provider=fake ttl=1 min_refresh_interval=0 grace=0.05 "
				   "max_calls_per_hour=1000000\n"));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(
		    pthread_create(&thread[i], NULL, work, (void *)(uintptr_t)(21 * i)), 0);
	deadline_init(&tick, on_tick);
	loop_deadline(&fixture_main.loop, &tick, loop_now_ms(&fixture_main.loop) + 50);
	loop_run(&fixture_main.loop);
	atomic_store(&over, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	print_message("%d logins, %d refused, %d clients, %d calls, %d told\n", logged_in, refused,
	    let_in, service_calls(), told);
	assert_true(logged_in > 500);
	assert_true(refused < logged_in);
	assert_true(let_in > 100);
	assert_true(rows > 0);
	finish();
}

/* ---- leases whose last reference a thread drops ---- */

enum { HELD = 40 };

static struct secret_version *held[HELD];
static int n_held;

static void *
drop(void *arg)
{
	(void)arg;
	for (int i = 0; i < HELD; i++) {
		usleep(200);
		secret_version_unref(held[i]);
	}
	return NULL;
}

static void
on_hold(struct deadline *d)
{
	held[n_held] = secret_login(rw);
	if (held[n_held] != NULL &&
	    (n_held == 0 || held[n_held]->serial != held[n_held - 1]->serial))
		n_held++;
	else
		secret_version_unref(held[n_held]);
	if (n_held == HELD) {
		loop_stop(&fixture_main.loop);
		return;
	}
	assert_true(secrets_refresh(fixture_secrets, "rw"));
	loop_deadline(&fixture_main.loop, d, loop_now_ms(&fixture_main.loop) + 1);
}

static void
on_revoked(struct deadline *d)
{
	if (service.revoked >= HELD - 1)
		loop_stop(&fixture_main.loop);
	else
		loop_deadline(&fixture_main.loop, d, loop_now_ms(&fixture_main.loop) + 5);
}

/* Goal: each lease is given back once, although its version goes on another thread. */
static void
test_leases(void **state)
{
	pthread_t thread;

	(void)state;
	fixture_init();
	service.one_by_one = true;
	service.stage[SECRET_CURRENT] = SAID("app", "one", "v");
	service.stage[SECRET_CURRENT].lease = "l";
	service.stage[SECRET_CURRENT].life_ms = HOUR;
	assert_true(fixture_reload("rw = provider=fake max_calls_per_hour=100000\n"));
	deadline_init(&tick, on_hold);
	loop_deadline(&fixture_main.loop, &tick, loop_now_ms(&fixture_main.loop) + 20);
	loop_run(&fixture_main.loop);
	assert_int_equal(pthread_create(&thread, NULL, drop, NULL), 0);
	deadline_init(&tick, on_revoked);
	loop_deadline(&fixture_main.loop, &tick, loop_now_ms(&fixture_main.loop) + 5);
	loop_run(&fixture_main.loop);
	pthread_join(thread, NULL);
	worker_drain(&fixture_main);
	for (int i = 0; i < service.revoked; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(service.revoked_lease[i], service.revoked_lease[j]);
	loop_deadline_remove(&fixture_main.loop, &tick);
	finish();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotations),
		cmocka_unit_test(test_leases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
