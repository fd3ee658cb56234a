/* connector_cancel.c -- cancel requests: a connection of our own for each, over TLS when the server
 * connection is. Delivered when the server closes it, which PostgreSQL does once it has sent the
 * signal. The certificate is not verified: a job knows the server by its address only. */
#include "pool/connector_thread.h"

#include "pool/connector.h"
#include "proxy/base/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CANCEL_CODE	     80877102u
#define SSL_CODE	     80877103u
#define BUSY_SOCKET_RETRY_MS 20

enum delivery_state {
	TRYING,	  /* the Unix socket's queue is full: not connected yet */
	ASKING,	  /* sent SSLRequest, waiting for S */
	SECURING, /* TLS handshake */
	WAITING,  /* sent the request, waiting for the end */
};

struct delivery {
	struct list_node place;
	struct connector_thread *thread;
	struct cancel_job *job;
	enum delivery_state state;
	struct stream stream;
	bool has_stream;
	struct deadline deadline; /* the job's */
	struct deadline retry;	  /* TRYING */
};

static void
deliver_done(struct worker *w, struct letter *l)
{
	struct cancel_job *job = list_entry(l, struct cancel_job, letter);

	job->done(w, job);
}

static void
give_back(struct cancel_job *job, bool ok)
{
	job->ok = ok;
	list_init(&job->letter.node);
	job->letter.deliver = deliver_done;
	worker_post(job->asker, &job->letter);
}

static void
end(struct delivery *d, bool ok)
{
	struct loop *loop = &d->thread->worker.loop;

	if (d->has_stream)
		stream_close(&d->stream, false);
	loop_deadline_remove(loop, &d->deadline);
	loop_deadline_remove(loop, &d->retry);
	list_del(&d->place);
	give_back(d->job, ok);
	free(d);
}

static void
on_deadline(struct deadline *deadline)
{
	end(list_entry(deadline, struct delivery, deadline), false);
}

/* ---- the dialogue ---- */

static void
send_request(struct delivery *d)
{
	struct buf b;

	buf_init(&b, 12 + CONNECT_KEY_MAX);
	b.wipe = true;
	buf_put_u32(&b, 12u + d->job->key_len);
	buf_put_u32(&b, CANCEL_CODE);
	buf_put_u32(&b, d->job->backend_pid);
	buf_put(&b, d->job->key, d->job->key_len);
	d->state = WAITING;
	d->stream.out.wipe = true;
	/* an error shows when the stream is read */
	if (!buf_failed(&b))
		(void)stream_write(&d->stream, buf_data(&b), buf_len(&b));
	buf_release(&b);
}

/* One byte and no more: what somebody put behind it in clear text must not count as said inside TLS. */
static bool
read_tls_answer(struct delivery *d)
{
	uint8_t answer;
	ssize_t n = stream_read(&d->stream, &answer, 1);

	if (n == 0)
		return true;
	d->state = SECURING;
	if (n == 1 && answer == 'S' &&
	    stream_connect_tls(&d->stream, d->thread->all->cancel_ctx, NULL) == 0)
		return true;
	end(d, false);
	return false;
}

static bool
read_end(struct delivery *d)
{
	uint8_t byte;
	ssize_t n;

	errno = 0;
	n = stream_read(&d->stream, &byte, 1);
	if (n == 0)
		return true;
	/* the server says nothing to a cancel request; a reset means it never read ours */
	end(d, n == -1 && errno != ECONNRESET && errno != ECONNREFUSED && !d->stream.broken &&
		   stream_waiting(&d->stream) == 0);
	return false;
}

static bool
on_readable(struct stream *s)
{
	struct delivery *d = list_entry(s, struct delivery, stream);

	return d->state == ASKING ? read_tls_answer(d) : read_end(d);
}

static bool
on_secured(struct stream *s, bool ok)
{
	struct delivery *d = list_entry(s, struct delivery, stream);

	if (!ok) {
		end(d, false);
		return false;
	}
	send_request(d);
	return true;
}

static const struct stream_ops ops = { .readable = on_readable, .secured = on_secured };

/* ---- beginning ---- */

static void
begin_dialogue(struct delivery *d, int fd)
{
	static const uint8_t ssl_request[] = { 0, 0, 0, 8, SSL_CODE >> 24, SSL_CODE >> 16 & 0xff,
		SSL_CODE >> 8 & 0xff, SSL_CODE & 0xff };

	stream_init(&d->stream, fd, &ops);
	d->has_stream = true;
	/* a socket that is not connected yet takes nothing: the stream keeps it until it does */
	if (d->job->tls) {
		d->state = ASKING;
		(void)stream_write(&d->stream, ssl_request, sizeof(ssl_request));
	} else {
		send_request(d);
	}
	stream_open(&d->stream, &d->thread->worker.loop);
}

/* False when it failed at once. */
static bool
try_connect(struct delivery *d)
{
	struct cancel_job *job = d->job;
	struct loop *loop = &d->thread->worker.loop;
	int family = job->peer.ss_family, one = 1, error;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return false;
	if (family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(fd, (const struct sockaddr *)&job->peer, job->peer_len) == 0 ||
	    errno == EINPROGRESS) {
		begin_dialogue(d, fd);
		return true;
	}
	error = errno;
	close(fd);
	if (error != EAGAIN)
		return false;
	loop_deadline(loop, &d->retry, loop_now_ms(loop) + BUSY_SOCKET_RETRY_MS);
	return true;
}

static void
on_retry(struct deadline *deadline)
{
	struct delivery *d = list_entry(deadline, struct delivery, retry);

	if (!try_connect(d))
		end(d, false);
}

void
connector_cancel_start(struct connector_thread *t, struct cancel_job *job)
{
	struct delivery *d = NULL;

	/* without a key it can only fail */
	if (t->stopped || job->key_len == 0 || job->key_len > CONNECT_KEY_MAX ||
	    job->peer_len > sizeof(job->peer) || (d = calloc(1, sizeof(*d))) == NULL) {
		give_back(job, false);
		return;
	}
	d->thread = t;
	d->job = job;
	d->state = TRYING;
	list_push_back(&t->cancels, &d->place);
	deadline_init(&d->deadline, on_deadline);
	deadline_init(&d->retry, on_retry);
	if (!try_connect(d)) {
		end(d, false);
		return;
	}
	if (job->timeout > 0)
		loop_deadline(&t->worker.loop, &d->deadline,
		    loop_now_ms(&t->worker.loop) + (uint64_t)job->timeout);
}

void
connector_cancel_stop(struct connector_thread *t)
{
	list_each(n, tmp, &t->cancels) end(list_entry(n, struct delivery, place), false);
}
