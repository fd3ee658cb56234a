#include "proxy/base/wheel.h"

#include <stddef.h>

#define SLOT_BITS 6
#define HORIZON	  ((1ull << (SLOT_BITS * WHEEL_LEVELS)) - 1)

void
wheel_init(struct wheel *w, uint64_t now_ms)
{
	w->now_tick = now_ms / WHEEL_TICK_MS;
	w->count = 0;
	for (int l = 0; l < WHEEL_LEVELS; l++) {
		w->used[l] = 0;
		for (int s = 0; s < WHEEL_SLOTS; s++)
			list_init(&w->slot[l][s]);
	}
}

void
deadline_init(struct deadline *d, void (*fire)(struct deadline *))
{
	list_init(&d->node);
	d->at = WHEEL_NEVER;
	d->fire = fire;
	d->tick = 0;
}

static void
place(struct wheel *w, struct deadline *d)
{
	uint64_t tick = (d->at + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS, delta;
	int level, slot;

	if (tick <= w->now_tick)
		tick = w->now_tick + 1;
	delta = tick - w->now_tick;
	if (delta > HORIZON) {
		/* looked at when the horizon comes, then placed again */
		delta = HORIZON;
		tick = w->now_tick + HORIZON;
	}
	level = (63 - __builtin_clzll(delta)) / SLOT_BITS;
	slot = (int)(tick >> (SLOT_BITS * level)) & (WHEEL_SLOTS - 1);
	d->tick = tick;
	list_push_back(&w->slot[level][slot], &d->node);
	w->used[level] |= 1ull << slot;
	w->count++;
}

void
wheel_set(struct wheel *w, struct deadline *d, uint64_t at)
{
	if (list_linked(&d->node)) {
		d->at = at;
		if (at == WHEEL_NEVER || at >= d->tick * WHEEL_TICK_MS)
			return;
		list_del(&d->node);
		w->count--;
	}
	d->at = at;
	if (at != WHEEL_NEVER)
		place(w, d);
}

void
wheel_remove(struct wheel *w, struct deadline *d)
{
	d->at = WHEEL_NEVER;
	if (list_linked(&d->node)) {
		list_del(&d->node);
		w->count--;
	}
}

/* Takes everything out of a slot: due deadlines fire, the others find their new slot. */
static void
look_at(struct wheel *w, int level, int slot)
{
	struct list_node batch, *n;

	if ((w->used[level] & (1ull << slot)) == 0)
		return;
	w->used[level] &= ~(1ull << slot);
	list_init(&batch);
	list_splice_back(&batch, &w->slot[level][slot]);
	/* pop one by one: a callback may remove any other deadline of this batch */
	while ((n = list_pop(&batch)) != NULL) {
		struct deadline *d = list_entry(n, struct deadline, node);

		w->count--;
		if (d->at == WHEEL_NEVER)
			continue;
		if ((d->at + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS > w->now_tick) {
			place(w, d);
			continue;
		}
		d->at = WHEEL_NEVER;
		d->fire(d);
	}
}

void
wheel_advance(struct wheel *w, uint64_t now_ms)
{
	uint64_t target = now_ms / WHEEL_TICK_MS;

	while (w->now_tick < target) {
		if (w->count == 0) {
			w->now_tick = target;
			return;
		}
		if (w->used[0] == 0) {
			/* nothing before the next cascade: jump to just before it */
			uint64_t edge = w->now_tick | (WHEEL_SLOTS - 1);

			if (edge >= target) {
				w->now_tick = target;
				return;
			}
			w->now_tick = edge;
		}
		w->now_tick++;
		for (int l = WHEEL_LEVELS - 1; l > 0; l--) {
			uint64_t mask = (1ull << (SLOT_BITS * l)) - 1;

			if ((w->now_tick & mask) == 0)
				look_at(w, l,
				    (int)(w->now_tick >> (SLOT_BITS * l)) & (WHEEL_SLOTS - 1));
		}
		look_at(w, 0, (int)w->now_tick & (WHEEL_SLOTS - 1));
	}
}

uint64_t
wheel_next(const struct wheel *w)
{
	uint64_t best = WHEEL_NEVER;

	if (w->count == 0)
		return WHEEL_NEVER;
	for (int l = 0; l < WHEEL_LEVELS; l++) {
		uint64_t at = w->now_tick >> (SLOT_BITS * l), turned, tick;
		int from = (int)((at + 1) & (WHEEL_SLOTS - 1));

		if (w->used[l] == 0)
			continue;
		turned = from == 0 ? w->used[l]
				   : w->used[l] >> from | w->used[l] << (WHEEL_SLOTS - from);
		tick = (at + 1 + (uint64_t)__builtin_ctzll(turned)) << (SLOT_BITS * l);
		if (tick < best)
			best = tick;
	}
	return best == WHEEL_NEVER ? best : best * WHEEL_TICK_MS;
}
