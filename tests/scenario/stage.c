/* stage.c -- the stage of stage.h: workers, configuration, and that nothing is left at the end. */
#include "tests/scenario/stage.h"

#include "auth/userlist.h"
#include "pool/connector.h"
#include "pool/pool_set.h"
#include "pool/server.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/session.h"
#include "tests/scenario/fake_loop.h"
#include "tests/scenario/stage_inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct stage stage;

static bool
is_mine(const struct database *db)
{
	return strcmp(db->quota.name, stage.database) == 0 ||
	       strcmp(db->quota.name, stage.other) == 0;
}

/* ---- configuration ---- */

static struct config *
make_config(const char *options, const char *database)
{
	char path[] = "/tmp/scenario.XXXXXX";
	int fd = mkstemp(path);
	struct config *cfg;
	FILE *f;

	assert_true(fd != -1);
	f = fdopen(fd, "w");
	fprintf(f,
	    "[databases]\n%s = host=127.0.0.1 %s\n%s = host=127.0.0.1 %s\n[pgsluice]\n"
	    "auth_type = trust\n"
	    "pool_mode = transaction\ndefault_pool_size = 1\nlog_connections = 0\n"
	    "log_disconnections = 0\nlog_pooler_errors = 0\nquery_wait_notify = 0\n%s",
	    stage.database, database, stage.other, database, options);
	fclose(f);
	cfg = config_load(path, NULL, NULL);
	unlink(path);
	assert_non_null(cfg);
	return cfg;
}

static struct session_env *
make_env(struct config *cfg)
{
	static const char users[] = "\"web\" \"secret\"\n\"kim\" \"secret\"\n\"lee\" \"secret\"\n";
	struct session_env *env = calloc(1, sizeof(*env));

	assert_non_null(env);
	atomic_init(&env->refs, 1);
	env->cfg = cfg;
	env->users = userlist_parse("users", users, strlen(users), NULL, NULL);
	assert_non_null(env->users);
	return env;
}

/* ---- begin ---- */

static void
begin_worker(int i, struct connectors *connectors)
{
	struct worker *w = &stage.workers[i];
	struct pool_worker *pw = &stage.pools[i];

	assert_int_equal(worker_init(w, "stage", i), 0);
	pw->workers = stage.workers;
	pw->n_workers = stage.n_workers;
	pw->connectors = connectors;
	pw->cfg = config_ref(stage.env->cfg);
	pw->users = userlist_ref(stage.env->users);
	w->pools = pw;
	assert_int_equal(
	    session_set_init(w, &stage.totals, stage.env, stage.workers, stage.n_workers), 0);
}

void
stage_begin_workers(int workers, const char *options, const char *database)
{
	static const char params[] = "server_version\0"
				     "15\0"
				     "client_encoding\0"
				     "UTF8\0"
				     "application_name\0\0";
	struct log_settings quiet = { 0 };
	int runs = stage.runs + 1;
	struct connectors *connectors;

	memset(&stage, 0, sizeof(stage));
	stage.runs = runs;
	stage.cancel_fd = -1;
	stage.n_workers = workers;
	assert_in_range(workers, 1, STAGE_WORKERS);
	log_setup(&quiet);
	fake_connector_reset();
	fake_connector_params(params, sizeof(params) - 1);
	connectors = connectors_start(NULL);
	/* pools live as long as the process: each stage has its own databases */
	snprintf(stage.database, sizeof(stage.database), "shop%d", stage.runs);
	snprintf(stage.other, sizeof(stage.other), "shop%dother", stage.runs);
	stage.env = make_env(make_config(options, database));
	/* all of them: pools of earlier stages may have more than this one */
	for (int i = 0; i < STAGE_WORKERS; i++)
		begin_worker(i, connectors);
	pool_set_init(stage.workers, workers);
	pool_set_apply(NULL, stage.env->cfg);
}

void
stage_begin(const char *options, const char *database)
{
	stage_begin_workers(1, options, database);
}

/* ---- what an administrator does ---- */

struct env_letter {
	struct letter letter;
	struct session_env *env;
};

static void
deliver_env(struct worker *w, struct letter *letter)
{
	struct env_letter *l = list_entry(letter, struct env_letter, letter);
	struct session_set *set = session_set_of(w);
	struct pool_worker *pw = pool_worker(w);

	session_env_unref(set->env);
	set->env = l->env;
	config_unref(pw->cfg);
	userlist_unref(pw->users);
	pw->cfg = config_ref(l->env->cfg);
	pw->users = userlist_ref(l->env->users);
	free(l);
}

void
stage_reload(const char *options, const char *database)
{
	struct session_env *old = stage.env;

	stage.env = make_env(make_config(options, database));
	pool_set_apply(old->cfg, stage.env->cfg);
	for (int i = 0; i < STAGE_WORKERS; i++) {
		struct env_letter *l = calloc(1, sizeof(*l));

		assert_non_null(l);
		list_init(&l->letter.node);
		l->letter.deliver = deliver_env;
		l->env = session_env_ref(stage.env);
		worker_post(&stage.workers[i], &l->letter);
	}
	fake_loop_settle();
	session_env_unref(old);
}

static void
set_paused(void *arg, struct pool *p)
{
	if (!is_mine(p->db))
		return;
	atomic_store(&p->db->paused, *(bool *)arg);
	for (int i = 0; i < p->n_local; i++)
		pool_ask(&p->local[i]);
}

void
stage_pause(bool paused)
{
	pool_set_each_pool(set_paused, &paused);
	fake_loop_settle();
}

void
stage_clock(uint64_t ms)
{
	fake_loop_advance(ms);
}

/* ---- looking ---- */

struct count {
	int worker, n;
};

static void
count_idle(void *arg, struct pool *p)
{
	struct count *c = arg;

	if (is_mine(p->db))
		c->n += p->local[c->worker].n_idle;
}

int
stage_idle_at(int worker)
{
	struct count c = { worker, 0 };

	fake_loop_settle();
	pool_set_each_pool(count_idle, &c);
	return c.n;
}

static void
count_open(void *arg, struct pool *p)
{
	if (is_mine(p->db))
		*(int *)arg += p->n_servers;
}

int
stage_servers(void)
{
	int n = 0;

	fake_loop_settle();
	pool_set_each_pool(count_open, &n);
	return n;
}

/* What must hold whenever nothing is under way. */
static void
check_sums(void *arg, struct pool *p)
{
	int servers = p->opening, idle = 0, hungry = 0;
	uint64_t now = fake_loop_now_ms();

	(void)arg;
	if (!is_mine(p->db))
		return;
	for (int i = 0; i < p->n_local; i++) {
		struct pool_local *l = &p->local[i];

		servers += l->n_idle + l->n_active;
		idle += l->n_idle;
		hungry += l->hungry;
		assert_int_equal(l->coming, 0);
		assert_false(l->asked);
		list_each(n, tmp, &l->waiting)
		    assert_true(list_entry(n, struct pool_ticket, place)->since_ms <= now);
	}
	assert_int_equal(servers, p->n_servers);
	if (!p->db->paused && idle > 0 && hungry > 0)
		fail_msg("%d idle servers while %d wait", idle, hungry);
}

void
stage_check(void)
{
	fake_loop_settle();
	pool_set_each_pool(check_sums, NULL);
}

/* ---- end ---- */

static void
close_servers(void *arg, struct pool *p)
{
	(void)arg;
	if (!is_mine(p->db))
		return;
	atomic_store(&p->db->paused, true);
	atomic_fetch_add(&p->epoch, 1);
	for (int i = 0; i < p->n_local; i++)
		pool_ask(&p->local[i]);
}

static void
check_pool(void *arg, struct pool *p)
{
	(void)arg;
	if (!is_mine(p->db))
		return;
	assert_int_equal(p->n_servers, 0);
	assert_int_equal(p->opening, 0);
	assert_int_equal(p->db->quota.n_servers, 0);
	assert_int_equal(p->db->quota.n_clients, 0);
	assert_int_equal(p->db->quota.blocked, 0);
	assert_int_equal(p->user->n_servers, 0);
	assert_int_equal(p->user->n_clients, 0);
	assert_int_equal(p->user->blocked, 0);
	for (int i = 0; i < p->n_local; i++) {
		struct pool_local *l = &p->local[i];

		assert_int_equal(l->n_idle, 0);
		assert_int_equal(l->n_active, 0);
		assert_int_equal(l->hungry, 0);
		assert_int_equal(l->coming, 0);
		assert_int_equal(l->n_clients, 0);
		assert_int_equal(l->n_clients_active, 0);
		wheel_remove(&stage.workers[i].loop.wheel, &l->retry);
	}
}

static void
end_worker(int i)
{
	session_set_destroy(&stage.workers[i]);
	config_unref(stage.pools[i].cfg);
	userlist_unref(stage.pools[i].users);
	worker_destroy(&stage.workers[i]);
}

void
stage_end(void)
{
	fake_connector_answers(FAKE_DOWN);
	for (int i = 0; i < stage.n_workers; i++)
		session_set_end_all(&stage.workers[i], "the stage is cleared");
	for (int i = 0; i < 4; i++) {
		fake_loop_settle();
		fake_connector_deliver();
	}
	/* resets that nobody answers any more */
	for (int i = 1; fake_connector_fd(i) != -1; i++)
		shutdown(fake_connector_fd(i), SHUT_RDWR);
	fake_loop_settle();
	pool_set_each_pool(close_servers, NULL);
	fake_loop_settle();
	pool_set_each_pool(check_pool, NULL);
	assert_int_equal(stage.totals.clients, 0);
	assert_int_equal(stage.totals.logins, 0);
	for (int i = 0; i < stage.n_clients; i++) {
		if (stage.clients[i].end.fd != -1)
			close(stage.clients[i].end.fd);
		end_release(&stage.clients[i].end);
	}
	servers_forget();
	if (stage.cancel_fd != -1)
		close(stage.cancel_fd);
	fake_connector_reset();
	for (int i = 0; i < STAGE_WORKERS; i++)
		end_worker(i);
	session_env_unref(stage.env);
}
