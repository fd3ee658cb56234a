/* config_arena.h -- memory that belongs to one snapshot: given out piecewise, wiped and freed at
 * once. What it gives out is aligned for any type and never moves. Not thread-safe: it is filled by
 * the one thread that makes the snapshot. Must not know what is stored. */
#ifndef PROXY_CONFIG_CONFIG_ARENA_H
#define PROXY_CONFIG_CONFIG_ARENA_H

#include <stddef.h>

struct config_arena;

struct config_arena *config_arena_new(void); /* NULL: out of memory */
void config_arena_free(struct config_arena *arena);

void *config_arena_alloc(struct config_arena *arena, size_t size); /* zeroed; NULL: out of memory */
char *config_arena_text(struct config_arena *arena, const char *text);
/* A copy of n items of size bytes; NULL when n is 0 or out of memory. */
void *config_arena_array(struct config_arena *arena, const void *items, size_t n, size_t size);

#endif
