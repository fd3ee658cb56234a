/* buf_test.c -- the byte queue: order, cap, sticky failure, wiping. */
#include "proxy/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* goal: any mix of appending and consuming gives the bytes back in order */
static void
test_against_model(void **state)
{
	static uint8_t model[1 << 20];
	size_t head = 0, tail = 0;
	uint8_t next = 0;
	struct buf b;

	(void)state;
	srand(1);
	buf_init(&b, sizeof(model));
	while (tail < sizeof(model) - 5000) {
		size_t n = (size_t)rand() % 4000;

		switch (rand() % 5) {
		case 0:
		case 1:
			for (size_t i = 0; i < n; i++)
				model[tail + i] = next++;
			buf_put(&b, model + tail, n);
			tail += n;
			break;
		case 2: {
			uint8_t *p = buf_reserve(&b, n);

			assert_non_null(p);
			n /= 2; /* less may be committed than was reserved */
			for (size_t i = 0; i < n; i++)
				p[i] = model[tail + i] = next++;
			buf_commit(&b, n);
			tail += n;
			break;
		}
		default:
			n = n < tail - head ? n : tail - head;
			buf_consume(&b, n);
			head += n;
			if (head == tail && rand() % 2)
				buf_release(&b);
			break;
		}
		assert_int_equal(buf_len(&b), tail - head);
		if (tail > head)
			assert_memory_equal(buf_data(&b), model + head, tail - head);
	}
	assert_false(buf_failed(&b));
	buf_release(&b);
	assert_null(b.mem);
}

/* goal: the cap is exact, failing sticks, later appends do nothing, clear and release heal */
static void
test_cap(void **state)
{
	static const char bytes[64];
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_put(&b, bytes, 60);
	buf_put(&b, bytes, 40);
	assert_false(buf_failed(&b));
	buf_put_u8(&b, 1);
	assert_true(buf_failed(&b));
	assert_int_equal(buf_len(&b), 100);
	buf_consume(&b, 50);
	buf_put_u8(&b, 1);
	assert_int_equal(buf_len(&b), 50);
	buf_clear(&b);
	assert_false(buf_failed(&b));
	buf_put(&b, bytes, 60);
	buf_consume(&b, 30);
	buf_put(&b, bytes, 64);
	assert_int_equal(buf_len(&b), 94);
	assert_null(buf_reserve(&b, 7));
	assert_null(buf_reserve(&b, 1)); /* sticks */
	buf_release(&b);
	assert_false(buf_failed(&b));
	assert_null(buf_reserve(&b, SIZE_MAX));
	buf_release(&b);
}

/* goal: numbers are in network order, strings end with NUL, printf does not */
static void
test_values(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_put_u8(&b, 1);
	buf_put_u16(&b, 0x0203);
	buf_put_u32(&b, 0x04050607);
	buf_put_str(&b, "ab");
	buf_printf(&b, "%d-%s", 12, "x");
	assert_int_equal(buf_len(&b), 14);
	assert_memory_equal(buf_data(&b),
	    "\1\2\3\4\5\6\7ab\0"
	    "12-x",
	    14);
	buf_consume(&b, 3);
	buf_set_u32(&b, 0, 0xfffefdfc);
	assert_memory_equal(buf_data(&b),
	    "\xff\xfe\xfd\xfc"
	    "ab",
	    6);
	buf_set_u32(&b, 8, 1); /* behind the end: nothing */
	assert_memory_equal(buf_data(&b) + 7, "12-x", 4);
	buf_release(&b);
}

/* goal: a wiped buffer leaves no byte of what was consumed or cleared in its memory */
static void
test_wipe(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	b.wipe = true;
	buf_put(&b, "secret", 6);
	buf_clear(&b);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(b.mem[i], 0);
	buf_put(&b, "secretsecret", 12);
	buf_consume(&b, 6);
	assert_non_null(buf_reserve(&b, 250)); /* shifts down */
	assert_memory_equal(buf_data(&b), "secret", 6);
	for (uint32_t i = 6; i < 12; i++)
		assert_int_equal(b.mem[i], 0);
	buf_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_wipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
