#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/admin/table.h"
#include "proxy/session/console_rows.h"

#include <string.h>

static const char *const columns[] = { "n numeric", "i int4", "b int8", "t", NULL };

static void
row_of(int64_t n, uint32_t binary, const uint8_t *expected, size_t len)
{
	struct table t;
	struct buf b;

	table_init(&t, columns);
	table_number(&t, n);
	table_number(&t, -2);
	table_number(&t, 258);
	table_text(&t, NULL);
	buf_init(&b, 4096);
	console_rows_data(&b, &t, binary);
	assert_false(buf_failed(&b));
	assert_int_equal(buf_len(&b), len);
	assert_memory_equal(buf_data(&b), expected, len);
	buf_release(&b);
	table_release(&t);
}

#define TAIL                                                                                       \
	0, 0, 0, 4, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2, 0xff, 0xff, 0xff,  \
	    0xff

/* Goal: integers and numerics in binary are what PostgreSQL would send, in base 10000. */
static void
binary_numbers(void **state)
{
	static const uint8_t zero[] = { 'D', 0, 0, 0, 42, 0, 4, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0,
		TAIL };
	static const uint8_t some[] = { 'D', 0, 0, 0, 46, 0, 4, 0, 0, 0, 12, 0, 2, 0, 1, 0, 0, 0, 0,
		0, 12, 13, 128, TAIL };
	static const uint8_t less[] = { 'D', 0, 0, 0, 44, 0, 4, 0, 0, 0, 10, 0, 1, 0, 0, 0x40, 0, 0,
		0, 0, 7, TAIL };

	(void)state;
	row_of(0, 0xf, zero, sizeof(zero));
	row_of(123456, 0xf, some, sizeof(some));
	row_of(-7, 0xf, less, sizeof(less));
}

/* Goal: text format is text, column by column. */
static void
text_numbers(void **state)
{
	static const uint8_t row[] = { 'D', 0, 0, 0, 28, 0, 4, 0, 0, 0, 1, '5', 0, 0, 0, 2, '-',
		'2', 0, 0, 0, 3, '2', '5', '8', 0xff, 0xff, 0xff, 0xff };

	(void)state;
	row_of(5, 0, row, sizeof(row));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(binary_numbers),
		cmocka_unit_test(text_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
