#include "tests/scenario/end.h"

#include "proxy/wire/pgmsg.h"
#include "tests/scenario/fake_loop.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

void
end_init(struct end *e, int fd)
{
	memset(e, 0, sizeof(*e));
	e->fd = fd;
	buf_init(&e->in, BUF_CAP_MAX);
	buf_init(&e->out, BUF_CAP_MAX);
}

void
end_release(struct end *e)
{
	buf_release(&e->in);
	buf_release(&e->out);
}

void
end_fetch(struct end *e)
{
	uint8_t chunk[65536];
	ssize_t n;

	while ((n = recv(e->fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0)
		buf_put(&e->in, chunk, (size_t)n);
	if (n == 0 || (n == -1 && errno != EAGAIN))
		e->eof = true;
}

void
end_send(struct end *e, const void *p, size_t n)
{
	const uint8_t *at = p;

	for (int tries = 0; n > 0 && tries < 100000; tries++) {
		ssize_t done = send(e->fd, at, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (done > 0) {
			at += done;
			n -= (size_t)done;
		}
		if (done == -1 && errno != EAGAIN)
			break; /* closed on us: the test finds out by looking */
		if (n > 0)
			fake_loop_settle();
		if (done == -1 && tries > 3)
			break; /* back-pressure: the rest is the caller's problem */
	}
	fake_loop_settle();
}

size_t
end_pour(struct end *e, const void *p, size_t n)
{
	ssize_t done = send(e->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

	fake_loop_settle();
	return done > 0 ? (size_t)done : 0;
}

size_t
end_drain(struct end *e)
{
	size_t n;

	end_fetch(e);
	n = buf_len(&e->in);
	buf_consume(&e->in, n);
	fake_loop_settle();
	return n;
}

/* Takes the whole messages that have come. */
void
end_look(struct end *e)
{
	fake_loop_settle();
	end_fetch(e);
	e->n = 0;
	memset(e->texts, 0, sizeof(e->texts));
	while (buf_len(&e->in) >= PGMSG_HEADER && e->n < END_MESSAGES) {
		const uint8_t *p = buf_data(&e->in);
		size_t total = (size_t)pg_get_u32(p + 1) + 1, body = total - PGMSG_HEADER;

		if (buf_len(&e->in) < total)
			break;
		e->types[e->n] = (char)p[0];
		if (p[0] == 'Z')
			e->types[e->n] = p[5] == 'I' ? 'Z' : p[5] == 'T' ? 'z' : 'x';
		memcpy(e->texts[e->n], p + PGMSG_HEADER, body < END_TEXT - 1 ? body : END_TEXT - 1);
		e->n++;
		buf_consume(&e->in, total);
	}
	e->types[e->n] = '\0';
}
