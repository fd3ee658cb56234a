#include "tests/unit/proxy/config/config_fixture.h"

#include "proxy/config/config_arena.h"
#include "proxy/config/config_field.h"

struct record {
	bool b;
	int i, mode, e;
	int64_t size, ms;
	const char *s, *server_check_query;
};

#define AT(member) offsetof(struct record, member)

static const struct config_field field_b = { "b", OPT_BOOL, 0, 1, AT(b), false };
static const struct config_field field_i = { "i", OPT_INT, -1, 1000, AT(i), false };
static const struct config_field field_mode = { "mode", OPT_INT, 0, 0777, AT(mode), false };
static const struct config_field field_e = { "pool_mode", OPT_ENUM, 0, 2, AT(e), false };
static const struct config_field field_size = { "size", OPT_SIZE, 512, 1 << 30, AT(size), false };
static const struct config_field field_ms = { "ms", OPT_MS, -1, 100, AT(ms), false };
static const struct config_field field_s = { "s", OPT_STR, 0, 0, AT(s), false };
static const struct config_field field_q = { "server_check_query", OPT_STR, 0, 0,
	AT(server_check_query), false };

/* The text is taken and shown again as `shown`, or refused when that is NULL. */
static void
try(const struct config_field *field, const char *text, const char *shown)
{
	struct config_arena *arena = config_arena_new();
	char err[CONFIG_FIELD_ERR], buf[CONFIG_FIELD_TEXT];
	struct record record;
	int rc;

	memset(&record, 0, sizeof(record));
	rc = config_field_set(field, &record, text, arena, err);
	if (rc != (shown == NULL ? -1 : 0))
		print_error("%s = %s: %s\n", field->key, text, err);
	assert_int_equal(rc, shown == NULL ? -1 : 0);
	if (shown != NULL)
		assert_string_equal(config_field_text(field, &record, buf), shown);
	else
		assert_non_null(strstr(err, "expected"));
	config_arena_free(arena);
}

/* Goal: booleans are taken in all the spellings people use and shown as PgBouncer shows them. */
static void
test_bool(void **state)
{
	(void)state;
	try(&field_b, "1", "1");
	try(&field_b, "ON", "1");
	try(&field_b, "yes", "1");
	try(&field_b, "False", "0");
	try(&field_b, "2", NULL);
	try(&field_b, "", NULL);
	try(&field_b, "-1", NULL);
}

/* Goal: whole numbers are exact, bounded, and octal where they are written so. */
static void
test_int(void **state)
{
	(void)state;
	try(&field_i, "1000", "1000");
	try(&field_i, "-1", "-1");
	try(&field_i, "0x10", "16");
	try(&field_i, "1001", NULL);
	try(&field_i, "-2", NULL);
	try(&field_i, "5s", NULL);
	try(&field_i, "1.5", NULL);
	try(&field_i, "", NULL);
	try(&field_i, "99999999999999999999999", NULL);
	try(&field_i, "4294967297", NULL);
	try(&field_mode, "0700", "0700");
	try(&field_mode, "448", "0700");
	try(&field_mode, "01000", NULL);
	try(&field_mode, "08", NULL);
}

/* Goal: sizes take units and cannot overflow. */
static void
test_size(void **state)
{
	(void)state;
	try(&field_size, "4096", "4096");
	try(&field_size, "4kB", "4096");
	try(&field_size, "1 MB", "1048576");
	try(&field_size, "1gb", "1073741824");
	try(&field_size, "511", NULL);
	try(&field_size, "2GB", NULL);
	try(&field_size, "9223372036854775807GB", NULL);
	try(&field_size, "4 k B", NULL);
	try(&field_size, "-4kB", NULL);
}

/* Goal: seconds with fractions become milliseconds, and a short time never becomes 0 = off. */
static void
test_seconds(void **state)
{
	(void)state;
	try(&field_ms, "15", "15");
	try(&field_ms, "0.5", "0.5");
	try(&field_ms, ".25", "0.25");
	try(&field_ms, "1.", "1");
	try(&field_ms, "1.0625", "1.062");
	try(&field_ms, "1.050", "1.05");
	try(&field_ms, "0.0000001", "0.001");
	try(&field_ms, "0.000", "0");
	try(&field_ms, "100.000", "100");
	try(&field_ms, "100.001", NULL);
	try(&field_ms, "-1", "-1");
	try(&field_ms, "-0.5", NULL);
	try(&field_ms, "1,5", NULL);
	try(&field_ms, "1e1", NULL);
	try(&field_ms, "10s", NULL);
	try(&field_ms, ".", NULL);
	try(&field_ms, "", NULL);
	try(&field_ms, "9999999999999999999999999999", NULL);
}

/* Goal: words are found whatever their case, and the message lists them. */
static void
test_enum(void **state)
{
	char expected[256];

	(void)state;
	try(&field_e, "Transaction", "transaction");
	try(&field_e, "trans", NULL);
	try(&field_e, "1", NULL);
	config_field_expected(&field_e, expected, sizeof(expected));
	assert_string_equal(expected, "one of session, transaction, statement");
}

/* Goal: an empty text is unset, but server_check_query tells nothing (off) from <empty> (the empty
 * query). */
static void
test_text(void **state)
{
	struct config_arena *arena = config_arena_new();
	char err[CONFIG_FIELD_ERR];
	struct record record;

	(void)state;
	try(&field_s, "a", "a");
	try(&field_s, "", "");
	try(&field_q, "<empty>", "<empty>");
	try(&field_q, "", "");
	try(&field_q, "select 1", "select 1");
	memset(&record, 0, sizeof(record));
	assert_int_equal(config_field_set(&field_s, &record, "", arena, err), 0);
	assert_null(record.s);
	assert_int_equal(config_field_set(&field_q, &record, "", arena, err), 0);
	assert_non_null(record.server_check_query);
	assert_int_equal(config_field_set(&field_q, &record, "<empty>", arena, err), 0);
	assert_null(record.server_check_query);
	config_arena_free(arena);
}

/* Goal: a copy lives in its own memory and equals its origin. */
static void
test_copy(void **state)
{
	struct config_arena *one = config_arena_new(), *two = config_arena_new();
	char err[CONFIG_FIELD_ERR];
	struct record a, b;

	(void)state;
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert_int_equal(config_field_set(&field_s, &a, "text", one, err), 0);
	assert_false(config_field_equal(&field_s, &a, &b));
	assert_int_equal(config_field_copy(&field_s, &b, &a, two), 0);
	assert_true(config_field_equal(&field_s, &a, &b));
	config_arena_free(one);
	assert_string_equal(b.s, "text");
	a.ms = 5;
	assert_int_equal(config_field_copy(&field_ms, &b, &a, two), 0);
	assert_true(b.ms == 5);
	config_arena_free(two);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bool),
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_enum),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
