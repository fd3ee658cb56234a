#include "proxy/base/loop.h"

#include "proxy/base/loop_memory.h"

#include <stddef.h>
#include <time.h>

static void
read_clock(struct loop *l)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	l->now_us = (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void
on_check(struct ev_loop *ev, ev_check *c, int revents)
{
	(void)ev;
	(void)revents;
	read_clock(c->data);
}

static void
arm(struct loop *l)
{
	uint64_t next = wheel_next(&l->wheel);

	if (next == l->armed_ms)
		return;
	l->armed_ms = next;
	ev_timer_stop(l->ev, &l->timer);
	if (next == WHEEL_NEVER)
		return;
	/* a little late rather than a little early: an early wake-up would find nothing due */
	ev_timer_set(&l->timer, ((double)next - (double)l->now_us / 1e3) / 1e3 + 0.001, 0.);
	ev_timer_start(l->ev, &l->timer);
}

static void
on_timer(struct ev_loop *ev, ev_timer *t, int revents)
{
	struct loop *l = t->data;

	(void)ev;
	(void)revents;
	l->armed_ms = WHEEL_NEVER;
	wheel_advance(&l->wheel, loop_now_ms(l));
	arm(l);
}

int
loop_init(struct loop *l)
{
	if (loop_memory_init() == -1)
		return -1;
	l->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (l->ev == NULL)
		return -1;
	read_clock(l);
	wheel_init(&l->wheel, loop_now_ms(l));
	ev_check_init(&l->clock, on_check);
	ev_set_priority(&l->clock, EV_MAXPRI);
	l->clock.data = l;
	ev_check_start(l->ev, &l->clock);
	ev_init(&l->timer, on_timer);
	l->timer.data = l;
	l->armed_ms = WHEEL_NEVER;
	return 0;
}

void
loop_destroy(struct loop *l)
{
	if (l->ev == NULL)
		return;
	ev_loop_destroy(l->ev);
	l->ev = NULL;
}

void
loop_run(struct loop *l)
{
	ev_run(l->ev, 0);
}

void
loop_stop(struct loop *l)
{
	ev_break(l->ev, EVBREAK_ALL);
}

/* The watcher's free data pointer holds the callback, so that a watch costs nothing beyond ev_io. */
static void
on_io(struct ev_loop *ev, ev_io *io, int revents)
{
	void (*ready)(struct watch *, int);

	(void)ev;
	*(void **)&ready = io->data;
	ready((struct watch *)((char *)io - offsetof(struct watch, io)), revents);
}

void
watch_init(struct watch *w, void (*ready)(struct watch *, int), int fd)
{
	ev_io_init(&w->io, on_io, fd, 0);
	w->io.data = *(void **)&ready;
}

void
watch_start(struct loop *l, struct watch *w, int events)
{
	watch_change(l, w, events);
}

void
watch_change(struct loop *l, struct watch *w, int events)
{
	int fed;

	if (watch_events(w) == events)
		return;
	/* stopping drops what watch_feed() has promised; nobody would promise it again */
	fed = ev_clear_pending(l->ev, &w->io) & events;
	ev_io_stop(l->ev, &w->io);
	if (events == 0)
		return;
	ev_io_set(&w->io, w->io.fd, events);
	ev_io_start(l->ev, &w->io);
	if (fed != 0)
		ev_feed_event(l->ev, &w->io, fed);
}

void
watch_stop(struct loop *l, struct watch *w)
{
	ev_io_stop(l->ev, &w->io);
}

void
watch_feed(struct loop *l, struct watch *w, int events)
{
	ev_feed_event(l->ev, &w->io, events);
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
	/* inside a wheel callback the armed time is NEVER and on_timer arms once at its end */
	if (at_ms != WHEEL_NEVER && at_ms < l->armed_ms)
		arm(l);
}

void
loop_deadline_remove(struct loop *l, struct deadline *d)
{
	wheel_remove(&l->wheel, d);
}
