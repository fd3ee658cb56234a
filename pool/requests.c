#include "pool/requests.h"

#include <stdlib.h>
#include <string.h>

static struct request *
at(const struct requests *q, uint32_t i)
{
	return &q->ring[(q->head + i) & (q->size - 1)];
}

void
requests_release(struct requests *q)
{
	free(q->ring);
	memset(q, 0, sizeof(*q));
}

static bool
grow(struct requests *q)
{
	uint32_t size = q->size == 0 ? 8 : q->size * 2;
	struct request *ring;

	if (size > REQUESTS_MAX)
		return false;
	ring = malloc(size * sizeof(*ring));
	if (ring == NULL)
		return false;
	for (uint32_t i = 0; i < q->count; i++)
		ring[i] = *at(q, i);
	free(q->ring);
	q->ring = ring;
	q->size = size;
	q->head = 0;
	return true;
}

static void
settle(const struct request *r, bool ok, const struct requests_ops *ops, void *owner)
{
	if (r->note != NULL)
		ops->settled(owner, r, ok);
}

static void
pop(struct requests *q, bool ok, const struct requests_ops *ops, void *owner)
{
	struct request r = *at(q, 0);

	q->head++;
	q->count--;
	settle(&r, ok, ops, owner);
}

/* Entries that wait for no message of the server are over as soon as they are first. */
static void
run_ahead(struct requests *q, const struct requests_ops *ops, void *owner)
{
	while (q->count > 0) {
		struct request *r = at(q, 0);

		if (r->fate == REQUEST_FAKE) {
			enum request_kind kind = (enum request_kind)r->kind;

			pop(q, true, ops, owner);
			ops->fake(owner, kind);
		} else if (r->kind == REQUEST_COPY_END) {
			pop(q, true, ops, owner);
		} else {
			return;
		}
	}
}

bool
requests_push(struct requests *q, enum request_kind kind, enum request_fate fate, void *note,
    const struct requests_ops *ops, void *owner)
{
	struct request r = { .kind = (uint8_t)kind, .fate = (uint8_t)fate, .note = note };

	if (q->skipping) {
		/* the server ignores it too */
		if (kind != REQUEST_SYNC) {
			if (kind != REQUEST_COPY_END && q->leftover > 0)
				q->unsure = true;
			settle(&r, false, ops, owner);
			return true;
		}
		q->skipping = false;
	}
	if (q->copy_open) {
		if (kind == REQUEST_SYNC)
			r.maybe_eaten = true;
		else if (fate != REQUEST_FAKE)
			q->copy_open =
			    false; /* CopyDone, or what ends the connection if the COPY reads it */
	}
	if (q->count == q->size && !grow(q))
		return false;
	*at(q, q->count) = r;
	q->count++;
	if (q->count == 1)
		run_ahead(q, ops, owner);
	return true;
}

/* A COPY FROM STDIN begins: what was sent behind it is read by it, up to CopyDone or CopyFail. */
static void
copy_begins(struct requests *q)
{
	q->copy_in = true;
	q->copy_open = true;
	for (uint32_t i = 1; i < q->count && q->copy_open; i++) {
		struct request *r = at(q, i);

		if (r->kind == REQUEST_COPY_END)
			q->copy_open = false;
		else if (r->kind == REQUEST_SYNC)
			r->maybe_eaten = true;
		else if (r->fate != REQUEST_FAKE)
			q->copy_open = false; /* a COPY that reads this ends the connection */
	}
}

/* Removes the Syncs that the COPY has read, and with `end` its CopyDone. True when there were any Syncs. */
static bool
forget_eaten(struct requests *q, bool end, const struct requests_ops *ops, void *owner)
{
	uint32_t to = 1;
	bool any = false, ended = false;

	for (uint32_t i = 1; i < q->count; i++) {
		struct request r = *at(q, i);

		if (r.maybe_eaten) {
			any = true;
			if (!end)
				q->leftover++;
			settle(&r, true, ops, owner);
			continue;
		}
		if (end && !ended && r.kind == REQUEST_COPY_END) {
			ended = true;
			settle(&r, true, ops, owner);
			continue;
		}
		*at(q, to++) = r;
	}
	q->count = to;
	return any;
}

static void
copy_ends(struct requests *q, const struct requests_ops *ops, void *owner)
{
	forget_eaten(q, true, ops, owner);
	q->copy_in = q->copy_open = false;
}

static enum request_verdict
verdict(const struct request *r)
{
	return r->fate == REQUEST_FORWARD ? REQUEST_PASS : REQUEST_DROP;
}

static enum request_verdict
on_error(struct requests *q, const struct requests_ops *ops, void *owner)
{
	enum request_verdict v;
	struct request *head;
	uint32_t n;

	if (q->count == 0)
		return REQUEST_PASS; /* FATAL out of the blue; the end of the connection follows */
	if (q->copy_in) {
		/* whether the COPY read them before it failed, nobody can tell */
		if (forget_eaten(q, false, ops, owner))
			q->tainted = true;
		q->copy_in = q->copy_open = false;
	}
	head = at(q, 0);
	if (head->kind <= REQUEST_SYNC) {
		head->failed = true;
		return verdict(head);
	}
	/* an injected Parse that fails stands for the client's Bind that needed it */
	v = REQUEST_PASS;
	for (n = 0; n < q->count && at(q, n)->kind != REQUEST_SYNC; n++)
		;
	for (uint32_t i = n; i-- > 0;) {
		if (i > 0 && q->leftover > 0 && at(q, i)->kind != REQUEST_COPY_END)
			q->unsure = true; /* if such a Sync is answered, so are these */
		settle(at(q, i), false, ops, owner);
	}
	q->head += n;
	q->count -= n;
	q->skipping = q->count == 0;
	return v;
}

static enum request_verdict
on_ready(struct requests *q, const struct requests_ops *ops, void *owner)
{
	struct request *head = at(q, 0);
	enum request_verdict v = verdict(head);

	if (head->kind > REQUEST_SYNC)
		return REQUEST_BAD;
	q->open = false;
	pop(q, !head->failed, ops, owner);
	run_ahead(q, ops, owner);
	return v;
}

/* The answer that ends an extended-protocol request of this kind. */
static enum request_verdict
on_end_of(struct requests *q, enum request_kind kind, const struct requests_ops *ops, void *owner)
{
	struct request *head = at(q, 0);
	enum request_verdict v = verdict(head);

	if (head->kind != kind)
		return REQUEST_BAD;
	q->open = true;
	pop(q, true, ops, owner);
	run_ahead(q, ops, owner);
	return v;
}

/* A ReadyForQuery that the first request cannot have caused: the answer to a Sync that a failed COPY might
 * have eaten and did not. */
static bool
is_leftover(const struct requests *q)
{
	return q->count == 0 || at(q, 0)->kind > REQUEST_SYNC ||
	       (at(q, 0)->kind != REQUEST_SYNC && !at(q, 0)->seen);
}

enum request_verdict
requests_answer(struct requests *q, uint8_t type, const struct requests_ops *ops, void *owner)
{
	enum request_kind kind;

	if (type == 'N' || type == 'S' || type == 'A')
		return REQUEST_PASS;
	if (type == 'Z' && q->leftover > 0 && is_leftover(q)) {
		q->skipping = q->open = false;
		if (--q->leftover == 0)
			q->tainted = q->unsure;
		return REQUEST_PASS;
	}
	if (type == 'E' && q->leftover > 0)
		q->unsure = true; /* perhaps the error of such a Sync */
	if (type != 'Z' && q->count > 0) {
		/* what was sent later is being answered: the Syncs before it are over, eaten or answered */
		at(q, 0)->seen = true;
		q->leftover = 0;
		q->tainted = q->unsure;
	}
	if (type == 'E')
		return on_error(q, ops, owner);
	if (q->count == 0)
		return REQUEST_BAD;
	kind = (enum request_kind)at(q, 0)->kind;
	switch (type) {
	case 'Z':
		return on_ready(q, ops, owner);
	case '1':
		return on_end_of(q, REQUEST_PARSE, ops, owner);
	case '2':
		return on_end_of(q, REQUEST_BIND, ops, owner);
	case '3':
		return on_end_of(q, REQUEST_CLOSE, ops, owner);
	case 'n':
		return on_end_of(q, REQUEST_DESCRIBE, ops, owner);
	case 'T':
		return kind == REQUEST_QUERY ? verdict(at(q, 0))
					     : on_end_of(q, REQUEST_DESCRIBE, ops, owner);
	case 't':
		return kind == REQUEST_DESCRIBE ? verdict(at(q, 0)) : REQUEST_BAD;
	case 'C':
	case 'I':
	case 's':
		if (q->copy_in && type == 'C')
			copy_ends(q, ops, owner);
		return kind == REQUEST_QUERY ? verdict(at(q, 0))
					     : on_end_of(q, REQUEST_EXECUTE, ops, owner);
	case 'G':
		if (kind != REQUEST_QUERY && kind != REQUEST_EXECUTE)
			return REQUEST_BAD;
		copy_begins(q);
		return verdict(at(q, 0));
	case 'V':
		return kind == REQUEST_FUNCTION ? verdict(at(q, 0)) : REQUEST_BAD;
	case 'D':
	case 'H':
	case 'W':
	case 'd':
	case 'c':
		return kind == REQUEST_QUERY || kind == REQUEST_EXECUTE ? verdict(at(q, 0))
									: REQUEST_BAD;
	default:
		return REQUEST_BAD;
	}
}

void
requests_abandon(struct requests *q, const struct requests_ops *ops, void *owner)
{
	for (uint32_t i = q->count; i-- > 0;)
		settle(at(q, i), false, ops, owner);
	requests_release(q);
}
