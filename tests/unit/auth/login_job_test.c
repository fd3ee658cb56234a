#include "auth/login_job.h"

#include "proxy/base/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* A method whose "server" hangs as long as a test likes. */
struct fake {
	atomic_int refs, inside, asked;
	pthread_mutex_t gate; /* held: everybody hangs */
	char seen[64];	      /* user, password, peer of the last attempt */
};

static struct fake fake = { .gate = PTHREAD_MUTEX_INITIALIZER };

static void *
fake_ref(void *settings)
{
	atomic_fetch_add(&((struct fake *)settings)->refs, 1);
	return settings;
}

static void
fake_unref(void *settings)
{
	atomic_fetch_sub(&((struct fake *)settings)->refs, 1);
}

static enum login_result
fake_check(const void *settings, const struct login_attempt *a, char *why, size_t whylen)
{
	struct fake *f = (struct fake *)settings;

	atomic_fetch_add(&f->asked, 1);
	atomic_fetch_add(&f->inside, 1);
	pthread_mutex_lock(&f->gate);
	snprintf(f->seen, sizeof(f->seen), "%s/%s/%s", a->user, a->password, a->peer);
	pthread_mutex_unlock(&f->gate);
	atomic_fetch_sub(&f->inside, 1);
	if (strcmp(a->password, "right") == 0)
		return LOGIN_OK;
	snprintf(why, whylen, "not you, %s", a->user);
	return LOGIN_REFUSED;
}

static const struct login_method method = { "fake", fake_check, fake_ref, fake_unref };

/* One asker: the worker of this thread, and what it was told. */
struct asker {
	struct worker worker;
	int told, ok, stop_at;
	char why[LOGIN_WHY_MAX];
};

static void
told(void *arg, enum login_result r, const char *why)
{
	struct asker *a = arg;

	a->told++;
	a->ok += r == LOGIN_OK;
	snprintf(a->why, sizeof(a->why), "%s", why);
	if (a->told == a->stop_at)
		loop_stop(&a->worker.loop);
}

static struct login_job *
start(struct login_jobs *jobs, struct asker *a, const char *password, int64_t timeout_ms)
{
	struct login_request r = { .asker = &a->worker,
		.method = &method,
		.settings = &fake,
		.user = "me",
		.password = password,
		.password_len = strlen(password),
		.peer = "::1",
		.timeout_ms = timeout_ms,
		.done = told,
		.arg = a };

	return login_job_start(jobs, &r);
}

static void
wait_told(struct asker *a, int n)
{
	a->stop_at = n;
	if (a->told < n)
		loop_run(&a->worker.loop);
	assert_int_equal(a->told, n);
}

static void
wait_inside(int n)
{
	for (int i = 0; i < 5000 && atomic_load(&fake.inside) != n; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&fake.inside), n);
}

static int
set_up(void **state)
{
	struct asker *a = calloc(1, sizeof(*a));

	atomic_store(&fake.asked, 0);
	if (a == NULL || worker_init(&a->worker, "asker", 0) == -1)
		return -1;
	*state = a;
	return 0;
}

static int
tear_down(void **state)
{
	struct asker *a = *state;

	worker_drain(&a->worker);
	worker_destroy(&a->worker);
	free(a);
	return atomic_load(&fake.refs) == 0 ? 0 : -1;
}

/* goal: each job is answered once, in the asker's thread, with the method's reason */
static void
test_answers(void **state)
{
	struct login_jobs *jobs = login_jobs_new(2, 10);
	struct asker *a = *state;
	char password[] = "right";

	assert_non_null(start(jobs, a, password, 5000));
	memset(password, 'x', 5); /* it has a copy */
	wait_told(a, 1);
	assert_int_equal(a->ok, 1);
	assert_string_equal(fake.seen, "me/right/::1");
	assert_non_null(start(jobs, a, "wrong", 5000));
	wait_told(a, 2);
	assert_int_equal(a->ok, 1);
	assert_string_equal(a->why, "not you, me");
	assert_int_equal(login_jobs_free(jobs, 5000), 0);
	login_jobs_free(NULL, 0);
}

/* goal: a server that hangs costs the helper threads; then the queue fills, and more is refused at
 * once; all is answered when it comes back */
static void
test_hung(void **state)
{
	struct login_jobs *jobs = login_jobs_new(2, 3);
	struct login_jobs_status s;
	struct asker *a = *state;

	pthread_mutex_lock(&fake.gate);
	for (int i = 0; i < 2; i++)
		assert_non_null(start(jobs, a, "right", 60000));
	wait_inside(2);
	for (int i = 0; i < 3; i++)
		assert_non_null(start(jobs, a, "right", 60000));
	assert_null(start(jobs, a, "right", 60000));
	login_jobs_status(jobs, &s);
	assert_int_equal(s.threads, 2);
	assert_int_equal(s.busy, 2);
	assert_int_equal(s.queued, 3);
	assert_int_equal(s.refused, 1);
	pthread_mutex_unlock(&fake.gate);
	wait_told(a, 5);
	assert_int_equal(a->ok, 5);
	assert_int_equal(login_jobs_free(jobs, 5000), 0);
}

/* goal: an abandoned job is never answered, whether it waits, runs, or its answer is on the way */
static void
test_abandon(void **state)
{
	struct login_jobs *jobs = login_jobs_new(1, 3);
	struct login_job *running, *queued, *posted;
	struct login_jobs_status s;
	struct asker *a = *state;

	pthread_mutex_lock(&fake.gate);
	running = start(jobs, a, "right", 60000);
	wait_inside(1);
	queued = start(jobs, a, "right", 60000);
	posted = start(jobs, a, "right", 60000);
	login_job_abandon(running);
	login_job_abandon(queued);
	login_jobs_status(jobs, &s);
	assert_int_equal(s.queued, 1);
	pthread_mutex_unlock(&fake.gate);
	do {
		usleep(1000);
		login_jobs_status(jobs, &s);
	} while (s.done < 2);
	login_job_abandon(posted);
	worker_drain(&a->worker);
	assert_int_equal(a->told, 0);
	assert_int_equal(atomic_load(&fake.asked), 2);
	assert_int_equal(login_jobs_free(jobs, 5000), 0);
}

/* goal: a job whose time is up before a thread is free is answered without asking the server */
static void
test_late(void **state)
{
	struct login_jobs *jobs = login_jobs_new(1, 3);
	struct login_jobs_status s;
	struct asker *a = *state;

	pthread_mutex_lock(&fake.gate);
	assert_non_null(start(jobs, a, "right", 60000));
	wait_inside(1);
	assert_non_null(start(jobs, a, "right", 1));
	usleep(5000);
	pthread_mutex_unlock(&fake.gate);
	wait_told(a, 2);
	assert_int_equal(a->ok, 1);
	assert_non_null(strstr(a->why, "in time"));
	assert_int_equal(atomic_load(&fake.asked), 1);
	login_jobs_status(jobs, &s);
	assert_int_equal(s.late, 1);
	assert_int_equal(login_jobs_free(jobs, 5000), 0);
}

/* goal: the end does not wait for a thread that hangs, which later touches nobody's memory: neither
 * the jobs' nor the asker's */
static void
test_end(void **state)
{
	struct login_jobs *jobs = login_jobs_new(1, 3);
	struct asker *a = *state;

	pthread_mutex_lock(&fake.gate);
	assert_non_null(start(jobs, a, "right", 60000));
	wait_inside(1);
	assert_non_null(start(jobs, a, "right", 60000));
	assert_int_equal(login_jobs_free(jobs, 20), 1);
	pthread_mutex_unlock(&fake.gate);
	for (int i = 0; i < 5000 && atomic_load(&fake.refs) != 0; i++)
		usleep(1000);
	worker_drain(&a->worker);
	assert_int_equal(a->told, 0);
}

/* ---- many at once ---- */

enum { STORM_ASKERS = 3, STORM_JOBS = 300 };

struct storm {
	struct asker asker;
	struct login_jobs *jobs;
	struct letter letter;
	int started, abandoned;
};

static void
on_storm(struct worker *w, struct letter *l)
{
	struct storm *s = list_entry(l, struct storm, letter);
	struct login_job *job;

	(void)w;
	for (int i = 0; i < STORM_JOBS; i++) {
		job = start(s->jobs, &s->asker, i % 2 ? "right" : "wrong", 60000);
		if (job == NULL) {
			usleep(50);
			continue;
		}
		s->started++;
		if (i % 3 == 0) {
			login_job_abandon(job);
			s->abandoned++;
		}
	}
	s->asker.stop_at = s->started - s->abandoned;
	if (s->asker.told == s->asker.stop_at)
		loop_stop(&w->loop);
}

static void *
storm_main(void *arg)
{
	struct storm *s = arg;

	worker_post(&s->asker.worker, &s->letter);
	loop_run(&s->asker.worker.loop);
	return NULL;
}

/* goal: askers of several threads that start and abandon at will get exactly what they have not
 * abandoned */
static void
test_storm(void **state)
{
	struct login_jobs *jobs = login_jobs_new(4, 20);
	static struct storm storms[STORM_ASKERS];
	pthread_t threads[STORM_ASKERS];

	(void)state;
	for (int i = 0; i < STORM_ASKERS; i++) {
		storms[i] = (struct storm){ .jobs = jobs, .letter.deliver = on_storm };
		assert_int_equal(worker_init(&storms[i].asker.worker, "storm", i), 0);
		list_init(&storms[i].letter.node);
		assert_int_equal(pthread_create(&threads[i], NULL, storm_main, &storms[i]), 0);
	}
	for (int i = 0; i < STORM_ASKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(login_jobs_free(jobs, 10000), 0);
	for (int i = 0; i < STORM_ASKERS; i++) {
		worker_drain(&storms[i].asker.worker);
		assert_int_equal(storms[i].asker.told, storms[i].started - storms[i].abandoned);
		worker_destroy(&storms[i].asker.worker);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hung, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_abandon, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_late, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_storm, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
