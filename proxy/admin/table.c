#include "proxy/admin/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NULL_CELL UINT32_MAX

unsigned
table_count_columns(const char *const *columns)
{
	unsigned n = 0;

	while (columns[n] != NULL)
		n++;
	return n;
}

int
table_column(const char *column, enum table_type *type)
{
	static const char *const words[] = {
		[TABLE_INT4] = " int4",
		[TABLE_INT8] = " int8",
		[TABLE_NUMERIC] = " numeric",
	};
	size_t len = strcspn(column, " ");

	*type = TABLE_TEXT;
	for (int i = TABLE_INT4; i <= TABLE_NUMERIC; i++)
		if (strcmp(column + len, words[i]) == 0)
			*type = (enum table_type)i;
	return (int)len;
}

void
table_init(struct table *t, const char *const *columns)
{
	t->columns = columns;
	t->n_columns = table_count_columns(columns);
	t->n_cells = 0;
	buf_init(&t->cells, TABLE_BYTES_MAX);
	if (t->n_columns > TABLE_COLUMNS_MAX)
		t->cells.failed = true;
}

void
table_release(struct table *t)
{
	buf_release(&t->cells);
	t->n_cells = 0;
}

void
table_text(struct table *t, const char *value)
{
	uint32_t len = value == NULL ? NULL_CELL : (uint32_t)strlen(value);

	buf_put(&t->cells, &len, sizeof(len));
	if (value != NULL)
		buf_put_str(&t->cells, value);
	t->n_cells++;
}

void
table_number(struct table *t, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	table_text(t, text);
}

bool
table_failed(const struct table *t)
{
	return buf_failed(&t->cells) || (t->n_columns > 0 && t->n_cells % t->n_columns != 0);
}

void
table_each(const struct table *t, void (*row)(void *arg, const char *const *values, unsigned n),
    void *arg)
{
	const char *values[TABLE_COLUMNS_MAX];
	const uint8_t *p;
	uint32_t len;

	if (table_failed(t) || t->n_cells == 0)
		return;
	p = buf_data(&t->cells);
	for (uint32_t i = 0; i < t->n_cells; i++) {
		unsigned at = i % t->n_columns;

		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		values[at] = len == NULL_CELL ? NULL : (const char *)p;
		if (len != NULL_CELL)
			p += len + 1u;
		if (at + 1 == t->n_columns)
			row(arg, values, t->n_columns);
	}
}
