/* buf.h -- byte queue that grows on demand up to a hard cap.
 * An empty buf owns no memory once buf_release() was called, so an idle connection costs nothing.
 * All appends are sticky: the first one that fails (no memory, or over the cap) sets `failed`, later
 * ones do nothing, and the writer checks buf_failed() once at its end. Sizes are bytes.
 * Knows nothing of protocols. Not thread-safe. */
#ifndef PROXY_BASE_BUF_H
#define PROXY_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *mem;
	uint32_t head; /* first byte not consumed */
	uint32_t tail; /* one past the last byte */
	uint32_t size; /* bytes allocated */
	/* packed: an idle client has two of these */
	uint32_t cap : 30; /* hard limit of tail - head */
	uint32_t failed : 1;
	uint32_t wipe : 1; /* overwrite memory before it is freed or moved */
};

#define BUF_CAP_MAX ((1u << 30) - 1)

/* A buf of all zeros with `cap` set is valid: no init call can fail. */
void buf_init(struct buf *, uint32_t cap);
/* Frees the memory; the buf stays usable. */
void buf_release(struct buf *);

static inline uint32_t
buf_len(const struct buf *b)
{
	return b->tail - b->head;
}

static inline const uint8_t *
buf_data(const struct buf *b)
{
	return b->mem == NULL ? NULL : b->mem + b->head;
}

static inline bool
buf_failed(const struct buf *b)
{
	return b->failed;
}

/* Room for n more bytes at the tail, to be followed by buf_commit(); NULL sets failed. */
uint8_t *buf_reserve(struct buf *, size_t n);
void buf_commit(struct buf *, size_t n);
/* Drops n bytes at the head; n <= buf_len(). */
void buf_consume(struct buf *, size_t n);
/* Drops everything but keeps the memory; clears failed. */
void buf_clear(struct buf *);

void buf_put(struct buf *, const void *bytes, size_t n);
void buf_put_u8(struct buf *, uint8_t);
void buf_put_u16(struct buf *, uint16_t); /* network order */
void buf_put_u32(struct buf *, uint32_t); /* network order */
/* The string and its NUL. */
void buf_put_str(struct buf *, const char *);
/* printf without the NUL. */
void buf_printf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Overwrites four bytes at offset `at` (from the head), network order: a length known afterwards. */
void buf_set_u32(struct buf *, uint32_t at, uint32_t value);

#endif
