#include "tests/scenario/stage.h"

#include "auth/userlist.h"
#include "pool/connector.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"
#include "tests/scenario/end.h"
#include "tests/scenario/fake_loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLIENTS = 64 };

struct client {
	struct end end;
	uint32_t pid;
	uint8_t key[4];
};

static struct {
	struct worker worker;
	struct pool_worker pools;
	struct session_totals totals;
	struct session_env *env;
	char database[32];
	struct client clients[CLIENTS];
	int n_clients, runs, cancel_fd;
} stage;

/* ---- the stage ---- */

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
	    "[databases]\n%s = host=127.0.0.1 %s\n[pgsluice]\nauth_type = trust\n"
	    "pool_mode = transaction\ndefault_pool_size = 1\nlog_connections = 0\n"
	    "log_disconnections = 0\nlog_pooler_errors = 0\nquery_wait_notify = 0\n%s",
	    stage.database, database, options);
	fclose(f);
	cfg = config_load(path, NULL, NULL);
	unlink(path);
	assert_non_null(cfg);
	return cfg;
}

void
stage_begin(const char *options, const char *database)
{
	static const char users[] = "\"web\" \"secret\"\n";
	static const char params[] = "server_version\0"
				     "15\0"
				     "client_encoding\0"
				     "UTF8\0"
				     "application_name\0\0";
	struct log_settings quiet = { 0 };
	int runs = stage.runs + 1;
	struct config *cfg;

	memset(&stage, 0, sizeof(stage));
	stage.runs = runs;
	stage.cancel_fd = -1;
	log_setup(&quiet);
	fake_connector_reset();
	fake_connector_params(params, sizeof(params) - 1);
	/* pools live as long as the process: each stage has its own database */
	snprintf(stage.database, sizeof(stage.database), "shop%d", stage.runs);
	cfg = make_config(options, database);
	assert_int_equal(worker_init(&stage.worker, "stage", 0), 0);
	stage.env = calloc(1, sizeof(*stage.env));
	atomic_init(&stage.env->refs, 1);
	stage.env->cfg = cfg;
	stage.env->users = userlist_parse("users", users, strlen(users), NULL, NULL);
	assert_non_null(stage.env->users);
	stage.pools.workers = &stage.worker;
	stage.pools.n_workers = 1;
	stage.pools.connectors = connectors_start(NULL);
	stage.pools.cfg = config_ref(cfg);
	stage.pools.users = userlist_ref(stage.env->users);
	stage.worker.pools = &stage.pools;
	assert_int_equal(
	    session_set_init(&stage.worker, &stage.totals, stage.env, &stage.worker, 1), 0);
	pool_set_init(&stage.worker, 1);
	pool_set_apply(NULL, cfg);
}

static void
close_servers(void *arg, struct pool *p)
{
	struct pool_local *l = pool_local(p, &stage.worker);

	(void)arg;
	if (strcmp(p->db->quota.name, stage.database) != 0)
		return;
	atomic_store(&p->db->paused, true);
	atomic_fetch_add(&p->epoch, 1);
	pool_ask(l);
}

static void
check_pool(void *arg, struct pool *p)
{
	(void)arg;
	if (strcmp(p->db->quota.name, stage.database) != 0)
		return;
	assert_int_equal(p->n_servers, 0);
	assert_int_equal(p->opening, 0);
	assert_int_equal(p->db->quota.n_servers, 0);
	assert_int_equal(p->db->quota.n_clients, 0);
	assert_int_equal(p->user->n_servers, 0);
	assert_int_equal(p->local[0].n_idle, 0);
	assert_int_equal(p->local[0].n_active, 0);
	assert_int_equal(p->local[0].hungry, 0);
	assert_int_equal(p->local[0].n_clients, 0);
	assert_int_equal(p->local[0].n_clients_active, 0);
	wheel_remove(&stage.worker.loop.wheel, &p->local[0].retry);
}

void
stage_end(void)
{
	fake_connector_answers(FAKE_DOWN);
	session_set_end_all(&stage.worker, "the stage is cleared");
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
	session_set_destroy(&stage.worker);
	config_unref(stage.pools.cfg);
	userlist_unref(stage.pools.users);
	session_env_unref(stage.env);
	worker_destroy(&stage.worker);
}

void
stage_clock(uint64_t ms)
{
	fake_loop_advance(ms);
}

/* ---- clients ---- */

static int
connect_client(void)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	    0);
	session_open(&stage.worker, fds[0], &peer);
	return fds[1];
}

static struct client *
knock(const char *name, const char *value)
{
	struct client *c = &stage.clients[stage.n_clients++];
	struct buf hello;

	end_init(&c->end, connect_client());
	buf_init(&hello, 4096);
	buf_put_u32(&hello, 0);
	buf_put_u32(&hello, PG_PROTOCOL(3, 0));
	buf_put_str(&hello, "user");
	buf_put_str(&hello, "web");
	buf_put_str(&hello, "database");
	buf_put_str(&hello, stage.database);
	if (name != NULL) {
		buf_put_str(&hello, name);
		buf_put_str(&hello, value);
	}
	buf_put_u8(&hello, 0);
	buf_set_u32(&hello, 0, buf_len(&hello));
	end_send(&c->end, buf_data(&hello), buf_len(&hello));
	buf_release(&hello);
	return c;
}

struct client *
client_knocks(void)
{
	return knock(NULL, NULL);
}

static struct client *
welcomed(struct client *c)
{
	const char *k;

	end_look(&c->end);
	if (c->end.n < 3 || c->end.types[0] != 'R' || c->end.types[c->end.n - 1] != 'Z')
		fail_msg("login: %s", c->end.types);
	k = memchr(c->end.types, 'K', (size_t)c->end.n);
	assert_non_null(k);
	c->pid = pg_get_u32((const uint8_t *)c->end.texts[k - c->end.types]);
	memcpy(c->key, c->end.texts[k - c->end.types] + 4, 4);
	return c;
}

struct client *
client_in(void)
{
	return welcomed(client_knocks());
}

struct client *
client_in_with(const char *name, const char *value)
{
	return welcomed(knock(name, value));
}

void
client_leaves(struct client *c)
{
	close(c->end.fd);
	c->end.fd = -1;
	fake_loop_settle();
}

void
client_sends_bytes(struct client *c, const void *p, size_t n)
{
	end_send(&c->end, p, n);
}

void
client_go(struct client *c)
{
	struct buf out = c->end.out;

	buf_init(&c->end.out, BUF_CAP_MAX);
	end_send(&c->end, buf_data(&out), buf_len(&out));
	buf_release(&out);
}

void
client_query(struct client *c, const char *sql)
{
	pgwrite_query(&c->end.out, sql);
	client_go(c);
}

void
client_parse(struct client *c, const char *name, const char *sql)
{
	struct buf body;

	buf_init(&body, 65536);
	buf_put_str(&body, sql);
	buf_put_u16(&body, 0);
	pgwrite_parse(&c->end.out, name, buf_data(&body), buf_len(&body));
	buf_release(&body);
}

void
client_bind(struct client *c, const char *name)
{
	uint32_t mark = pgwrite_begin(&c->end.out, 'B');

	buf_put_str(&c->end.out, "");
	buf_put_str(&c->end.out, name);
	buf_put_u16(&c->end.out, 0);
	buf_put_u16(&c->end.out, 0);
	buf_put_u16(&c->end.out, 0);
	pgwrite_end(&c->end.out, mark);
}

void
client_describe(struct client *c, const char *name)
{
	pgwrite_name(&c->end.out, 'D', 'S', name);
}

void
client_execute(struct client *c)
{
	uint32_t mark = pgwrite_begin(&c->end.out, 'E');

	buf_put_str(&c->end.out, "");
	buf_put_u32(&c->end.out, 0);
	pgwrite_end(&c->end.out, mark);
}

void
client_close(struct client *c, const char *name)
{
	pgwrite_name(&c->end.out, 'C', 'S', name);
}

void
client_sync(struct client *c)
{
	pgwrite_empty(&c->end.out, 'S');
}

void
client_gets(struct client *c, const char *types)
{
	end_look(&c->end);
	assert_string_equal(c->end.types, types);
}

static void
check_error(struct client *c, const char *severity, const char *sqlstate)
{
	for (int i = 0; i < c->end.n; i++) {
		struct pgmsg_error e;

		if (c->end.types[i] != 'E')
			continue;
		(void)pgmsg_error((const uint8_t *)c->end.texts[i], END_TEXT, &e);
		assert_string_equal(e.severity, severity);
		assert_string_equal(e.sqlstate, sqlstate);
		return;
	}
	fail_msg("no error among: %s", c->end.types);
}

void
client_gets_error(struct client *c, const char *sqlstate)
{
	end_look(&c->end);
	check_error(c, "ERROR", sqlstate);
}

void
client_gets_fatal(struct client *c, const char *sqlstate)
{
	end_look(&c->end);
	check_error(c, "FATAL", sqlstate);
	assert_true(c->end.eof);
}

size_t
client_drains(struct client *c)
{
	return end_drain(&c->end);
}

size_t
client_pours(struct client *c, const void *p, size_t n)
{
	return end_pour(&c->end, p, n);
}

bool
client_cancel_is_over(void)
{
	char byte;

	fake_loop_settle();
	return recv(stage.cancel_fd, &byte, 1, MSG_DONTWAIT) == 0;
}

bool
client_cancels(struct client *c)
{
	struct buf b;
	ssize_t n;

	if (stage.cancel_fd != -1)
		close(stage.cancel_fd);
	stage.cancel_fd = connect_client();
	buf_init(&b, 64);
	buf_put_u32(&b, 16);
	buf_put_u32(&b, PG_CANCEL_REQUEST);
	buf_put_u32(&b, c->pid);
	buf_put(&b, c->key, 4);
	n = send(stage.cancel_fd, buf_data(&b), buf_len(&b), 0);
	assert_int_equal(n, 16);
	buf_release(&b);
	return client_cancel_is_over();
}

void
client_runs_on(struct client *c, int n, const char *sql)
{
	client_query(c, sql);
	server_gets(n, "Q");
	assert_string_equal(server_got(n, 0), sql);
	server_sends(n, "CZ");
	client_gets(c, "CZ");
}

void
client_begins_on(struct client *c, int n)
{
	client_query(c, "begin");
	server_gets(n, "Q");
	server_sends(n, "Cz");
	client_gets(c, "Cz");
}
