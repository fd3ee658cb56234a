#include "proxy/session/console_rows.h"

#include "proxy/admin/table.h"
#include "proxy/base/buf.h"
#include "proxy/wire/pgwrite.h"

#include <stdlib.h>
#include <string.h>

#define NUMERIC_BASE	   10000
#define NUMERIC_DIGITS_MAX 5 /* of an int64_t, in that base */
#define NUMERIC_MINUS	   0x4000

static const struct {
	uint32_t oid;
	uint16_t size;
} types[] = {
	[TABLE_TEXT] = { 25, 0xffff },
	[TABLE_INT4] = { 23, 4 },
	[TABLE_INT8] = { 20, 8 },
	[TABLE_NUMERIC] = { 1700, 0xffff },
};

void
console_rows_description(struct buf *b, const char *const *columns, uint32_t binary)
{
	unsigned n = table_count_columns(columns);
	uint32_t mark = pgwrite_begin(b, 'T');

	buf_put_u16(b, (uint16_t)n);
	for (unsigned i = 0; i < n; i++) {
		enum table_type type;
		int len = table_column(columns[i], &type);

		buf_put(b, columns[i], (size_t)len);
		buf_put_u8(b, 0);
		buf_put_u32(b, 0);
		buf_put_u16(b, 0);
		buf_put_u32(b, types[type].oid);
		buf_put_u16(b, types[type].size);
		buf_put_u32(b, 0xffffffff);
		buf_put_u16(b, binary >> i & 1);
	}
	pgwrite_end(b, mark);
}

/* A numeric without fraction: its digits in base 10000, most significant first. */
static void
put_numeric(struct buf *b, int64_t value)
{
	uint16_t digits[NUMERIC_DIGITS_MAX], n = 0;
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

	for (; left > 0; left /= NUMERIC_BASE)
		digits[n++] = (uint16_t)(left % NUMERIC_BASE);
	buf_put_u32(b, 8 + 2u * n);
	buf_put_u16(b, n);
	buf_put_u16(b, n == 0 ? 0 : (uint16_t)(n - 1));
	buf_put_u16(b, value < 0 ? NUMERIC_MINUS : 0);
	buf_put_u16(b, 0);
	while (n > 0)
		buf_put_u16(b, digits[--n]);
}

static void
put_binary(struct buf *b, enum table_type type, const char *text)
{
	int64_t value = strtoll(text, NULL, 10);

	if (type == TABLE_INT4) {
		buf_put_u32(b, 4);
		buf_put_u32(b, (uint32_t)value);
	} else if (type == TABLE_INT8) {
		buf_put_u32(b, 8);
		buf_put_u32(b, (uint32_t)((uint64_t)value >> 32));
		buf_put_u32(b, (uint32_t)value);
	} else {
		put_numeric(b, value);
	}
}

struct writing {
	struct buf *b;
	const char *const *columns;
	uint32_t binary;
};

static void
row(void *arg, const char *const *values, unsigned n)
{
	const struct writing *w = arg;
	uint32_t mark = pgwrite_begin(w->b, 'D');

	buf_put_u16(w->b, (uint16_t)n);
	for (unsigned i = 0; i < n; i++) {
		enum table_type type = TABLE_TEXT;

		if (w->binary >> i & 1)
			(void)table_column(w->columns[i], &type);
		if (values[i] == NULL) {
			buf_put_u32(w->b, 0xffffffff);
		} else if (type != TABLE_TEXT) {
			put_binary(w->b, type, values[i]);
		} else {
			buf_put_u32(w->b, (uint32_t)strlen(values[i]));
			buf_put(w->b, values[i], strlen(values[i]));
		}
	}
	pgwrite_end(w->b, mark);
}

void
console_rows_data(struct buf *b, const struct table *t, uint32_t binary)
{
	struct writing w = { b, t->columns, binary };

	table_each(t, row, &w);
}
