/* table.h -- a sink for rows and columns: what SHOW answers, before it is put on a wire.
 * A column is a text "name", or "name int4", "name int8", "name numeric"; a list of columns ends with
 * NULL. Cells come row by row, left to right; failures (no memory, over TABLE_BYTES_MAX) stick.
 * Knows nothing of who fills or reads it. Not thread-safe, but may be handed from thread to thread. */
#ifndef PROXY_ADMIN_TABLE_H
#define PROXY_ADMIN_TABLE_H

#include "proxy/base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define TABLE_COLUMNS_MAX 32
#define TABLE_BYTES_MAX	  (48u * 1024 * 1024)

enum table_type { TABLE_TEXT, TABLE_INT4, TABLE_INT8, TABLE_NUMERIC };

struct table {
	const char *const *columns; /* borrowed, NULL-terminated */
	unsigned n_columns;
	uint32_t n_cells;
	struct buf cells; /* each: length, bytes, NUL */
};

unsigned table_count_columns(const char *const *columns);
/* Name and type of one column; returns the length of the name in `column`. */
int table_column(const char *column, enum table_type *);

void table_init(struct table *, const char *const *columns);
void table_release(struct table *);

/* The next cell. */
void table_text(struct table *, const char *value); /* NULL = SQL NULL */
void table_number(struct table *, int64_t value);
/* The last row is not complete, or something did not fit. */
bool table_failed(const struct table *);

static inline uint32_t
table_rows(const struct table *t)
{
	return t->n_columns == 0 ? 0 : t->n_cells / t->n_columns;
}

/* Calls row for each row; values are texts, NULL = SQL NULL, valid during the call. */
void table_each(const struct table *, void (*row)(void *arg, const char *const *values, unsigned n),
    void *arg);

#endif
