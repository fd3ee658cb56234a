/* fake_loop.c -- every symbol of proxy/base/loop.h on poll(2) and a clock that the test moves.
 * The libev loop inside serves the mailbox of worker.c only. */
#include "tests/scenario/fake_loop.h"

#include "proxy/base/loop.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOOPS = 8, WATCHES = 1024, ROUNDS = 10000 };

struct slot {
	struct loop *loop;
	struct watch *watch;
	uint64_t serial; /* a watch at the same address may be another one by now */
	int fed;
};

static struct loop *loops[LOOPS];
static struct slot slots[WATCHES];
static uint64_t last_serial, clock_us = 1000000000u;

int
loop_init(struct loop *l)
{
	l->ev = ev_loop_new(EVBACKEND_POLL | EVFLAG_NOENV);
	/* a test that failed has left its loop behind */
	for (int i = 0; i < LOOPS; i++)
		if (loops[i] == l)
			loops[i] = NULL;
	l->now_us = clock_us;
	wheel_init(&l->wheel, loop_now_ms(l));
	for (int i = 0; i < LOOPS; i++)
		if (loops[i] == NULL) {
			loops[i] = l;
			return 0;
		}
	return -1;
}

void
loop_destroy(struct loop *l)
{
	for (int i = 0; i < LOOPS; i++)
		if (loops[i] == l)
			loops[i] = NULL;
	ev_loop_destroy(l->ev);
	l->ev = NULL;
}

void
loop_run(struct loop *l)
{
	(void)l;
	abort();
}

void
loop_stop(struct loop *l)
{
	(void)l;
}

void
watch_init(struct watch *w, void (*ready)(struct watch *, int), int fd)
{
	ev_io_init(&w->io, NULL, fd, 0);
	w->io.data = *(void **)&ready;
}

static struct slot *
slot_of(const struct watch *w)
{
	for (int i = 0; i < WATCHES; i++)
		if (slots[i].watch == w)
			return &slots[i];
	return NULL;
}

void
watch_start(struct loop *l, struct watch *w, int events)
{
	watch_change(l, w, events);
}

void
watch_change(struct loop *l, struct watch *w, int events)
{
	struct slot *s = slot_of(w);

	if (events == 0) {
		watch_stop(l, w);
		return;
	}
	w->io.events = events;
	w->io.active = 1;
	if (s != NULL)
		return;
	s = slot_of(NULL);
	if (s == NULL)
		abort();
	*s = (struct slot){ l, w, ++last_serial, 0 };
}

void
watch_stop(struct loop *l, struct watch *w)
{
	struct slot *s = slot_of(w);

	(void)l;
	w->io.active = 0;
	w->io.events = 0;
	if (s != NULL)
		*s = (struct slot){ 0 };
}

void
watch_feed(struct loop *l, struct watch *w, int events)
{
	struct slot *s = slot_of(w);

	(void)l;
	if (s != NULL)
		s->fed |= events;
}

void
watch_first(struct watch *w)
{
	ev_set_priority(&w->io, EV_MAXPRI - 1);
}

void
loop_deadline(struct loop *l, struct deadline *d, uint64_t at_ms)
{
	wheel_set(&l->wheel, d, at_ms);
}

void
loop_deadline_remove(struct loop *l, struct deadline *d)
{
	wheel_remove(&l->wheel, d);
}

/* ---- the test's side ---- */

static bool
call_ready(const struct slot *was, int events)
{
	struct slot *s = slot_of(was->watch);
	void (*ready)(struct watch *, int);

	if (s == NULL || s->serial != was->serial)
		return false;
	s->fed = 0;
	*(void **)&ready = was->watch->io.data;
	ready(was->watch, events);
	return true;
}

static bool
turn_fds(void)
{
	struct slot was[WATCHES];
	struct pollfd fds[WATCHES];
	nfds_t n = 0;
	bool any = false;

	/* twice round: those of watch_first() come before the others */
	for (int j = 0; j < 2 * WATCHES; j++) {
		int i = j % WATCHES, events;

		if (slots[i].watch == NULL ||
		    (ev_priority(&slots[i].watch->io) > 0) != (j < WATCHES))
			continue;
		events = watch_events(slots[i].watch);
		was[n] = slots[i];
		fds[n].fd = watch_fd(slots[i].watch);
		fds[n].revents = 0;
		fds[n++].events = (short)((events & WATCH_READ ? POLLIN : 0) |
					  (events & WATCH_WRITE ? POLLOUT : 0));
	}
	if (poll(fds, n, 0) == -1)
		return false;
	for (nfds_t i = 0; i < n; i++) {
		int events = was[i].fed;

		if (fds[i].revents & (POLLIN | POLLHUP | POLLERR))
			events |= WATCH_READ;
		if (fds[i].revents & (POLLOUT | POLLHUP | POLLERR))
			events |= WATCH_WRITE;
		/* as libev does: only what is watched for now */
		if (slot_of(was[i].watch) != NULL)
			events &= watch_events(was[i].watch) | was[i].fed;
		if (events != 0)
			any |= call_ready(&was[i], events);
	}
	return any;
}

static bool
turn(void)
{
	bool any = false;

	for (int i = 0; i < LOOPS; i++) {

		if (loops[i] == NULL)
			continue;
		loops[i]->now_us = clock_us;
		ev_run(loops[i]->ev, EVRUN_NOWAIT);
	}
	any |= turn_fds();
	for (int i = 0; i < LOOPS; i++)
		if (loops[i] != NULL)
			wheel_advance(&loops[i]->wheel, clock_us / 1000);
	return any;
}

void
fake_loop_settle(void)
{
	int quiet = 0;

	/* mail may follow from mail: a few quiet turns are needed to be sure */
	for (int i = 0; i < ROUNDS; i++) {
		quiet = turn() ? 0 : quiet + 1;
		if (quiet == 4)
			return;
	}
	fprintf(stderr, "the loop spins\n");
	abort();
}

void
fake_loop_advance(uint64_t ms)
{
	uint64_t target = clock_us / 1000 + ms;

	fake_loop_settle();
	while (clock_us / 1000 < target) {
		uint64_t next = target;

		for (int i = 0; i < LOOPS; i++)
			if (loops[i] != NULL && wheel_next(&loops[i]->wheel) < next)
				next = wheel_next(&loops[i]->wheel);
		if (next <= clock_us / 1000)
			next = clock_us / 1000 + 1;
		clock_us = next * 1000;
		fake_loop_settle();
	}
}

uint64_t
fake_loop_now_ms(void)
{
	return clock_us / 1000;
}
