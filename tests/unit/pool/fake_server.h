/* fake_server.h -- a server on loopback that answers each connection by a script, one after the
 * other, on a thread of its own. */
#ifndef TESTS_UNIT_POOL_FAKE_SERVER_H
#define TESTS_UNIT_POOL_FAKE_SERVER_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fake {
	int fd, port;
	pthread_t thread;
	void (*script)(struct fake *, int conn);
	const void *bytes; /* what scripts send */
	size_t n;
	atomic_bool stop;
	atomic_int n_conns, n_bytes; /* n_bytes: for the script to count */
};

static inline int
listen_at(const char *addr, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	assert_int_equal(inet_pton(AF_INET, addr, &a.sin_addr), 1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 64), 0);
	return fd;
}

static inline int
port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

static inline void *
serve(void *arg)
{
	struct fake *f = arg;

	while (!f->stop) {
		struct pollfd p = { f->fd, POLLIN, 0 };
		int conn;

		if (poll(&p, 1, 20) != 1)
			continue;
		conn = accept(f->fd, NULL, NULL);
		f->n_conns++;
		f->script(f, conn);
		close(conn);
	}
	return NULL;
}

static inline void
fake_begin(struct fake *f, void (*script)(struct fake *, int), const void *bytes, size_t n)
{
	memset(f, 0, sizeof(*f));
	f->fd = listen_at("127.0.0.1", 0);
	f->port = port_of(f->fd);
	f->script = script;
	f->bytes = bytes;
	f->n = n;
	assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
}

static inline void
fake_end(struct fake *f)
{
	f->stop = true;
	pthread_join(f->thread, NULL);
	close(f->fd);
}

/* False when the peer has gone. */
static inline bool
read_packet(int conn)
{
	uint8_t head[4], rest[4096];
	size_t n;

	if (recv(conn, head, 4, MSG_WAITALL) != 4)
		return false;
	n = ((size_t)head[2] << 8 | head[3]) - 4;
	return n <= sizeof(rest) && (n == 0 || recv(conn, rest, n, MSG_WAITALL) == (ssize_t)n);
}

/* Until the peer closes, or the test ends. */
static inline void
linger(struct fake *f, int conn)
{
	uint8_t byte;

	while (!f->stop) {
		struct pollfd p = { conn, POLLIN, 0 };

		if (poll(&p, 1, 20) == 1 && recv(conn, &byte, 1, 0) <= 0)
			return;
	}
}

static inline void
answer_startup(struct fake *f, int conn)
{
	if (read_packet(conn) && send(conn, f->bytes, f->n, MSG_NOSIGNAL) > 0)
		linger(f, conn);
}

static inline void
hang_up_at_once(struct fake *f, int conn)
{
	(void)f;
	(void)conn;
}

#endif
