/* https_call_fixture.h -- a small HTTP server in threads, and calls that are waited for; for the
 * tests of https_call*.c only. Static, so that each test stays one file.
 * The path says how the server behaves: see answer(). */
#ifndef TESTS_HTTPS_CALL_FIXTURE_H
#define TESTS_HTTPS_CALL_FIXTURE_H

#include "auth/https_call.h"
#include "proxy/base/loop.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the server ---- */

static SSL_CTX *server_tls; /* NULL: plain http */
static int server_fd, server_port;
static pthread_t server_thread;
static atomic_int server_connections, server_requests, server_open;

struct peer {
	int fd;
	SSL *ssl;
	size_t len;
	char in[65536];
};

static inline ssize_t
peer_read(struct peer *p, void *to, size_t n)
{
	return p->ssl != NULL ? SSL_read(p->ssl, to, (int)n) : recv(p->fd, to, n, 0);
}

static inline bool
peer_write(struct peer *p, const void *from, size_t n)
{
	for (const char *b = from; n > 0;) {
		ssize_t w = p->ssl != NULL ? SSL_write(p->ssl, b, (int)n)
					   : send(p->fd, b, n, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		b += w;
		n -= (size_t)w;
	}
	return true;
}

static inline bool
peer_say(struct peer *p, const char *text)
{
	return peer_write(p, text, strlen(text));
}

static inline bool
peer_answer(struct peer *p, const char *head, const void *body, size_t len)
{
	char text[512];

	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, len);
	return peer_say(p, text) && peer_write(p, body, len);
}

static inline bool
peer_stream(struct peer *p, const char *head, size_t len)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	for (bool ok = peer_say(p, head); ok && len > 0;) {
		size_t n = len < sizeof(block) ? len : sizeof(block);

		ok = peer_write(p, block, n);
		len -= n;
	}
	return true;
}

/* Whole request in p->in; its length, 0 = the client went away. */
static inline size_t
peer_request(struct peer *p)
{
	for (;;) {
		char *end = memmem(p->in, p->len, "\r\n\r\n", 4), *cl;
		size_t need = 0;
		ssize_t n;

		if (end != NULL) {
			*end = '\0';
			cl = strcasestr(p->in, "\r\nContent-Length:");
			need = (size_t)(end - p->in) + 4 +
			       (cl == NULL ? 0
					   : strtoul(cl + strlen("\r\nContent-Length:"), NULL, 10));
			*end = '\r';
		}
		if (end != NULL && p->len >= need)
			return need;
		n = peer_read(p, p->in + p->len, sizeof(p->in) - p->len);
		if (n <= 0)
			return 0;
		p->len += (size_t)n;
	}
}

/* false = the connection ends. */
static inline bool
answer(struct peer *p, const char *path, size_t len)
{
	static const struct linger at_once = { .l_onoff = 1 };
	char byte;

	if (strcmp(path, "/echo") == 0) /* the body is the request as it came */
		return peer_answer(p, "200 OK\r\nX-Reply:  \t two words \t", p->in, len);
	if (strcmp(path, "/slow") == 0) {
		usleep(100000);
		return peer_answer(p, "200 OK", "slow", 4);
	}
	if (strcmp(path, "/hang") == 0)
		return peer_read(p, &byte, 1) > 0; /* until the client closes */
	if (strcmp(path, "/reset") == 0) {
		setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		return false;
	}
	if (strcmp(path, "/close") == 0) /* keep-alive is promised, and not kept */
		return !peer_answer(p, "200 OK", "bye", 3);
	if (strcmp(path, "/short") == 0)
		return !peer_say(p, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	if (strcmp(path, "/garbage") == 0)
		return !peer_say(p, "good day to you\r\n\r\n");
	if (strcmp(path, "/empty") == 0)
		return peer_say(p, "HTTP/1.1 204 No Content\r\n\r\n");
	if (strcmp(path, "/continue") == 0)
		return peer_say(p, "HTTP/1.1 100 Continue\r\nX-Reply: early\r\n\r\n") &&
		       peer_answer(p, "200 OK\r\nX-Reply: late", "", 0);
	if (strcmp(path, "/exact") == 0)
		return peer_stream(p, "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n",
		    1 << 20);
	if (strcmp(path, "/large") == 0)
		return peer_stream(p, "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n",
		    (1 << 20) + 1);
	if (strcmp(path, "/endless") == 0)
		return peer_stream(p, "HTTP/1.1 200 OK\r\n\r\n", 1 << 26) && false;
	if (strcmp(path, "/heads") == 0) {
		peer_say(p, "HTTP/1.1 200 OK\r\n");
		for (int i = 0; i < 100000; i++) {
			if (!peer_say(p, "X-More: 0123456789012345678901234567890123456789\r\n"))
				break;
		}
		return false;
	}
	if (strcmp(path, "/redirect") == 0)
		return peer_answer(p, "302 Found\r\nLocation: /echo", "", 0);
	if (strcmp(path, "/head") == 0) /* the body that came is the head to be sent */
		return peer_write(p, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n", 38) &&
		       peer_say(p, strstr(p->in, "\r\n\r\n") + 4);
	return peer_answer(p, "404 Not Found", "no", 2);
}

static inline void *
serve_peer(void *arg)
{
	struct peer *p = arg;
	bool more = p->ssl == NULL || SSL_accept(p->ssl) == 1;
	size_t len;

	while (more && (len = peer_request(p)) > 0) {
		char method[32], path[128] = "";

		atomic_fetch_add(&server_requests, 1);
		p->in[p->len < sizeof(p->in) ? p->len : sizeof(p->in) - 1] = '\0';
		sscanf(p->in, "%31s %127s", method, path);
		more = answer(p, path, len);
		p->len -= len;
		memmove(p->in, p->in + len, p->len);
	}
	SSL_free(p->ssl);
	close(p->fd);
	explicit_bzero(p, sizeof(*p));
	free(p);
	atomic_fetch_sub(&server_open, 1);
	return NULL;
}

static inline void *
serve(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept4(server_fd, NULL, NULL, SOCK_CLOEXEC)) != -1) {
		struct peer *p = calloc(1, sizeof(*p));
		pthread_t t;

		p->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
		if (server_tls != NULL) {
			p->ssl = SSL_new(server_tls);
			SSL_set_fd(p->ssl, fd);
		}
		atomic_fetch_add(&server_connections, 1);
		atomic_fetch_add(&server_open, 1);
		pthread_create(&t, NULL, serve_peer, p);
		pthread_detach(t);
	}
	return NULL;
}

static inline void
server_start(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	signal(SIGPIPE, SIG_IGN);
	server_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server_fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(server_fd, 128), 0);
	getsockname(server_fd, (struct sockaddr *)&a, &len);
	server_port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&server_thread, NULL, serve, NULL), 0);
}

static inline void
server_stop(void)
{
	shutdown(server_fd, SHUT_RDWR);
	pthread_join(server_thread, NULL);
	close(server_fd);
	for (int i = 0; i < 5000 && atomic_load(&server_open) > 0; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&server_open), 0);
}

/* ---- calls ---- */

static struct loop loop;
static struct https_calls *calls;
static int waiting_for;

/* What a call has led to. */
struct outcome {
	int times, status;
	char error[256];
	char body[4096]; /* its beginning */
	size_t len;
	char reply[64]; /* X-Reply */
	int64_t date, retry_ms;
};

static inline void
on_done(void *arg, const struct https_response *r)
{
	struct outcome *o = arg;
	const char *reply = https_header(r, "x-REPLY");

	o->times++;
	o->status = r->status;
	o->len = r->len;
	if ((r->status == 0) != (r->error != NULL) || r->body == NULL || r->body[r->len] != '\0')
		o->status = -1;
	snprintf(o->error, sizeof(o->error), "%s", r->error != NULL ? r->error : "");
	snprintf(o->body, sizeof(o->body), "%s", r->body);
	snprintf(o->reply, sizeof(o->reply), "%s", reply != NULL ? reply : "(none)");
	o->date = https_date(r);
	o->retry_ms = https_retry_after_ms(r);
	if (--waiting_for == 0)
		loop_stop(&loop);
}

/* http://127.0.0.1:port/path, valid until 8 further calls. */
static inline const char *
url_of(const char *path)
{
	static char text[8][256];
	static unsigned next;
	char *t = text[next++ % 8];

	snprintf(t, sizeof(text[0]), "%s://127.0.0.1:%d%s", server_tls != NULL ? "https" : "http",
	    server_port, path);
	return t;
}

static inline struct https_call *
begin(const struct https_request *r, struct outcome *o)
{
	struct https_call *c;

	memset(o, 0, sizeof(*o));
	c = https_call(calls, r, on_done, o);
	assert_non_null(c);
	assert_int_equal(o->times, 0);
	waiting_for++;
	return c;
}

static inline struct outcome
ask(const struct https_request *r)
{
	struct outcome o;

	begin(r, &o);
	loop_run(&loop);
	assert_int_equal(o.times, 1);
	return o;
}

static inline struct outcome
get(const char *path)
{
	struct https_request r = { .method = "GET", .url = url_of(path) };

	return ask(&r);
}

static inline void
on_wake(struct deadline *d)
{
	(void)d;
	loop_stop(&loop);
}

/* Lets the loop turn for a while. */
static inline void
idle(int ms)
{
	struct deadline d;

	deadline_init(&d, on_wake);
	loop_deadline(&loop, &d, loop_now_ms(&loop) + (uint64_t)ms);
	loop_run(&loop);
	loop_deadline_remove(&loop, &d);
}

static inline int
calls_setup(void **state)
{
	(void)state;
	waiting_for = 0;
	assert_int_equal(loop_init(&loop), 0);
	calls = https_calls_new(&loop);
	assert_non_null(calls);
	return 0;
}

/* Ends all calls and their connections; none will be answered. */
static inline void
renew_calls(void)
{
	https_calls_free(calls);
	waiting_for = 0;
	assert_int_equal(loop.wheel.count, 0);
	calls = https_calls_new(&loop);
	assert_non_null(calls);
}

static inline int
calls_teardown(void **state)
{
	(void)state;
	https_calls_free(calls);
	assert_int_equal(loop.wheel.count, 0);
	loop_destroy(&loop);
	return 0;
}

#endif
