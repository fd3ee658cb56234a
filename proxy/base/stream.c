#include "proxy/base/stream.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void ready(struct watch *, int events);

void
stream_init(struct stream *s, int fd, const struct stream_ops *ops)
{
	memset(s, 0, sizeof(*s));
	s->ops = ops;
	buf_init(&s->out, STREAM_OUT_CAP);
	watch_init(&s->watch, ready, fd);
}

static void
update_watch(struct stream *s)
{
	int events = 0;

	if (!s->opened)
		return;
	if (!s->paused && !s->eof && !s->want_write_to_read)
		events |= WATCH_READ;
	if (buf_len(&s->out) != 0 || s->want_write_to_read)
		events |= WATCH_WRITE;
	if (s->broken)
		events &= WATCH_READ;
	watch_change(s->loop, &s->watch, events);
}

void
stream_open(struct stream *s, struct loop *loop)
{
	s->loop = loop;
	s->opened = true;
	update_watch(s);
	/* bytes that the TLS library read ahead make no event */
	if (s->ssl != NULL && !s->handshaking && !s->paused && SSL_has_pending(s->ssl))
		watch_feed(loop, &s->watch, WATCH_READ);
}

void
stream_detach(struct stream *s)
{
	if (!s->opened)
		return;
	watch_stop(s->loop, &s->watch);
	s->opened = false;
}

void
stream_close(struct stream *s, bool polite)
{
	int fd = stream_fd(s);

	stream_detach(s);
	if (s->ssl != NULL && s->owns_ssl) {
		ERR_clear_error();
		if (polite && !s->broken && !s->handshaking)
			(void)SSL_shutdown(s->ssl);
		SSL_free(s->ssl);
	}
	s->ssl = NULL;
	buf_release(&s->out);
	if (fd >= 0)
		close(fd);
	s->watch.io.fd = -1;
	s->broken = true;
}

/* ---- TLS ---- */

/* True when the call may simply be tried again later. */
static bool
tls_would_block(struct stream *s, int ret)
{
	switch (SSL_get_error(s->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
		s->want_write_to_read = false;
		return true;
	case SSL_ERROR_WANT_WRITE:
		s->want_write_to_read = true;
		return true;
	default:
		return false;
	}
}

/* True when the bytes that were read before the handshake are used up and the socket takes over. */
static bool
turned_to_socket(struct stream *s)
{
	BIO *rbio = SSL_get_rbio(s->ssl), *sock;

	if (BIO_method_type(rbio) != BIO_TYPE_MEM || BIO_pending(rbio) > 0)
		return false;
	sock = BIO_new_socket(stream_fd(s), BIO_NOCLOSE);
	if (sock == NULL)
		return false;
	SSL_set0_rbio(s->ssl, sock);
	return true;
}

static bool
handshake(struct stream *s)
{
	int ret;

	do {
		ERR_clear_error();
		ret = s->tls_server ? SSL_accept(s->ssl) : SSL_connect(s->ssl);
	} while (ret != 1 && tls_would_block(s, ret) && turned_to_socket(s));
	if (ret != 1 && tls_would_block(s, ret)) {
		update_watch(s);
		return true;
	}
	s->handshaking = false;
	s->want_write_to_read = false;
	if (ret != 1)
		s->broken = true;
	update_watch(s);
	return s->ops->secured(s, ret == 1);
}

/* Direct TLS: the ClientHello was read before anybody knew that it is one. OpenSSL reads these bytes
 * from memory first; handshake() gives it the socket once they are used up. */
static int
push_back(SSL *ssl, int fd, const uint8_t *first, size_t n)
{
	BIO *mem, *sock;

	if (n == 0)
		return SSL_set_fd(ssl, fd) == 1 ? 0 : -1;
	mem = BIO_new(BIO_s_mem());
	sock = BIO_new_socket(fd, BIO_NOCLOSE);
	if (mem == NULL || sock == NULL || BIO_write(mem, first, (int)n) != (int)n) {
		BIO_free(mem);
		BIO_free(sock);
		return -1;
	}
	BIO_set_mem_eof_return(mem, -1);
	SSL_set_bio(ssl, mem, sock);
	return 0;
}

int
stream_accept_tls(struct stream *s, SSL_CTX *ctx, const uint8_t *first, size_t n)
{
	s->ssl = SSL_new(ctx);
	if (s->ssl == NULL)
		return -1;
	s->owns_ssl = true;
	s->handshaking = true;
	s->tls_server = true;
	if (push_back(s->ssl, stream_fd(s), first, n) == -1)
		return -1;
	if (n > 0 && s->opened)
		watch_feed(s->loop, &s->watch, WATCH_READ);
	return 0;
}

int
stream_connect_tls(struct stream *s, SSL_CTX *ctx, const char *host)
{
	s->ssl = SSL_new(ctx);
	if (s->ssl == NULL)
		return -1;
	s->owns_ssl = true;
	s->handshaking = true;
	if (SSL_set_fd(s->ssl, stream_fd(s)) != 1)
		return -1;
	if (host != NULL && SSL_set_tlsext_host_name(s->ssl, host) != 1)
		return -1;
	if (s->opened)
		watch_feed(s->loop, &s->watch, WATCH_READ);
	return 0;
}

void
stream_adopt_tls(struct stream *s, SSL *ssl)
{
	s->ssl = ssl;
	s->owns_ssl = false;
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			      SSL_MODE_RELEASE_BUFFERS);
	SSL_set_read_ahead(ssl, 1);
}

/* ---- bytes ---- */

static ssize_t
tls_read(struct stream *s, uint8_t *p, size_t room)
{
	size_t total = 0;

	s->more = false;
	/* one record per SSL_read: empty the library, or the next record makes no event */
	while (total < room) {
		int n;

		ERR_clear_error();
		n = SSL_read(s->ssl, p + total,
		    (int)(room - total > INT32_MAX ? INT32_MAX : room - total));
		if (n > 0) {
			total += (size_t)n;
			if (!SSL_has_pending(s->ssl))
				break;
			continue;
		}
		if (tls_would_block(s, n)) {
			if (s->want_write_to_read)
				update_watch(s);
			break;
		}
		s->eof = true;
		return total > 0 ? (ssize_t)total : -1;
	}
	s->more = total == room;
	return (ssize_t)total;
}

ssize_t
stream_read(struct stream *s, uint8_t *p, size_t room)
{
	ssize_t n;

	if (s->eof)
		return -1;
	if (s->ssl != NULL)
		return tls_read(s, p, room);
	do
		n = recv(stream_fd(s), p, room, 0);
	while (n == -1 && errno == EINTR);
	if (n > 0)
		return n;
	if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	s->eof = true;
	return -1;
}

/* What the kernel takes now: >= 0, or -1. */
static ssize_t
write_some(struct stream *s, const uint8_t *p, size_t n)
{
	ssize_t done;

	if (s->ssl != NULL) {
		size_t total = 0;

		while (total < n) {
			size_t left = n - total;
			int ret;

			ERR_clear_error();
			ret = SSL_write(s->ssl, p + total,
			    left > INT32_MAX ? INT32_MAX : (int)left);
			if (ret > 0) {
				total += (size_t)ret;
				continue;
			}
			switch (SSL_get_error(s->ssl, ret)) {
			case SSL_ERROR_WANT_READ:
			case SSL_ERROR_WANT_WRITE:
				return (ssize_t)total;
			default:
				return -1;
			}
		}
		return (ssize_t)total;
	}
	do
		done = send(stream_fd(s), p, n, MSG_NOSIGNAL);
	while (done == -1 && errno == EINTR);
	if (done == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	return done;
}

int
stream_write(struct stream *s, const void *p, size_t n)
{
	ssize_t done = 0;

	if (s->broken)
		return -1;
	if (n == 0)
		return 0;
	if (buf_len(&s->out) == 0) {
		done = write_some(s, p, n);
		if (done == -1)
			goto fail;
		if ((size_t)done == n)
			return 0;
	}
	buf_put(&s->out, (const uint8_t *)p + done, n - (size_t)done);
	if (buf_failed(&s->out))
		goto fail;
	if (buf_len(&s->out) >= STREAM_HIGH)
		s->high = true;
	update_watch(s);
	return 0;
fail:
	s->broken = true;
	s->high = false;
	buf_release(&s->out);
	update_watch(s);
	return -1;
}

/* False when the stream is gone. */
static bool
flush(struct stream *s)
{
	ssize_t done = write_some(s, buf_data(&s->out), buf_len(&s->out));
	bool was_high = s->high;

	if (done == -1) {
		/* reading will find the end of it */
		s->broken = true;
		s->high = false;
		buf_release(&s->out);
		s->paused = false;
		update_watch(s);
		return true;
	}
	buf_consume(&s->out, (size_t)done);
	if (buf_len(&s->out) == 0)
		buf_release(&s->out);
	if (buf_len(&s->out) > 0 && (!was_high || buf_len(&s->out) > STREAM_LOW)) {
		update_watch(s);
		return true;
	}
	s->high = false;
	update_watch(s);
	return s->ops->drained == NULL || s->ops->drained(s);
}

static void
ready(struct watch *w, int events)
{
	struct stream *s = list_entry(w, struct stream, watch);

	if (s->handshaking) {
		if (!handshake(s) || s->handshaking || s->paused)
			return;
		/* the client's first message may have come with the end of the handshake */
		if (SSL_has_pending(s->ssl))
			watch_feed(s->loop, &s->watch, WATCH_READ);
		return;
	}
	if (events & WATCH_WRITE) {
		if (s->want_write_to_read) {
			s->want_write_to_read = false;
			events |= WATCH_READ;
			update_watch(s);
		}
		if (buf_len(&s->out) != 0 && !flush(s))
			return;
	}
	if ((events & WATCH_READ) == 0 || s->paused)
		return;
	if (!s->ops->readable(s))
		return;
	/* not SSL_has_pending() alone: half a record is pending too, and would be fed for ever */
	if (s->ssl != NULL && s->more && !s->handshaking && !s->paused && !s->eof && s->opened &&
	    SSL_has_pending(s->ssl))
		watch_feed(s->loop, &s->watch, WATCH_READ);
}

void
stream_pause(struct stream *s)
{
	s->paused = true;
	update_watch(s);
}

void
stream_resume(struct stream *s)
{
	if (!s->paused)
		return;
	s->paused = false;
	update_watch(s);
	if (s->opened && s->ssl != NULL && !s->handshaking && SSL_has_pending(s->ssl))
		watch_feed(s->loop, &s->watch, WATCH_READ);
}
