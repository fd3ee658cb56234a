/* wheel.h -- deadlines in a hierarchical timing wheel: set, move and cancel in O(1), no system call,
 * cost independent of how many there are. Pure: no clock of its own, the caller says what time it is
 * (so tests have a fake clock). Times are ms of any monotonic clock; resolution is WHEEL_TICK_MS.
 *
 * Lazy: moving a deadline later, or clearing it, is one store; the wheel notices when the slot comes
 * round. A struct deadline lives inside its owner, who must wheel_remove() it before it is freed. */
#ifndef PROXY_BASE_WHEEL_H
#define PROXY_BASE_WHEEL_H

#include "proxy/base/list.h"

#include <stdint.h>

#define WHEEL_TICK_MS 16
#define WHEEL_LEVELS  5
#define WHEEL_SLOTS   64
#define WHEEL_NEVER   UINT64_MAX

struct deadline {
	struct list_node node;		 /* in a slot; unlinked when the wheel does not know it */
	uint64_t at;			 /* ms, WHEEL_NEVER = not set */
	void (*fire)(struct deadline *); /* may free the owner, may set deadlines */
	uint64_t tick;			 /* when its slot is looked at */
};

struct wheel {
	uint64_t now_tick;
	uint32_t count;		     /* linked deadlines, lazily cleared ones too */
	uint64_t used[WHEEL_LEVELS]; /* bit per slot that may be non-empty */
	struct list_node slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *, uint64_t now_ms);
void deadline_init(struct deadline *, void (*fire)(struct deadline *));
/* Fires at or after `at`, never before. */
void wheel_set(struct wheel *, struct deadline *, uint64_t at);

static inline void
wheel_clear(struct deadline *d)
{
	d->at = WHEEL_NEVER;
}

/* Unlinks it; the owner may be freed. Harmless when not linked. */
void wheel_remove(struct wheel *, struct deadline *);
/* Fires what is due. */
void wheel_advance(struct wheel *, uint64_t now_ms);
/* When wheel_advance() must be called next, WHEEL_NEVER when the wheel is empty. */
uint64_t wheel_next(const struct wheel *);

#endif
