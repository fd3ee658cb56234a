#include "tests/unit/proxy/config/config_fixture.h"

#include "proxy/config/config_arena.h"
#include "proxy/config/config_report.h"

/* Goal: a quoted text cannot break a log line, whatever is in it, and is cut. */
static void
test_quote(void **state)
{
	char buf[CONFIG_QUOTED], text[512];

	(void)state;
	assert_string_equal(config_report_quote(buf, ""), "\"\"");
	assert_string_equal(config_report_quote(buf, "a b"), "\"a b\"");
	assert_string_equal(config_report_quote(buf, "a\"\\\n\x7f\xff"),
	    "\"a\\x22\\x5c\\x0a\\x7f\\xff\"");
	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	config_report_quote(buf, text);
	assert_int_equal(strlen(buf), 60 * 4 + 5);
	assert_string_equal(buf + strlen(buf) - 4, "...\"");
}

static const char *
word(const void *arg, size_t i)
{
	return ((const char *const *)arg)[i];
}

/* Goal: a slip of the finger finds its key, and nonsense finds none. */
static void
test_nearest(void **state)
{
	const char *words[] = { "pool_mode", "pool_size", "host", NULL, "default_pool_size" };
	char text[300];

	(void)state;
	assert_string_equal(config_report_nearest("pool_mod", word, words, 5), "pool_mode");
	assert_string_equal(config_report_nearest("POOL_SIZE", word, words, 5), "pool_size");
	assert_string_equal(config_report_nearest("defualt_pool_size", word, words, 5),
	    "default_pool_size");
	assert_string_equal(config_report_nearest("hots", word, words, 5), "host");
	assert_null(config_report_nearest("zzzzzzzz", word, words, 5));
	assert_null(config_report_nearest("", word, words, 5));
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_null(config_report_nearest(text, word, words, 5));
}

/* Goal: running out of memory is told once and counts as a fault. */
static void
test_no_memory(void **state)
{
	static struct said said;
	struct config_report report = { .say = fixture_say, .arg = &said };

	(void)state;
	config_report_no_memory(&report);
	config_report_no_memory(&report);
	assert_int_equal(report.errors, 1);
	assert_string_equal(said.text, "0: error: out of memory\n");
}

/* Goal: memory of an arena is zeroed, aligned and does not overlap, small and large. */
static void
test_arena(void **state)
{
	struct config_arena *arena = config_arena_new();
	unsigned char *p[200];
	size_t i, j;

	(void)state;
	for (i = 0; i < 200; i++) {
		size_t size = i % 50 == 49 ? 100000 : i * 7 + 1;

		p[i] = config_arena_alloc(arena, size);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		for (j = 0; j < size; j++)
			assert_int_equal(p[i][j], 0);
		memset(p[i], (int)i, size);
	}
	for (i = 0; i < 200; i++)
		assert_int_equal(p[i][0], i);
	assert_null(config_arena_alloc(arena, SIZE_MAX));
	assert_null(config_arena_array(arena, p, 0, 8));
	assert_null(config_arena_array(arena, p, SIZE_MAX / 4, 8));
	config_arena_free(arena);
	config_arena_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_arena),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
