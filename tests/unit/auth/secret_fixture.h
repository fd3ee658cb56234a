/* secret_fixture.h -- the secrets cache between the provider of secret_service.h and a database and clients
 * that know passwords; for the tests of auth/secret*.c and secrets.c only. Static, so that each test stays
 * one file. */
#ifndef TESTS_SECRET_FIXTURE_H
#define TESTS_SECRET_FIXTURE_H

#include "tests/unit/auth/secret_service.h"

#include "auth/secret.h"
#include "auth/secret_version.h"
#include "auth/secrets.h"
#include "proxy/base/log.h"
#include "proxy/base/secure.h"
#include "proxy/base/worker.h"

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
