/* loop.h -- one event loop: fd watches and deadlines. The only header that includes ev.h.
 * A loop belongs to one thread; nothing here is thread-safe. Callbacks run from loop_run() only.
 * Times: loop_now_ms() and loop_now_us() are CLOCK_MONOTONIC, read once per turn (vDSO, no system call). */
#ifndef PROXY_BASE_LOOP_H
#define PROXY_BASE_LOOP_H

#include "proxy/base/wheel.h"

#include <ev.h>
#include <stdbool.h>

enum { WATCH_READ = EV_READ, WATCH_WRITE = EV_WRITE };

struct loop {
	struct ev_loop *ev;
	struct wheel wheel;
	ev_timer timer;	   /* armed for the wheel's next slot */
	uint64_t armed_ms; /* when it fires, WHEEL_NEVER = not armed */
	ev_check clock;	   /* reads the clock once per turn, before any other callback */
	uint64_t now_us;   /* CLOCK_MONOTONIC */
};

/* A watch on one fd; lives inside its owner. `events` are WATCH_* bits. */
struct watch {
	ev_io io;
};

int loop_init(struct loop *);
void loop_destroy(struct loop *);
/* Runs until loop_stop() is called from one of its callbacks. */
void loop_run(struct loop *);
void loop_stop(struct loop *);

static inline uint64_t
loop_now_us(const struct loop *l)
{
	return l->now_us;
}

static inline uint64_t
loop_now_ms(const struct loop *l)
{
	return l->now_us / 1000;
}

void watch_init(struct watch *, void (*ready)(struct watch *, int events), int fd);
void watch_start(struct loop *, struct watch *, int events);
/* Starts, changes or (0) stops. */
void watch_change(struct loop *, struct watch *, int events);
void watch_stop(struct loop *, struct watch *);

static inline int
watch_fd(const struct watch *w)
{
	return w->io.fd;
}

static inline int
watch_events(const struct watch *w)
{
	return ev_is_active(&w->io) ? w->io.events & (EV_READ | EV_WRITE) : 0;
}

/* Calls `ready` with these events in this turn although the kernel reports nothing (bytes wait
 * inside the TLS library). */
void watch_feed(struct loop *, struct watch *, int events);

/* Its events come before those of all other watches of the same turn. Before watch_start(). */
void watch_first(struct watch *);

/* Deadline at an absolute loop_now_ms() time; see wheel.h. */
void loop_deadline(struct loop *, struct deadline *, uint64_t at_ms);
void loop_deadline_remove(struct loop *, struct deadline *);

#endif
