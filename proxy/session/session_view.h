/* session_view.h -- what SHOW tells of clients. On the thread of their worker only. */
#ifndef PROXY_SESSION_SESSION_VIEW_H
#define PROXY_SESSION_SESSION_VIEW_H

#include <stdbool.h>
#include <stdint.h>

struct pool_view_sink;
struct server;
struct worker;

/* Rows of pool_view_server_columns, or with `buffers` of pool_view_socket_columns. */
void session_view_clients(struct worker *, const struct pool_view_sink *, bool only_active,
    bool buffers);
/* The `holder` of a pool_view_sink: the client that has this server, 0 = none. */
uint64_t session_view_holder(const struct server *);

/* For SHOW LISTS and SHOW POOLS. */
struct session_view_counts {
	int clients, logins, consoles;
};
void session_view_count(struct worker *, struct session_view_counts *);

#endif
