/* pool_view.h -- what SHOW tells of databases, pools and servers, cell by cell.
 * Columns are lists of "name" or "name type", NULL at the end; rows go to a sink that takes their cells
 * in that order. What belongs to a worker is read on its thread only: the functions that take a worker
 * must run there. A census adds up over workers and is handed from one to the next.
 * Must not know who reads it, nor sessions. */
#ifndef POOL_POOL_VIEW_H
#define POOL_POOL_VIEW_H

#include "pool/stats.h"

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct config;
struct pool;
struct database;
struct server;
struct worker;

/* Where cells go. text NULL = SQL NULL. */
struct pool_view_sink {
	void (*text)(void *arg, const char *value);
	void (*number)(void *arg, int64_t value);
	void *arg;
	/* The number of who holds an active server, 0 = none; a client is not known in this folder. */
	uint64_t (*holder)(const struct server *);
};

/* ---- sockets: servers here, clients in proxy/session/session_view.c ---- */

extern const char *const pool_view_server_columns[]; /* SHOW SERVERS and SHOW CLIENTS */
extern const char *const pool_view_socket_columns[]; /* the same, and what is in buffers */

/* One row of a socket, servers' and clients'. */
struct pool_view_socket {
	char type; /* 'C' or 'S' */
	const char *user, *database, *replication, *state, *tls, *application_name;
	char addr[64], local_addr[64];
	int port, local_port;
	uint64_t connected_ms, request_ms; /* loop times; 0 = never */
	uint64_t wait_us;
	bool close_needed;
	uint64_t id, link;
	int64_t remote_pid;
	unsigned prepared_statements;
	uint32_t pkt_remain, send_remain, pkt_avail;
};

/* For pool_view_socket(): the address that our end of a connection has. */
void pool_view_local(int fd, char *addr, size_t n, int *port);
/* A loop's time as text in local time, "" for 0. */
const char *pool_view_time(uint64_t at_ms, uint64_t now_ms, char *buf, size_t n);
void pool_view_socket(const struct pool_view_sink *, const struct pool_view_socket *,
    uint64_t now_ms, bool buffers);
/* The values of replication as PgBouncer words them. */
const char *pool_view_replication(const char *value);

/* On the worker's thread: its servers. */
void pool_view_servers(struct worker *, const struct pool_view_sink *, bool only_active,
    bool buffers);

/* ---- pools ---- */

extern const char *const pool_view_pool_columns[];

/* Every pool, counted worker by worker. */
struct pool_census;

struct pool_census *pool_census_new(void); /* NULL = no memory */
void pool_census_free(struct pool_census *);
void pool_census_visit(struct pool_census *, struct worker *); /* on its thread */
/* Once, at the end. */
void pool_census_rows(struct pool_census *, const struct config *, const struct pool_view_sink *);
/* For SHOW LISTS. */
struct pool_totals {
	int pools, idle_servers, used_servers;
};
struct pool_totals pool_census_totals(const struct pool_census *);

/* ---- databases ---- */

extern const char *const pool_view_database_columns[];

void pool_view_databases(const struct config *, const struct pool_view_sink *);

/* ---- counters of databases ---- */

enum {
#define POOL_VIEW_STAT(name) POOL_STAT_##name,
	STATS_EACH(POOL_VIEW_STAT)
#undef POOL_VIEW_STAT
	    POOL_STATS
};

struct stats_census;

struct stats_census *stats_census_new(void); /* NULL = no memory */
void stats_census_free(struct stats_census *);
void stats_census_visit(struct stats_census *, struct worker *); /* on its thread */
void stats_census_each(const struct stats_census *,
    void (*each)(void *arg, const char *database, const uint64_t totals[POOL_STATS]), void *arg);

#endif
