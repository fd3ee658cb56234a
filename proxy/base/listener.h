/* listener.h -- listening sockets of one worker, TCP and Unix.
 * TCP sockets use SO_REUSEPORT, one per worker; a Unix socket is bound once and its fd shared (dup).
 * Socket options that accepted sockets inherit are set here once, not per connection.
 * Out of descriptors: a spare one is given up, the connection is accepted and closed at once, so that
 * the backlog is shed instead of spinning. */
#ifndef PROXY_BASE_LISTENER_H
#define PROXY_BASE_LISTENER_H

#include "proxy/base/loop.h"

#include <sys/socket.h>

struct listen_options {
	int defer_accept; /* seconds, 0 = off */
	bool keepalive;
	int keepcnt, keepidle, keepintvl; /* 0 = the system's */
	int socket_buffer;		  /* bytes, 0 = the system's */
	int user_timeout_ms;		  /* 0 = the system's */
};

struct listener {
	struct watch watch;
	struct loop *loop;
	/* Takes the fd, which is non-blocking and close-on-exec. */
	void (*accepted)(struct listener *, int fd, const struct sockaddr_storage *);
	void *owner;
	int spare_fd;
	struct list_node place; /* the owner's */
};

/* 0, or -1 with EADDRINUSE when another process listens there (SO_REUSEPORT would not notice). */
int listener_probe_tcp(const char *addr, int port);
/* A bound socket, which does not listen yet, or -1 with errno. `addr` is an IPv4 or IPv6 literal. */
int listener_bind_tcp(const char *addr, int port, const struct listen_options *);
/* dir/.s.PGSQL.port, or @name for the abstract namespace. EADDRINUSE when somebody answers there. */
int listener_bind_unix(const char *dir, int port, int mode, const char *group);
/* Removes the file that listener_bind_unix() made. */
void listener_unlink_unix(const char *dir, int port);

/* NULL when out of memory (the fd is still the caller's). Takes the fd. */
struct listener *listener_new(int fd,
    void (*accepted)(struct listener *, int, const struct sockaddr_storage *), void *owner);
/* From here on connections come in: listen(2). -1 with errno. */
int listener_start(struct listener *, struct loop *, int backlog);
void listener_stop(struct listener *);
void listener_free(struct listener *);

#endif
