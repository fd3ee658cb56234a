/* stream.h -- non-blocking bytes over a socket, plain or TLS, on one loop.
 * Sending writes at once; only what the kernel does not take is copied into `out`, which then drains
 * by itself. Reading goes into the caller's buffer: an idle stream holds no memory.
 * Back-pressure is the owner's: stream_pause()/stream_resume() and the `drained` callback.
 *
 * Callbacks return false when they have freed the stream (or handed it to another loop); nothing of
 * it is touched afterwards. They run from the loop only, never from inside a stream_* call -- an
 * error found while sending is remembered in `broken` and reported by the return value.
 * Must not know protocols. Lives inside its owner. */
#ifndef PROXY_BASE_STREAM_H
#define PROXY_BASE_STREAM_H

#include "proxy/base/buf.h"
#include "proxy/base/loop.h"

#include <openssl/types.h>
#include <sys/types.h>

struct stream;

struct stream_ops {
	bool (*readable)(struct stream *);
	/* The output that had been waiting is below STREAM_LOW again. */
	bool (*drained)(struct stream *);
	/* The TLS handshake ended (ok) or failed; only after stream_accept_tls/stream_connect_tls. */
	bool (*secured)(struct stream *, bool ok);
};

#define STREAM_OUT_CAP (64u * 1024 * 1024) /* more than this waiting is an error */
#define STREAM_HIGH    (256u * 1024)	   /* from here on the owner should stop its source */
#define STREAM_LOW     (64u * 1024)

struct stream {
	struct watch watch;
	struct loop *loop;
	const struct stream_ops *ops;
	SSL *ssl;	 /* NULL = plain */
	struct buf out;	 /* accepted, not yet taken by the kernel */
	bool opened : 1; /* `loop` watches it; after stream_detach() loop is the one that did */
	bool handshaking : 1, tls_server : 1;
	bool paused : 1; /* the owner does not want to read */
	bool broken : 1; /* the peer is gone or an error occurred: sends are dropped */
	bool eof : 1;
	bool owns_ssl : 1;	     /* false for a session that libpq frees */
	bool want_write_to_read : 1; /* TLS needs a write before it can read on */
	bool more : 1; /* a TLS read stopped for lack of room: what is left makes no event */
	bool high : 1; /* crossed STREAM_HIGH; `drained` will be called */
};

/* Takes the fd (which must be non-blocking); nothing is watched yet. */
void stream_init(struct stream *, int fd, const struct stream_ops *);
/* Starts watching on this loop. */
void stream_open(struct stream *, struct loop *);
/* Stops watching, so that the stream can be opened on another loop. Nothing may be waiting in it. */
void stream_detach(struct stream *);
/* Stops, frees memory, closes the fd. With `polite` a TLS close_notify is tried. */
void stream_close(struct stream *, bool polite);

/* The SSL is owned by the stream; the callback is `secured`. `first` bytes were read already. */
int stream_accept_tls(struct stream *, SSL_CTX *, const uint8_t *first, size_t n);
int stream_connect_tls(struct stream *, SSL_CTX *, const char *host);
/* The SSL stays somebody else's (libpq's); the handshake is done. */
void stream_adopt_tls(struct stream *, SSL *);

/* > 0: bytes read. 0: nothing there now. -1: closed or failed. */
ssize_t stream_read(struct stream *, uint8_t *p, size_t room);
/* 0, or -1 when broken or too much is waiting. */
int stream_write(struct stream *, const void *p, size_t n);

void stream_pause(struct stream *);
void stream_resume(struct stream *);

static inline uint32_t
stream_waiting(const struct stream *s)
{
	return buf_len(&s->out);
}

static inline bool
stream_is_high(const struct stream *s)
{
	return s->high;
}

static inline int
stream_fd(const struct stream *s)
{
	return watch_fd(&s->watch);
}

#endif
