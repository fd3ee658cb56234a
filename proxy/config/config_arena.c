#include "proxy/config/config_arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 8192

struct chunk {
	struct chunk *next;
	size_t size, used;
	alignas(max_align_t) unsigned char bytes[];
};

struct config_arena {
	struct chunk *chunks; /* the newest, from which we give, first */
};

struct config_arena *
config_arena_new(void)
{
	return calloc(1, sizeof(struct config_arena));
}

void
config_arena_free(struct config_arena *arena)
{
	struct chunk *c;

	if (arena == NULL)
		return;
	while ((c = arena->chunks) != NULL) {
		arena->chunks = c->next;
		explicit_bzero(c->bytes, c->used);
		free(c);
	}
	free(arena);
}

static struct chunk *
add_chunk(struct config_arena *arena, size_t size)
{
	struct chunk *c;

	if (size < CHUNK_BYTES)
		size = CHUNK_BYTES;
	if ((c = calloc(1, sizeof(*c) + size)) == NULL)
		return NULL;
	c->size = size;
	c->next = arena->chunks;
	arena->chunks = c;
	return c;
}

void *
config_arena_alloc(struct config_arena *arena, size_t size)
{
	const size_t unit = alignof(max_align_t);
	struct chunk *c = arena->chunks;
	void *given;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + unit - 1) / unit * unit;
	if (c == NULL || c->size - c->used < size) {
		if ((c = add_chunk(arena, size)) == NULL)
			return NULL;
	}
	given = c->bytes + c->used;
	c->used += size;
	return given;
}

char *
config_arena_text(struct config_arena *arena, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = config_arena_alloc(arena, size);

	if (copy != NULL)
		memcpy(copy, text, size);
	return copy;
}

void *
config_arena_array(struct config_arena *arena, const void *items, size_t n, size_t size)
{
	void *copy;

	if (n == 0 || n > SIZE_MAX / 2 / size)
		return NULL;
	if ((copy = config_arena_alloc(arena, n * size)) != NULL)
		memcpy(copy, items, n * size);
	return copy;
}
