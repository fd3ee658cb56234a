#include "auth/login_job.h"

#include "proxy/base/secret.h"
#include "proxy/base/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum job_state {
	QUEUED,	 /* in jobs->queue */
	RUNNING, /* a helper thread's */
	POSTED	 /* in the asker's mailbox, or on its way out of it */
};

struct login_job {
	struct letter letter; /* its node is also the place in the queue */
	struct login_jobs *jobs;
	struct login_request request; /* with copies of our own */
	uint64_t deadline_ms;
	enum job_state state; /* under the lock, like the next */
	bool abandoned;
	enum login_result result;
	char why[LOGIN_WHY_MAX];
};

/* Each thread and each job holds a reference, as threads that hang outlive login_jobs_free(). */
struct login_jobs {
	atomic_uint refs;
	unsigned threads_max, queue_max;
	pthread_mutex_t lock; /* everything below */
	pthread_cond_t work;  /* a job, or the end */
	pthread_cond_t gone;  /* a thread has ended */
	struct list_node queue;
	unsigned idle; /* threads that wait for work */
	bool closed;
	struct login_jobs_status status;
};

static uint64_t
monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
jobs_unref(struct login_jobs *jobs)
{
	if (atomic_fetch_sub_explicit(&jobs->refs, 1, memory_order_acq_rel) != 1)
		return;
	pthread_cond_destroy(&jobs->gone);
	pthread_cond_destroy(&jobs->work);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}

static void
jobs_ref(struct login_jobs *jobs)
{
	atomic_fetch_add_explicit(&jobs->refs, 1, memory_order_relaxed);
}

/* ---- one job ---- */

static void
wipe_password(struct login_job *job)
{
	secret_free((char *)job->request.password, job->request.password_len);
	job->request.password = NULL;
}

static void
job_free(struct login_job *job)
{
	wipe_password(job);
	free((char *)job->request.user);
	free((char *)job->request.peer);
	if (job->request.settings != NULL)
		job->request.method->unref(job->request.settings);
	jobs_unref(job->jobs);
	free(job);
}

static struct login_job *
job_new(struct login_jobs *jobs, const struct login_request *r)
{
	struct login_job *job = calloc(1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->jobs = jobs;
	jobs_ref(jobs);
	job->request = *r;
	job->request.settings = r->settings != NULL ? r->method->ref(r->settings) : NULL;
	job->request.user = strdup(r->user);
	job->request.peer = strdup(r->peer != NULL ? r->peer : "");
	job->request.password = secret_dup(r->password, r->password_len);
	job->deadline_ms = monotonic_ms() + (uint64_t)(r->timeout_ms > 0 ? r->timeout_ms : 0);
	list_init(&job->letter.node);
	if (job->request.user == NULL || job->request.peer == NULL ||
	    job->request.password == NULL) {
		job_free(job);
		return NULL;
	}
	return job;
}

/* In a helper thread, without the lock. False: it was too late to begin. */
static bool
run(struct login_job *job)
{
	const struct login_request *r = &job->request;
	struct login_attempt attempt = { .user = r->user,
		.password = r->password,
		.password_len = r->password_len,
		.peer = r->peer,
		.deadline_ms = job->deadline_ms };
	bool in_time = monotonic_ms() < job->deadline_ms;

	if (in_time) {
		job->result = r->method->check(r->settings, &attempt, job->why, sizeof(job->why));
	} else {
		job->result = LOGIN_UNAVAILABLE;
		snprintf(job->why, sizeof(job->why), "no helper thread became free in time");
	}
	wipe_password(job);
	return in_time;
}

/* In the asker's thread, as is login_job_abandon(): what it has set is seen here. */
static void
deliver_answer(struct worker *w, struct letter *l)
{
	struct login_job *job = list_entry(l, struct login_job, letter);

	(void)w;
	if (!job->abandoned)
		job->request.done(job->request.arg, job->result, job->why);
	job_free(job);
}

/* ---- threads ---- */

/* With the lock. Posts under it, so that nobody who abandoned a job before its worker ended finds
 * us posting to that worker afterwards. NULL, or the job to be freed without the lock. */
static struct login_job *
finish(struct login_jobs *jobs, struct login_job *job, bool in_time)
{
	jobs->status.busy--;
	jobs->status.done++;
	jobs->status.late += !in_time;
	if (job->abandoned || jobs->closed)
		return job;
	job->state = POSTED;
	job->letter.deliver = deliver_answer;
	worker_post(job->request.asker, &job->letter);
	return NULL;
}

/* With the lock: the next job, NULL at the end. */
static struct login_job *
next_job(struct login_jobs *jobs)
{
	struct login_job *job;

	while (list_empty(&jobs->queue) && !jobs->closed) {
		jobs->idle++;
		pthread_cond_wait(&jobs->work, &jobs->lock);
		jobs->idle--;
	}
	if (jobs->closed)
		return NULL;
	job = list_entry(list_pop(&jobs->queue), struct login_job, letter.node);
	job->state = RUNNING;
	jobs->status.queued--;
	jobs->status.busy++;
	return job;
}

static void *
thread_main(void *arg)
{
	struct login_jobs *jobs = arg;
	struct login_job *job;

	pthread_setname_np(pthread_self(), "login");
	pthread_mutex_lock(&jobs->lock);
	while ((job = next_job(jobs)) != NULL) {
		bool in_time;

		pthread_mutex_unlock(&jobs->lock);
		in_time = run(job);
		pthread_mutex_lock(&jobs->lock);
		job = finish(jobs, job, in_time);
		if (job == NULL)
			continue;
		pthread_mutex_unlock(&jobs->lock);
		job_free(job);
		pthread_mutex_lock(&jobs->lock);
	}
	jobs->status.threads--;
	pthread_cond_signal(&jobs->gone);
	pthread_mutex_unlock(&jobs->lock);
	jobs_unref(jobs);
	return NULL;
}

/* With the lock. False: there is no thread at all that could run a job. */
static bool
add_thread(struct login_jobs *jobs)
{
	sigset_t all, old;
	pthread_t thread;
	int error;

	if (jobs->status.queued <= jobs->idle || jobs->status.threads >= jobs->threads_max)
		return true;
	jobs_ref(jobs);
	/* signals belong to the main thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&thread, NULL, thread_main, jobs);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0) {
		jobs_unref(jobs);
		return jobs->status.threads > 0;
	}
	/* nobody joins: one that hangs must not hold up the end */
	pthread_detach(thread);
	jobs->status.threads++;
	return true;
}

/* ---- what askers call ---- */

struct login_job *
login_job_start(struct login_jobs *jobs, const struct login_request *r)
{
	struct login_job *job = job_new(jobs, r);
	bool taken = false;

	pthread_mutex_lock(&jobs->lock);
	if (job != NULL && !jobs->closed && jobs->status.queued < jobs->queue_max) {
		list_push_back(&jobs->queue, &job->letter.node);
		jobs->status.queued++;
		taken = add_thread(jobs);
		if (!taken) {
			list_del(&job->letter.node);
			jobs->status.queued--;
		}
	}
	if (taken)
		pthread_cond_signal(&jobs->work);
	else
		jobs->status.refused++;
	pthread_mutex_unlock(&jobs->lock);
	if (taken)
		return job;
	if (job != NULL)
		job_free(job);
	return NULL;
}

void
login_job_abandon(struct login_job *job)
{
	struct login_jobs *jobs = job->jobs;
	bool queued;

	pthread_mutex_lock(&jobs->lock);
	job->abandoned = true;
	queued = job->state == QUEUED;
	if (queued) {
		list_del(&job->letter.node);
		jobs->status.queued--;
	}
	pthread_mutex_unlock(&jobs->lock);
	if (queued)
		job_free(job);
}

void
login_jobs_status(struct login_jobs *jobs, struct login_jobs_status *out)
{
	pthread_mutex_lock(&jobs->lock);
	*out = jobs->status;
	pthread_mutex_unlock(&jobs->lock);
}

/* ---- beginning and end ---- */

struct login_jobs *
login_jobs_new(unsigned threads, unsigned queue_max)
{
	struct login_jobs *jobs = calloc(1, sizeof(*jobs));
	pthread_condattr_t attr;

	if (jobs == NULL)
		return NULL;
	atomic_init(&jobs->refs, 1);
	jobs->threads_max = threads > 0 ? threads : 1;
	jobs->queue_max = queue_max > 0 ? queue_max : 1;
	list_init(&jobs->queue);
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->work, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&jobs->gone, &attr);
	pthread_condattr_destroy(&attr);
	return jobs;
}

unsigned
login_jobs_free(struct login_jobs *jobs, int64_t wait_ms)
{
	struct list_node left, *n;
	struct timespec until;
	unsigned threads;

	if (jobs == NULL)
		return 0;
	list_init(&left);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += wait_ms % 1000 * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&jobs->lock);
	jobs->closed = true;
	list_splice_back(&left, &jobs->queue);
	jobs->status.queued = 0;
	pthread_cond_broadcast(&jobs->work);
	while (jobs->status.threads > 0 &&
	       pthread_cond_timedwait(&jobs->gone, &jobs->lock, &until) != ETIMEDOUT)
		;
	threads = jobs->status.threads;
	pthread_mutex_unlock(&jobs->lock);
	while ((n = list_pop(&left)) != NULL)
		job_free(list_entry(n, struct login_job, letter.node));
	jobs_unref(jobs);
	return threads;
}
