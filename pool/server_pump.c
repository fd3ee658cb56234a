/* server_pump.c -- the way of a server's bytes: framing, answers, runs of messages for the client.
 * Bytes are not copied: a run is a range of the worker's read buffer that goes out in one write. */
#include "pool/server.h"

#include "proxy/wire/pgmsg.h"

#include <string.h>

/* A message up to this size is looked at when it is whole; larger ones stream through. */
#define WHOLE_MAX (16u * 1024)
/* Nothing larger than this comes from PostgreSQL. */
#define MESSAGE_MAX 0x40000000u

/* The part of the buffer that goes to the client and has not been handed over yet. */
struct run {
	struct server_sink *sink;
	const uint8_t *start, *end;
};

static void
run_flush(struct run *r)
{
	if (r->end != r->start)
		r->sink->bytes(r->sink, r->start, (size_t)(r->end - r->start));
	r->start = r->end;
}

static void
run_add(struct run *r, const uint8_t *p, size_t n)
{
	if (r->end != p) {
		run_flush(r);
		r->start = p;
	}
	r->end = p + n;
}

static bool
may_stream(uint8_t type)
{
	return strchr("DdENTtVA", type) != NULL && type != 0;
}

static bool
is_event(uint8_t type)
{
	return type == 'Z' || type == 'C' || type == 'E' || type == 'S' || type == 'G';
}

/* What is left of a large message that began in an earlier read. */
static const uint8_t *
continue_body(struct server *s, struct run *run, const uint8_t *p, const uint8_t *end)
{
	size_t n = (size_t)(end - p);

	if (n > s->body_left)
		n = s->body_left;
	if (!s->body_drop)
		run_add(run, p, n);
	s->body_left -= (uint32_t)n;
	return p + n;
}

/* Takes whole messages (and beginnings of large ones) off [p, end); returns where it stopped, NULL on a
 * violation. */
static const uint8_t *
take_messages(struct server *s, struct run *run, const uint8_t *p, const uint8_t *end)
{
	while (end - p >= PGMSG_HEADER) {
		uint8_t type = p[0];
		uint32_t len = pg_get_u32(p + 1);
		size_t total = (size_t)len + 1, have = (size_t)(end - p);
		bool whole = have >= total;
		enum request_verdict v;

		if (len < 4 || len > MESSAGE_MAX)
			return NULL;
		if (!whole && (total <= WHOLE_MAX || !may_stream(type)))
			return total > WORKER_RBUF_SIZE / 2 ? NULL : p;
		v = server_answer(s, type, p + PGMSG_HEADER, (whole ? total : have) - PGMSG_HEADER);
		if (v != REQUEST_BAD && whole && is_event(type))
			v = run->sink->event(run->sink, s, type, p + PGMSG_HEADER,
			    total - PGMSG_HEADER, v);
		if (v == REQUEST_BAD)
			return NULL;
		if (!whole) {
			s->body_left = (uint32_t)(total - have);
			s->body_drop = v == REQUEST_DROP;
			total = have;
		}
		if (v == REQUEST_PASS)
			run_add(run, p, total);
		if (run->sink->fakes != NULL && buf_len(run->sink->fakes) > 0) {
			run_flush(run);
			run->sink->bytes(run->sink, buf_data(run->sink->fakes),
			    buf_len(run->sink->fakes));
			buf_clear(run->sink->fakes);
		}
		p += total;
	}
	return p;
}

enum pump_result
server_pump(struct server *s, struct server_sink *sink)
{
	uint8_t *rbuf = s->worker->rbuf;
	uint32_t kept = buf_len(&s->in);
	struct run run = { .sink = sink };
	const uint8_t *p, *end;
	ssize_t n;

	/* the beginning of a message from last time goes before what comes now */
	if (kept > 0) {
		memcpy(rbuf, buf_data(&s->in), kept);
		buf_release(&s->in);
	}
	n = stream_read(&s->stream, rbuf + kept, WORKER_RBUF_SIZE - kept);
	if (n <= 0) {
		buf_put(&s->in, rbuf, kept);
		return n == 0 ? PUMP_MORE : PUMP_LOST;
	}
	run.start = run.end = rbuf;
	end = rbuf + kept + n;
	p = rbuf;
	if (s->body_left > 0)
		p = continue_body(s, &run, p, end);
	p = take_messages(s, &run, p, end);
	run_flush(&run);
	if (p == NULL)
		return PUMP_BAD;
	buf_put(&s->in, p, (size_t)(end - p));
	if (buf_failed(&s->in))
		return PUMP_BAD;
	return PUMP_MORE;
}
