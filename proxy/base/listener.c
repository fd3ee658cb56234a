#include "proxy/base/listener.h"

#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 16

static void
set_int(int fd, int level, int name, int value)
{
	if (setsockopt(fd, level, name, &value, sizeof(value)) == -1)
		log_debug("setsockopt(%d, %d): %s", level, name, strerror(errno));
}

static void
set_tcp_options(int fd, const struct listen_options *o)
{
	set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (o->defer_accept > 0)
		set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, o->defer_accept);
	if (o->keepalive) {
		set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
		if (o->keepcnt > 0)
			set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepcnt);
		if (o->keepidle > 0)
			set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepidle);
		if (o->keepintvl > 0)
			set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepintvl);
	}
	if (o->socket_buffer > 0) {
		set_int(fd, SOL_SOCKET, SO_SNDBUF, o->socket_buffer);
		set_int(fd, SOL_SOCKET, SO_RCVBUF, o->socket_buffer);
	}
	if (o->user_timeout_ms > 0)
		set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, o->user_timeout_ms);
}

static int
close_failed(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

static struct addrinfo *
numeric_address(const char *addr, int port)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *list;
	char service[8];

	snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(addr, service, &hints, &list) == 0)
		return list;
	errno = EADDRNOTAVAIL;
	return NULL;
}

static int
tcp_socket(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return -1;
	set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (ai->ai_family == AF_INET6)
		set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return fd;
}

int
listener_probe_tcp(const char *addr, int port)
{
	struct addrinfo *ai = numeric_address(addr, port);
	int fd, ret;

	if (ai == NULL)
		return -1;
	fd = tcp_socket(ai);
	ret = fd == -1 ? -1 : bind(fd, ai->ai_addr, ai->ai_addrlen);
	freeaddrinfo(ai);
	if (ret == -1)
		return fd == -1 ? -1 : close_failed(fd);
	close(fd);
	return 0;
}

int
listener_bind_tcp(const char *addr, int port, const struct listen_options *o)
{
	struct addrinfo *ai = numeric_address(addr, port);
	int fd;

	if (ai == NULL)
		return -1;
	fd = tcp_socket(ai);
	if (fd == -1) {
		freeaddrinfo(ai);
		return -1;
	}
	set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	set_tcp_options(fd, o);
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == -1) {
		freeaddrinfo(ai);
		return close_failed(fd);
	}
	freeaddrinfo(ai);
	return fd;
}

static int
unix_address(struct sockaddr_un *sun, socklen_t *len, const char *dir, int port)
{
	int n;

	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	n = snprintf(sun->sun_path, sizeof(sun->sun_path), "%s/.s.PGSQL.%d", dir, port);
	if (n < 0 || (size_t)n >= sizeof(sun->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
	if (dir[0] == '@') {
		sun->sun_path[0] = '\0';
		*len -= 1;
	}
	return 0;
}

/* A file that nobody listens behind is left over from a crash. */
static int
remove_stale(const struct sockaddr_un *sun, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), answered;

	if (fd == -1)
		return -1;
	answered = connect(fd, (const struct sockaddr *)sun, len) == 0 || errno == EAGAIN;
	close(fd);
	if (answered) {
		errno = EADDRINUSE;
		return -1;
	}
	if (sun->sun_path[0] != '\0' && unlink(sun->sun_path) == -1 && errno != ENOENT)
		return -1;
	return 0;
}

static int
own_unix(const char *path, int mode, const char *group)
{
	struct group *gr;

	if (chmod(path, (mode_t)mode) == -1)
		return -1;
	if (group == NULL || group[0] == '\0')
		return 0;
	gr = getgrnam(group);
	if (gr == NULL) {
		errno = EINVAL;
		return -1;
	}
	return chown(path, (uid_t)-1, gr->gr_gid);
}

int
listener_bind_unix(const char *dir, int port, int mode, const char *group)
{
	struct sockaddr_un sun;
	socklen_t len;
	int fd;

	if (unix_address(&sun, &len, dir, port) == -1 || remove_stale(&sun, len) == -1)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (bind(fd, (struct sockaddr *)&sun, len) == -1)
		return close_failed(fd);
	if (sun.sun_path[0] != '\0' && own_unix(sun.sun_path, mode, group) == -1)
		return close_failed(fd);
	/* at once: a socket that does not listen would look stale to a second process */
	if (listen(fd, 1) == -1)
		return close_failed(fd);
	return fd;
}

void
listener_unlink_unix(const char *dir, int port)
{
	struct sockaddr_un sun;
	socklen_t len;

	if (unix_address(&sun, &len, dir, port) == 0 && sun.sun_path[0] != '\0')
		(void)unlink(sun.sun_path);
}

/* Out of descriptors: use the spare one to take the connection off the queue and drop it. */
static bool
shed(struct listener *l)
{
	int fd;

	if (l->spare_fd == -1)
		return false;
	close(l->spare_fd);
	fd = accept4(watch_fd(&l->watch), NULL, NULL, SOCK_CLOEXEC);
	if (fd != -1)
		close(fd);
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd != -1;
}

static void
on_accept(struct watch *w, int events)
{
	struct listener *l = list_entry(w, struct listener, watch);

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int fd;

		memset(&peer, 0, sizeof(peer));
		fd = accept4(watch_fd(&l->watch), (struct sockaddr *)&peer, &len,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			if ((errno == EMFILE || errno == ENFILE) && shed(l)) {
				log_warning("out of file descriptors: a new connection was dropped "
					    "(raise LimitNOFILE or lower max_client_conn)");
				continue;
			}
			return;
		}
		l->accepted(l, fd, &peer);
	}
}

struct listener *
listener_new(int fd, void (*accepted)(struct listener *, int, const struct sockaddr_storage *),
    void *owner)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->accepted = accepted;
	l->owner = owner;
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	list_init(&l->place);
	watch_init(&l->watch, on_accept, fd);
	return l;
}

int
listener_start(struct listener *l, struct loop *loop, int backlog)
{
	/* harmless when another worker has done it for a shared Unix socket */
	if (listen(watch_fd(&l->watch), backlog) == -1)
		return -1;
	l->loop = loop;
	watch_start(loop, &l->watch, WATCH_READ);
	return 0;
}

void
listener_stop(struct listener *l)
{
	if (l->loop != NULL)
		watch_stop(l->loop, &l->watch);
	l->loop = NULL;
}

void
listener_free(struct listener *l)
{
	if (l == NULL)
		return;
	listener_stop(l);
	close(watch_fd(&l->watch));
	if (l->spare_fd != -1)
		close(l->spare_fd);
	free(l);
}
