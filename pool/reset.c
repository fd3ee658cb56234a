#include "pool/reset.h"

#include "pool/command.h"
#include "pool/connector.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"

#include <stdlib.h>
#include <string.h>

#define RESET_TIMEOUT_MS 15000

struct cancelling {
	struct cancel_job job;
	struct server *server;
	void (*told)(void *arg);
	void *arg;
};

static void
on_cancelled(struct worker *w, struct cancel_job *job)
{
	struct cancelling *c = list_entry(job, struct cancelling, job);
	struct server *s = c->server;
	struct pool *p = s->pool;

	if (!job->ok)
		log_warning("S-%llu: %s/%s a cancel request could not be delivered",
		    (unsigned long long)s->id, p->db->quota.name, p->user->name);
	if (c->told != NULL)
		c->told(c->arg);
	explicit_bzero(job->key, sizeof(job->key));
	free(c);
	s->cancels--;
	if (s->cancels > 0)
		return;
	if (s->doomed) {
		/* pool_close_server() waited for us */
		server_free(s);
		pool_uncount_server(p, w);
	} else if (s->parked) {
		s->parked = false;
		pool_give_back(s);
	}
}

void
reset_cancel(struct server *s, void (*told)(void *arg), void *arg)
{
	struct cancelling *c = calloc(1, sizeof(*c));

	if (c == NULL || pool_worker(s->worker)->connectors == NULL) {
		free(c);
		if (told != NULL)
			told(arg);
		return;
	}
	c->told = told;
	c->arg = arg;
	c->server = s;
	c->job.asker = s->worker;
	c->job.done = on_cancelled;
	c->job.peer = *s->peer;
	c->job.peer_len = s->peer_len;
	c->job.tls = s->stream.ssl != NULL;
	c->job.backend_pid = s->backend_pid;
	memcpy(c->job.key, s->key, s->key_len);
	c->job.key_len = s->key_len;
	c->job.timeout = pool_worker(s->worker)->cfg->cancel_wait_timeout;
	list_init(&c->job.letter.node);
	s->cancels++;
	connector_cancel(pool_worker(s->worker)->connectors, &c->job);
}

static void
on_reset(struct server *s, const struct command_result *r, void *arg)
{
	(void)arg;
	if (!r->ok) {
		pool_close_server(s, r->why);
		return;
	}
	s->used = false;
	pool_give_back(s);
}

static const struct command_ops reset_ops = { .done = on_reset };

static void
run_reset(struct server *s)
{
	const char *sql = pool_worker(s->worker)->cfg->server_reset_query;

	if (sql == NULL || sql[0] == '\0') {
		pool_give_back(s);
		return;
	}
	if (!command_run(s, sql, RESET_TIMEOUT_MS, &reset_ops, NULL))
		pool_close_server(s, "server_reset_query failed");
}

static void
on_rolled_back(struct server *s, const struct command_result *r, void *arg)
{
	if (!r->ok)
		pool_close_server(s, r->why);
	else if (arg != NULL)
		run_reset(s);
	else
		pool_give_back(s);
}

static const struct command_ops rollback_ops = { .done = on_rolled_back };

void
reset_server(struct server *s, bool full)
{
	s->state = SERVER_TESTED;
	if (!requests_idle(&s->requests) || s->close_when_free || s->body_left > 0) {
		/* a query nobody waits for any more should not run on */
		if (s->requests.count > 0 && !s->stream.broken && !s->stream.eof)
			reset_cancel(s, NULL, NULL);
		server_let_go(s);
		pool_close_server(s, "client disconnect with a query in progress");
		return;
	}
	server_let_go(s);
	if (s->status != 'I') {
		if (!command_run(s, "ROLLBACK", RESET_TIMEOUT_MS, &rollback_ops, full ? s : NULL))
			pool_close_server(s, "rollback failed");
	} else if (full) {
		run_reset(s);
	} else {
		pool_give_back(s);
	}
}
