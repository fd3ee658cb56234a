/* pool_view.c -- rows of SHOW SERVERS and of SHOW DATABASES, and what sockets have in common. */
#include "pool/pool_view.h"

#include "pool/params.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "pool/server.h"
#include "proxy/config/config.h"
#include "proxy/config/config_field.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* clang-format off */
#define SOCKET_COLUMNS                                                                             \
	"type", "user", "database", "replication", "state", "addr", "port int4", "local_addr",     \
	"local_port int4", "connect_time", "request_time", "wait int4", "wait_us int4",            \
	"close_needed int4", "ptr", "link", "remote_pid int4", "tls", "application_name",          \
	"prepared_statements int4", "id int4"

const char *const pool_view_server_columns[] = { SOCKET_COLUMNS, NULL };
const char *const pool_view_socket_columns[] = { SOCKET_COLUMNS, "recv_pos int4", "pkt_pos int4",
	"pkt_remain int4", "send_pos int4", "send_remain int4", "pkt_avail int4", "send_avail int4",
	NULL };
const char *const pool_view_database_columns[] = { "name", "host", "port int4", "database",
	"force_user", "pool_size int4", "min_pool_size int4", "reserve_pool_size int4",
	"server_lifetime int4", "pool_mode", "load_balance_hosts", "max_connections int4",
	"current_connections int4", "max_client_connections int4", "current_client_connections int4",
	"paused int4", "disabled int4", NULL };
/* clang-format on */

static void
text(const struct pool_view_sink *k, const char *value)
{
	k->text(k->arg, value);
}

static void
number(const struct pool_view_sink *k, int64_t value)
{
	k->number(k->arg, value);
}

/* ---- sockets ---- */

static void
address(const struct sockaddr_storage *a, char *addr, size_t n, int *port)
{
	const void *bytes = NULL;

	*port = 0;
	if (a->ss_family == AF_INET) {
		bytes = &((const struct sockaddr_in *)a)->sin_addr;
		*port = ntohs(((const struct sockaddr_in *)a)->sin_port);
	} else if (a->ss_family == AF_INET6) {
		bytes = &((const struct sockaddr_in6 *)a)->sin6_addr;
		*port = ntohs(((const struct sockaddr_in6 *)a)->sin6_port);
	}
	if (bytes == NULL || inet_ntop(a->ss_family, bytes, addr, (socklen_t)n) == NULL)
		snprintf(addr, n, "unix");
}

void
pool_view_local(int fd, char *addr, size_t n, int *port)
{
	struct sockaddr_storage a = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(a);

	(void)getsockname(fd, (struct sockaddr *)&a, &len);
	address(&a, addr, n, port);
}

const char *
pool_view_time(uint64_t at_ms, uint64_t now_ms, char *buf, size_t n)
{
	struct tm tm;
	time_t at;

	buf[0] = '\0';
	if (at_ms == 0)
		return buf;
	at = time(NULL) - (time_t)((now_ms - at_ms) / 1000);
	if (localtime_r(&at, &tm) == NULL || strftime(buf, n, "%Y-%m-%d %H:%M:%S %Z", &tm) == 0)
		buf[0] = '\0';
	return buf;
}

const char *
pool_view_replication(const char *value)
{
	/* that of auth_query is no replication */
	return value == NULL || value[0] == 'a' ? "none"
	       : strcmp(value, "database") == 0 ? "logical"
						: "physical";
}

static void
socket_name(const struct pool_view_sink *k, char type, uint64_t id)
{
	char name[32] = "";

	if (id != 0)
		snprintf(name, sizeof(name), "%c-%llu", type, (unsigned long long)id);
	text(k, name);
}

void
pool_view_socket(const struct pool_view_sink *k, const struct pool_view_socket *v, uint64_t now_ms,
    bool buffers)
{
	char type[2] = { v->type, '\0' }, when[64];

	text(k, type);
	text(k, v->user);
	text(k, v->database);
	text(k, v->replication);
	text(k, v->state);
	text(k, v->addr);
	number(k, v->port);
	text(k, v->local_addr);
	number(k, v->local_port);
	text(k, pool_view_time(v->connected_ms, now_ms, when, sizeof(when)));
	text(k, pool_view_time(v->request_ms, now_ms, when, sizeof(when)));
	number(k, (int64_t)(v->wait_us / 1000000));
	number(k, (int64_t)(v->wait_us % 1000000));
	number(k, v->close_needed);
	socket_name(k, v->type, v->id);
	socket_name(k, v->type == 'C' ? 'S' : 'C', v->link);
	number(k, v->remote_pid);
	text(k, v->tls);
	text(k, v->application_name);
	number(k, v->prepared_statements);
	number(k, (int64_t)v->id);
	if (!buffers)
		return;
	number(k, 0);
	number(k, 0);
	number(k, v->pkt_remain);
	number(k, 0);
	number(k, v->send_remain);
	number(k, v->pkt_avail);
	number(k, 0);
}

/* ---- servers ---- */

static const char *
server_state(const struct server *s)
{
	if (s->cancels > 0)
		return "being_canceled";
	switch (s->state) {
	case SERVER_IDLE:
		return "idle";
	case SERVER_ACTIVE:
		return "active";
	default:
		return "tested";
	}
}

static void
server_row(const struct pool_view_sink *k, const struct server *s, bool buffers)
{
	const char *app = params_get(s->params, "application_name");
	struct pool_view_socket v = {
		.type = 'S',
		.user = s->pool->user->name,
		.database = s->pool->db->quota.name,
		.replication = pool_view_replication(s->pool->replication),
		.state = server_state(s),
		.tls = s->stream.ssl != NULL ? "TLS" : "",
		.application_name = app != NULL ? app : "",
		.connected_ms = s->connected_ms,
		.request_ms = s->request_us / 1000,
		.close_needed = s->close_when_free || s->epoch != atomic_load(&s->pool->epoch),
		.id = s->id,
		.remote_pid = s->backend_pid,
		.prepared_statements = server_statements_count(&s->statements),
		.pkt_remain = s->body_left,
		.send_remain = stream_waiting(&s->stream),
		.pkt_avail = buf_len(&s->in),
	};

	if (s->state == SERVER_ACTIVE && s->holder != NULL && k->holder != NULL)
		v.link = k->holder(s);
	address(s->peer, v.addr, sizeof(v.addr), &v.port);
	pool_view_local(stream_fd(&s->stream), v.local_addr, sizeof(v.local_addr), &v.local_port);
	pool_view_socket(k, &v, loop_now_ms(&s->worker->loop), buffers);
}

static void
server_list(const struct pool_view_sink *k, const struct list_node *head, bool buffers)
{
	list_each(n, tmp, head) server_row(k, list_entry(n, struct server, place), buffers);
}

void
pool_view_servers(struct worker *w, const struct pool_view_sink *k, bool only_active, bool buffers)
{
	struct pool **pools;
	size_t n = pool_set_pools(&pools);

	for (size_t i = 0; i < n; i++) {
		struct pool_local *l = pool_local(pools[i], w);

		server_list(k, &l->active, buffers);
		if (!only_active)
			server_list(k, &l->idle, buffers);
		pool_unref(pools[i]);
	}
	free(pools);
}

/* ---- databases ---- */

struct databases {
	const struct config *cfg;
	const struct pool_view_sink *k;
};

static int64_t
set_or(int64_t value, int64_t otherwise)
{
	return value >= 0 ? value : otherwise;
}

static void
database_row(const struct databases *d, const char *name, const struct config_database *c,
    const struct database *db)
{
	const struct config *cfg = d->cfg;
	const struct pool_view_sink *k = d->k;
	bool many = c->host != NULL && strchr(c->host, ',') != NULL;

	text(k, name);
	text(k, c->host);
	number(k, c->port);
	text(k, c->dbname != NULL ? c->dbname : name);
	text(k, c->user);
	number(k, set_or(c->pool_size, cfg->default_pool_size));
	number(k, set_or(c->min_pool_size, cfg->min_pool_size));
	number(k, set_or(c->reserve_pool_size, cfg->reserve_pool_size));
	number(k, set_or(c->server_lifetime, cfg->server_lifetime) / 1000);
	text(k, c->pool_mode >= 0 ? config_words("pool_mode")[c->pool_mode] : NULL);
	text(k, many ? config_words("load_balance_hosts")[c->load_balance_hosts] : NULL);
	number(k, set_or(c->max_db_connections, cfg->max_db_connections));
	number(k, db == NULL ? 0 : atomic_load(&db->quota.n_servers));
	number(k, set_or(c->max_db_client_connections, cfg->max_db_client_connections));
	number(k, db == NULL ? 0 : atomic_load(&db->quota.n_clients));
	number(k, db == NULL ? 0 : atomic_load(&db->paused));
	number(k, db == NULL ? 0 : atomic_load(&db->disabled));
}

/* Those that are in use under the fallback entry. */
static void
fallback_row(void *arg, struct database *db)
{
	const struct databases *d = arg;
	const struct config_database *c = config_find_database(d->cfg, db->quota.name);

	if (c != NULL && strcmp(c->name, db->quota.name) != 0)
		database_row(d, db->quota.name, c, db);
}

void
pool_view_databases(const struct config *cfg, const struct pool_view_sink *k)
{
	struct databases d = { cfg, k };

	for (size_t i = 0; i < cfg->n_databases; i++) {
		const struct config_database *c = &cfg->databases[i];

		if (strcmp(c->name, "*") != 0)
			database_row(&d, c->name, c, pool_set_database(c->name));
	}
	pool_set_each_database(fallback_row, &d);
}
