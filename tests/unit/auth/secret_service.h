/* secret_service.h -- a clock that the test moves, and a provider of secrets that says what the test wants and
 * counts what it is asked; for secret_fixture.h only. With SECRET_FIXTURE_REAL_LOOP the loop and the clock
 * are the real ones. */
#ifndef TESTS_SECRET_SERVICE_H
#define TESTS_SECRET_SERVICE_H

#ifndef SECRET_FIXTURE_REAL_LOOP
#include "tests/scenario/fake_loop.c"
#endif

#include "auth/secret_source.h"
#include "proxy/base/loop.h"
#include "proxy/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND	   1000
#define MINUTE	   (60 * SECOND)
#define HOUR	   (60 * MINUTE)
#define UNIX_START INT64_C(1790000000000)

/* ---- the clock ---- */

#ifndef SECRET_FIXTURE_REAL_LOOP
/* The cache compares times of its loop with the clock itself: both must be the test's. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = (time_t)(fake_loop_now_ms() / 1000);
	ts->tv_nsec = (long)(fake_loop_now_ms() % 1000 * 1000000);
	return 0;
}

static inline int64_t
fixture_unix_ms(void)
{
	return UNIX_START + (int64_t)fake_loop_now_ms();
}
#else
static inline int64_t
fixture_unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
#endif

/* ---- the provider ---- */

/* What it says about one stage. `user` NULL = no such version. */
struct said {
	enum secret_error error;
	const char *message, *user, *password, *host, *version, *lease;
	int64_t life_ms, refresh_in_ms, retry_after_ms;
	bool renewable, deleted;
};

#define SAID(u, p, v)                                                                              \
	(struct said)                                                                              \
	{                                                                                          \
		.user = (u), .password = (p), .version = (v)                                       \
	}
#define FAILS(e)                                                                                   \
	(struct said)                                                                              \
	{                                                                                          \
		.error = (e), .message = "it says no"                                              \
	}

enum { REVOKED_MAX = 64 };

/* The one service behind all sources. */
static struct {
	struct said stage[3]; /* by enum secret_stage */
	struct said renewal;
	bool holds;	  /* answers wait until it no longer does */
	bool one_by_one;  /* every fetch gives another lease (or version), numbered */
	int64_t delay_ms; /* of an answer; 0 = the next turn */
	int fetched[3], renewed, revoked;
	uint64_t last_ms; /* of a question */
	char revoked_lease[REVOKED_MAX][64];
	char asked_lease[64];
	int opened, open, serial;
	void (*changed)(void *arg);
	void *changed_arg;
} service;

struct fake_source {
	struct secret_source base;
	struct loop *loop;
	struct deadline answer;
	bool busy, renewal;
	enum secret_stage stage;
	secret_fetched *done;
	void *arg;
};

static inline int
service_calls(void)
{
	return service.fetched[0] + service.fetched[1] + service.fetched[2] + service.renewed;
}

static inline void
service_answer(struct fake_source *f)
{
	struct said said = f->renewal ? service.renewal : service.stage[f->stage];
	static struct secret_value value;
	struct secret_answer a = { .error = said.error,
		.message = said.message,
		.retry_after_ms = said.retry_after_ms };
	char version[160], lease[64];

	f->busy = false;
	memset(&value, 0, sizeof(value));
	if (said.error == SECRET_OK && said.user == NULL && !f->renewal) {
		a.error = SECRET_GONE;
		a.message = "no such version";
	}
	if (a.error == SECRET_OK) {
		a.deleted = said.deleted;
		a.renewable = said.renewable;
		if (said.life_ms != 0)
			a.expires_unix_ms = fixture_unix_ms() + said.life_ms;
		if (said.refresh_in_ms != 0)
			a.refresh_unix_ms = fixture_unix_ms() + said.refresh_in_ms;
	}
	if (a.error == SECRET_OK && !f->renewal) {
		service.serial++;
		snprintf(value.user, sizeof(value.user), "%s", said.user);
		value.password_len = (size_t)snprintf(value.password, sizeof(value.password), "%s",
		    said.password);
		snprintf(value.host, sizeof(value.host), "%s", said.host != NULL ? said.host : "");
		snprintf(version, sizeof(version), "%s", said.version);
		snprintf(lease, sizeof(lease), "%s", said.lease != NULL ? said.lease : "");
		if (service.one_by_one) {
			snprintf(version, sizeof(version), "%s%d", said.version, service.serial);
			snprintf(lease, sizeof(lease), "%s%d", said.lease != NULL ? said.lease : "",
			    service.serial);
			snprintf(value.user, sizeof(value.user), "%s%d", said.user, service.serial);
		}
		a.value = &value;
		a.version = version;
		a.lease = said.lease != NULL ? lease : NULL;
	}
	f->done(f->arg, &a);
	memset(&value, 0, sizeof(value));
	memset(lease, 'x', sizeof(lease)); /* nothing of an answer may be kept */
	memset(version, 'x', sizeof(version));
}

static inline void
service_on_answer(struct deadline *d)
{
	struct fake_source *f = list_entry(d, struct fake_source, answer);

	if (service.holds)
		loop_deadline(f->loop, d, loop_now_ms(f->loop) + 20);
	else
		service_answer(f);
}

static inline struct secret_source *
fake_open_as(const struct secret_source_ops *ops, const struct config_secret *e,
    const struct secret_source_env *env, char *err, size_t errlen)
{
	struct fake_source *f;

	if (e->secret_id != NULL && strcmp(e->secret_id, "bad") == 0) {
		snprintf(err, errlen, "secret_id: found \"bad\"");
		return NULL;
	}
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->base.ops = ops;
	f->loop = env->loop;
	deadline_init(&f->answer, service_on_answer);
	service.opened++;
	service.open++;
	return &f->base;
}

static inline void
fake_question(struct secret_source *s, secret_fetched *done, void *arg)
{
	struct fake_source *f = (struct fake_source *)s;

	assert_false(f->busy); /* one at a time */
	f->busy = true;
	f->done = done;
	f->arg = arg;
	service.last_ms = loop_now_ms(f->loop);
	loop_deadline(f->loop, &f->answer, loop_now_ms(f->loop) + (uint64_t)service.delay_ms);
}

static inline void
fake_fetch(struct secret_source *s, enum secret_stage stage, secret_fetched *done, void *arg)
{
	struct fake_source *f = (struct fake_source *)s;

	fake_question(s, done, arg);
	f->renewal = false;
	f->stage = stage;
	service.fetched[stage]++;
}

static inline void
fake_renew(struct secret_source *s, const char *lease, secret_fetched *done, void *arg)
{
	struct fake_source *f = (struct fake_source *)s;

	fake_question(s, done, arg);
	f->renewal = true;
	snprintf(service.asked_lease, sizeof(service.asked_lease), "%s", lease);
	service.renewed++;
}

static inline void
fake_revoke(struct secret_source *s, const char *lease)
{
	(void)s;
	assert_true(service.revoked < REVOKED_MAX);
	snprintf(service.revoked_lease[service.revoked++], 64, "%s", lease);
}

static inline void
fake_watch(struct secret_source *s, void (*changed)(void *arg), void *arg)
{
	(void)s;
	service.changed = changed;
	service.changed_arg = arg;
}

static inline void
fake_close(struct secret_source *s)
{
	struct fake_source *f = (struct fake_source *)s;

	loop_deadline_remove(f->loop, &f->answer);
	service.open--;
	free(f);
}

static inline struct secret_source *fake_open(const struct config_secret *e,
    const struct secret_source_env *env, char *err, size_t errlen);
static inline struct secret_source *plain_open(const struct config_secret *e,
    const struct secret_source_env *env, char *err, size_t errlen);

/* "fake" has leases and can watch, "plain" has neither. */
static const struct secret_source_ops fake_ops = { "fake", fake_open, fake_fetch, fake_renew,
	fake_revoke, fake_watch, fake_close };
static const struct secret_source_ops plain_ops = { "plain", plain_open, fake_fetch, NULL, NULL,
	NULL, fake_close };

static inline struct secret_source *
fake_open(const struct config_secret *e, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	return fake_open_as(&fake_ops, e, env, err, errlen);
}

static inline struct secret_source *
plain_open(const struct config_secret *e, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	return fake_open_as(&plain_ops, e, env, err, errlen);
}

static inline const struct secret_source_ops *
fixture_find(const char *provider)
{
	if (strcmp(provider, "fake") == 0)
		return &fake_ops;
	return strcmp(provider, "plain") == 0 ? &plain_ops : NULL;
}

static inline const char *
fixture_names(void)
{
	return "fake, plain";
}

#endif
