/* dialogue.h -- a pool, its servers and a client on the fake loop and connector, for harnesses that play
 * PostgreSQL, its client or both. An input is a row of steps: a byte that says who speaks (bit 0: 0 the
 * client, 1 the server used last), two bytes of length, and what is said. */
#ifndef TESTS_FUZZ_DIALOGUE_H
#define TESTS_FUZZ_DIALOGUE_H

/* defined here, so that nothing of the real ones is taken out of the archive */
#include "tests/scenario/fake_connector.c"
#include "tests/scenario/fake_loop.c"

#include "auth/userlist.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/wire/pgmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct worker dialogue_worker;
static struct pool_worker dialogue_pools;
static struct session_totals dialogue_totals;

static inline struct config *
dialogue_config(void)
{
	static const char text[] =
	    "[databases]\nf = host=127.0.0.1\n[pgsluice]\nauth_type = trust\n"
	    "pool_mode = transaction\ndefault_pool_size = 1\nlog_connections = 0\n"
	    "log_disconnections = 0\nlog_pooler_errors = 0\n"
	    "max_prepared_statements = 2\n";
	char path[] = "/tmp/fuzz.XXXXXX";
	int fd = mkstemp(path);
	struct config *cfg;

	if (fd == -1 || write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
		abort();
	close(fd);
	cfg = config_load(path, NULL, NULL);
	unlink(path);
	return cfg;
}

/* Once per process. */
static inline void
dialogue_begin(void)
{
	static const char users[] = "\"f\" \"secret\"\n";
	struct session_env *env = calloc(1, sizeof(*env));
	struct log_settings quiet = { 0 };

	log_setup(&quiet);
	if (env == NULL || worker_init(&dialogue_worker, "fuzz", 0) == -1)
		abort();
	atomic_init(&env->refs, 1);
	env->cfg = dialogue_config();
	env->users = userlist_parse("users", users, sizeof(users) - 1, NULL, NULL);
	if (env->cfg == NULL || env->users == NULL)
		abort();
	dialogue_pools = (struct pool_worker){ .workers = &dialogue_worker,
		.n_workers = 1,
		.connectors = connectors_start(NULL),
		.cfg = config_ref(env->cfg),
		.users = userlist_ref(env->users) };
	dialogue_worker.pools = &dialogue_pools;
	session_set_init(&dialogue_worker, &dialogue_totals, env, &dialogue_worker, 1);
	pool_set_init(&dialogue_worker, 1);
	pool_set_apply(NULL, env->cfg);
}

static inline int
dialogue_connect(void)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1)
		abort();
	session_open(&dialogue_worker, fds[0], &peer);
	return fds[1];
}

static inline void
dialogue_drain(int fd)
{
	char bytes[4096];

	while (fd != -1 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static inline void
dialogue_say(int fd, const void *p, size_t n)
{
	if (fd != -1 && n > 0)
		(void)!send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	fake_loop_settle();
}

static inline int
dialogue_server(void)
{
	int n = 1;

	while (fake_connector_fd(n + 1) != -1)
		n++;
	return fake_connector_fd(n);
}

static inline int
dialogue_login(void)
{
	static const char hello[] = "\0\0\0\x1b\0\3\0\0user\0f\0database\0f\0"; /* and a NUL */
	int fd = dialogue_connect();

	dialogue_say(fd, hello, sizeof(hello));
	dialogue_drain(fd);
	return fd;
}

static inline void
dialogue_check(void *arg, struct pool *p)
{
	(void)arg;
	if (p->n_servers != 0 || p->db->quota.n_clients != 0 || p->local[0].n_active != 0 ||
	    p->local[0].n_idle != 0 || p->local[0].hungry != 0)
		abort();
}

/* The client leaves, then the servers die: nothing may be left. */
static inline void
dialogue_end(int fd)
{
	close(fd);
	fake_connector_answers(FAKE_DOWN);
	fake_loop_settle();
	fake_connector_deliver();
	fake_loop_settle();
	for (int i = 1; fake_connector_fd(i) != -1; i++)
		shutdown(fake_connector_fd(i), SHUT_RDWR);
	fake_loop_settle();
	fake_connector_deliver();
	fake_loop_settle();
	pool_set_each_pool(dialogue_check, NULL);
	if (dialogue_totals.clients != 0 || dialogue_totals.logins != 0)
		abort();
	fake_connector_reset();
}

static inline void
dialogue_play(int client, const uint8_t *data, size_t size)
{
	while (size >= 3) {
		size_t len = (size_t)data[1] << 8 | data[2], left = size - 3;
		const uint8_t *said = data + 3;

		len = len < left ? len : left;
		dialogue_say(data[0] & 1 ? dialogue_server() : client, said, len);
		dialogue_drain(data[0] & 1 ? client : dialogue_server());
		if (data[0] & 2)
			fake_loop_advance(1000);
		data = said + len;
		size = left - len;
	}
	dialogue_drain(client);
}

#endif
