#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/admin/table.h"

#include <stdio.h>
#include <string.h>

static const char *const columns[] = { "name", "size int4", "big int8", "sum numeric", NULL };

struct seen {
	int rows;
	char text[256];
};

static void
see(void *arg, const char *const *values, unsigned n)
{
	struct seen *s = arg;

	for (unsigned i = 0; i < n; i++) {
		size_t at = strlen(s->text);

		(void)snprintf(s->text + at, sizeof(s->text) - at, "%s|",
		    values[i] ? values[i] : "NULL");
	}
	s->rows++;
}

/* Goal: cells come back as rows, in order, NULL apart from "". */
static void
rows_come_back(void **state)
{
	struct table t;
	struct seen s = { 0 };

	(void)state;
	table_init(&t, columns);
	assert_int_equal(t.n_columns, 4);
	table_text(&t, "a");
	table_number(&t, -7);
	table_number(&t, INT64_MIN);
	table_text(&t, NULL);
	table_text(&t, "");
	table_number(&t, 1);
	table_number(&t, 2);
	table_number(&t, 3);
	assert_false(table_failed(&t));
	assert_int_equal(table_rows(&t), 2);
	table_each(&t, see, &s);
	assert_int_equal(s.rows, 2);
	assert_string_equal(s.text, "a|-7|-9223372036854775808|NULL||1|2|3|");
	table_release(&t);
}

/* Goal: a row that is not complete is a failure, and no row is shown. */
static void
half_a_row_fails(void **state)
{
	struct table t;
	struct seen s = { 0 };

	(void)state;
	table_init(&t, columns);
	table_text(&t, "a");
	assert_true(table_failed(&t));
	table_each(&t, see, &s);
	assert_int_equal(s.rows, 0);
	table_release(&t);
}

/* Goal: an empty table has no rows and did not fail. */
static void
empty_is_fine(void **state)
{
	struct table t;
	struct seen s = { 0 };

	(void)state;
	table_init(&t, columns);
	assert_false(table_failed(&t));
	table_each(&t, see, &s);
	assert_int_equal(s.rows, 0);
	table_release(&t);
}

/* Goal: more than the bound is refused, not taken. */
static void
bound_holds(void **state)
{
	static char big[1024 * 1024 + 1];
	static const char *const one[] = { "x", NULL };
	struct table t;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	table_init(&t, one);
	for (int i = 0; i < 64; i++)
		table_text(&t, big);
	assert_true(table_failed(&t));
	table_release(&t);
}

/* Goal: types are told by the word behind the name. */
static void
columns_have_types(void **state)
{
	enum table_type type;

	(void)state;
	assert_int_equal(table_column(columns[0], &type), 4);
	assert_int_equal(type, TABLE_TEXT);
	assert_int_equal(table_column(columns[1], &type), 4);
	assert_int_equal(type, TABLE_INT4);
	assert_int_equal(table_column(columns[2], &type), 3);
	assert_int_equal(type, TABLE_INT8);
	assert_int_equal(table_column(columns[3], &type), 3);
	assert_int_equal(type, TABLE_NUMERIC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_back),
		cmocka_unit_test(half_a_row_fails),
		cmocka_unit_test(empty_is_fine),
		cmocka_unit_test(bound_holds),
		cmocka_unit_test(columns_have_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
