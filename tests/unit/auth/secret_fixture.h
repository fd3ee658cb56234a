/* secret_fixture.h -- the secrets cache on a clock that the test moves, a provider that says what the test
 * wants, and a database and clients that know passwords; for the tests of auth/secret*.c and secrets.c
 * only. Static, so that each test stays one file. With SECRET_FIXTURE_REAL_LOOP the loop and the clock are
 * the real ones. */
#ifndef TESTS_SECRET_FIXTURE_H
#define TESTS_SECRET_FIXTURE_H

#ifndef SECRET_FIXTURE_REAL_LOOP
#include "tests/scenario/fake_loop.c"
#endif

#include "auth/secret.h"
#include "auth/secret_source.h"
#include "auth/secret_version.h"
#include "auth/secrets.h"
#include "proxy/base/log.h"
#include "proxy/base/secure.h"
#include "proxy/base/worker.h"
#include "proxy/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
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

/* ---- the cache ---- */

static struct worker fixture_main;
static struct secrets *fixture_secrets;
static struct secret *rw; /* the entry "rw" */
static int told;	  /* calls of `changed` */
static char fixture_faults[1024];
static size_t bytes_before; /* what a test that failed has left */

static inline void
fixture_changed(void *arg, struct secret *s)
{
	(void)arg;
	(void)s;
	told++;
}

static inline void
fixture_say(void *arg, bool is_error, const char *file, int line, const char *text)
{
	size_t len = strlen(fixture_faults);

	(void)arg;
	(void)file;
	assert_true(is_error);
	snprintf(fixture_faults + len, sizeof(fixture_faults) - len, "%d: %s\n", line, text);
}

/* The reference is the caller's. */
static inline struct config *
fixture_config(const char *entries)
{
	char path[] = "/tmp/secret_test.XXXXXX";
	struct config *cfg;
	FILE *f = fdopen(mkstemp(path), "w");

	assert_non_null(f);
	/* cheap verifiers */
	fprintf(f,
	    "[databases]\n[pgsluice]\nauth_type = trust\nscram_iterations = 2\n[secrets]\n%s",
	    entries);
	fclose(f);
	cfg = config_load(path, NULL, NULL);
	unlink(path);
	assert_non_null(cfg);
	return cfg;
}

/* False when there are faults; fixture_faults has them. */
static inline bool
fixture_reload(const char *entries)
{
	struct config *cfg = fixture_config(entries);
	struct secrets_plan *plan;

	fixture_faults[0] = '\0';
	plan = secrets_prepare(fixture_secrets, cfg, fixture_say, NULL);
	if (plan != NULL)
		secrets_commit(fixture_secrets, plan);
	config_unref(cfg);
	rw = secrets_find(fixture_secrets, "rw");
	return plan != NULL;
}

static inline void
fixture_init(void)
{
	struct secrets_settings use = { .main = &fixture_main,
		.find = fixture_find,
		.names = fixture_names,
		.changed = fixture_changed,
		.unix_ms = fixture_unix_ms };
	struct log_settings quiet = { .verbose = 0, .to_stderr = getenv("SECRET_LOG") != NULL };

	memset(&service, 0, sizeof(service));
	told = 0;
	bytes_before = secure_bytes();
	assert_int_equal(log_setup(&quiet), 0);
	assert_int_equal(worker_init(&fixture_main, "main", -1), 0);
	fixture_secrets = secrets_new(&use);
	assert_non_null(fixture_secrets);
}

#ifndef SECRET_FIXTURE_REAL_LOOP
static inline void
settle(void)
{
	fake_loop_settle();
}

static inline void
pass(uint64_t ms)
{
	fake_loop_advance(ms);
}

/* "rw = provider=fake ..." and what the service says; asked for, not answered yet. */
static inline void
begin(const char *options)
{
	char line[400];

	fixture_init();
	service.stage[SECRET_CURRENT] = SAID("app", "one", "v1");
	snprintf(line, sizeof(line), "rw = provider=fake %s\n", options);
	assert_true(fixture_reload(line));
	assert_non_null(rw);
}

static inline void
begin_warm(const char *options)
{
	begin(options);
	pass(20);
}
#endif

/* Nothing is left: no source, no secret in memory, no lease unless it was asked for. */
static inline void
finish(void)
{
	worker_drain(&fixture_main);
	secrets_free(fixture_secrets);
	worker_destroy(&fixture_main);
	assert_int_equal(service.open, 0);
	assert_int_equal(secure_bytes(), bytes_before);
}

/* ---- what is seen of it ---- */

static struct secret_view seen;
static char seen_version[160], seen_user[80], seen_error[300], seen_state[20], seen_name[80];
static int seen_rows;

static inline void
see_row(void *arg, const struct secret_view *v)
{
	const char *name = arg;

	seen_rows++;
	if (strcmp(v->name, name) != 0)
		return;
	seen = *v;
	snprintf(seen_name, sizeof(seen_name), "%s", v->name);
	snprintf(seen_version, sizeof(seen_version), "%s", v->version);
	snprintf(seen_user, sizeof(seen_user), "%s", v->user);
	snprintf(seen_error, sizeof(seen_error), "%s", v->error);
	snprintf(seen_state, sizeof(seen_state), "%s", v->state);
}

static inline void
look_at(const char *name)
{
	char key[80];

	snprintf(key, sizeof(key), "%s", name);
	seen_rows = 0;
	secrets_each(fixture_secrets, see_row, key);
}

static inline void
look(void)
{
	look_at("rw");
}

#define assert_state(word)                                                                         \
	do {                                                                                       \
		look();                                                                            \
		assert_string_equal(seen_state, word);                                             \
	} while (0)

/* ---- the database ---- */

#define NOBODY "-"

/* Logs in as a pool does: "user/password" that was taken, NOBODY when the server said no, NULL when there
 * is no version. `takes` = "user/password", NULL = it is not asked for an answer. */
static inline const char *
log_in(const char *takes)
{
	static char pair[200];
	struct secret_version *v = secret_login(rw);

	if (v == NULL)
		return NULL;
	snprintf(pair, sizeof(pair), "%s/%s", v->user, v->password);
	if (takes != NULL && strcmp(takes, pair) == 0)
		secret_login_worked(rw, v);
	else if (takes != NULL)
		secret_login_refused(rw, v);
	secret_version_unref(v);
	return takes == NULL || strcmp(takes, pair) == 0 ? pair : NOBODY;
}

#define assert_logs_in(takes)                                                                      \
	do {                                                                                       \
		const char *pair_ = log_in(takes);                                                 \
		assert_non_null(pair_);                                                            \
		assert_string_equal(pair_, takes);                                                 \
	} while (0)

/* ---- clients ---- */

static inline bool
fits(const char *user, const char *password)
{
	struct secret_version *v[SECRET_CANDIDATES];
	size_t n = secret_candidates(rw, user, v);
	bool yes = false;

	for (size_t i = 0; i < n; i++) {
		yes |= strcmp(v[i]->password, password) == 0;
		secret_version_unref(v[i]);
	}
	return yes;
}

#ifndef SECRET_FIXTURE_REAL_LOOP
/* As client_auth.c does it, with patience; `ms` says how long it took. */
static inline bool
client(const char *user, const char *password, uint64_t *ms)
{
	uint64_t began = fake_loop_now_ms();
	unsigned searches;
	bool yes = fits(user, password);

	if (!yes) {
		searches = secret_client_refused(rw);
		for (int i = 0; i < 600 && !yes; i++) {
			bool over = secret_searches(rw) != searches;

			yes = fits(user, password);
			if (over)
				break;
			pass(20);
		}
		assert_true(yes || secret_searches(rw) != searches);
	}
	if (ms != NULL)
		*ms = fake_loop_now_ms() - began;
	return yes;
}

/* Pools that try every 50 ms, as long as the server says no; how many times it did. */
static inline int
serve(const char *takes, uint64_t ms)
{
	uint64_t end = fake_loop_now_ms() + ms;
	int refused = 0;

	while (fake_loop_now_ms() < end) {
		const char *pair = log_in(takes);

		refused += pair != NULL && strcmp(pair, NOBODY) == 0;
		pass(50);
	}
	return refused;
}
#endif

#endif
