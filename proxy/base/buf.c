#include "proxy/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
buf_init(struct buf *b, uint32_t cap)
{
	memset(b, 0, sizeof(*b));
	b->cap = (cap > BUF_CAP_MAX ? BUF_CAP_MAX : cap) & BUF_CAP_MAX;
}

void
buf_release(struct buf *b)
{
	if (b->wipe && b->mem != NULL)
		explicit_bzero(b->mem, b->size);
	free(b->mem);
	b->mem = NULL;
	b->head = b->tail = b->size = 0;
	b->failed = false;
}

static void
shift_down(struct buf *b)
{
	uint32_t len = buf_len(b);

	if (b->head == 0)
		return;
	if (len != 0)
		memmove(b->mem, b->mem + b->head, len);
	if (b->wipe)
		explicit_bzero(b->mem + len, b->head);
	b->head = 0;
	b->tail = len;
}

static int
grow(struct buf *b, size_t want)
{
	size_t size = b->size < 256 ? 256 : b->size;
	uint8_t *mem;

	while (size < want)
		size *= 2;
	if (!b->wipe) {
		mem = realloc(b->mem, size);
		if (mem == NULL)
			return -1;
	} else {
		/* realloc would leave a copy behind that nobody wipes */
		mem = malloc(size);
		if (mem == NULL)
			return -1;
		if (b->mem != NULL) {
			memcpy(mem, b->mem, b->tail);
			explicit_bzero(b->mem, b->size);
			free(b->mem);
		}
	}
	b->mem = mem;
	b->size = (uint32_t)size;
	return 0;
}

uint8_t *
buf_reserve(struct buf *b, size_t n)
{
	uint32_t len = buf_len(b);

	if (b->failed)
		return NULL;
	if (n > b->cap || len > b->cap - n)
		goto fail;
	if (b->size - b->tail < n) {
		shift_down(b);
		if (b->size - b->tail < n && grow(b, b->tail + n) == -1)
			goto fail;
	}
	return b->mem + b->tail;
fail:
	b->failed = true;
	return NULL;
}

void
buf_commit(struct buf *b, size_t n)
{
	b->tail += (uint32_t)n;
}

void
buf_consume(struct buf *b, size_t n)
{
	b->head += (uint32_t)n;
	if (b->head == b->tail && !b->wipe)
		b->head = b->tail = 0;
}

void
buf_clear(struct buf *b)
{
	if (b->wipe && b->mem != NULL)
		explicit_bzero(b->mem, b->size);
	b->head = b->tail = 0;
	b->failed = false;
}

void
buf_put(struct buf *b, const void *bytes, size_t n)
{
	uint8_t *p;

	if (n == 0)
		return;
	p = buf_reserve(b, n);
	if (p == NULL)
		return;
	memcpy(p, bytes, n);
	buf_commit(b, n);
}

void
buf_put_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

void
buf_put_u16(struct buf *b, uint16_t v)
{
	uint8_t p[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	buf_put(b, p, sizeof(p));
}

void
buf_put_u32(struct buf *b, uint32_t v)
{
	uint8_t p[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	buf_put(b, p, sizeof(p));
}

void
buf_put_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s) + 1);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	uint8_t *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	p = buf_reserve(b, (size_t)n + 1);
	if (p == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf((char *)p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf_commit(b, (size_t)n);
}

void
buf_set_u32(struct buf *b, uint32_t at, uint32_t v)
{
	uint8_t *p;

	if (b->failed || at + 4 > buf_len(b))
		return;
	p = b->mem + b->head + at;
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}
