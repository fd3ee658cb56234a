/* pgmsg_test.c -- reading messages: the cursor, errors, startup packets, options; and what pgwrite makes. */
#include "proxy/wire/pgmsg.h"

#include "proxy/wire/pgwrite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* goal: the first short read sticks, and everything after it is empty */
static void
test_cursor(void **state)
{
	static const uint8_t bytes[] = { 1, 2, 3, 'a', 'b', 0, 0, 0, 0, 9, 'x', 'y' };
	struct pgcur c = pgcur_over(bytes, sizeof(bytes));

	(void)state;
	assert_int_equal(pgcur_u8(&c), 1);
	assert_int_equal(pgcur_u16(&c), 0x0203);
	assert_string_equal(pgcur_str(&c), "ab");
	assert_int_equal(pgcur_u32(&c), 9);
	assert_true(pgcur_ok(&c));
	assert_false(pgcur_done(&c));
	assert_string_equal(pgcur_str(&c), ""); /* no NUL */
	assert_false(pgcur_ok(&c));
	assert_int_equal(pgcur_u8(&c), 0);
	assert_null(pgcur_bytes(&c, 0));
	c = pgcur_over(bytes, 3);
	assert_int_equal(pgcur_u32(&c), 0);
	assert_false(pgcur_ok(&c));
	c = pgcur_over(bytes, 3);
	assert_null(pgcur_bytes(&c, SIZE_MAX));
	c = pgcur_over(bytes, 6);
	assert_non_null(pgcur_bytes(&c, 6));
	assert_true(pgcur_done(&c));
}

/* goal: the fields of an error are found, V before S; malformed ones are told, cut at any byte */
static void
test_error(void **state)
{
	static const uint8_t full[] =
	    "SFEHLER\0VERROR\0C42P01\0Mno table\0Ddetail\0Hhint\0Wwhere\0";
	struct pgmsg_error e;

	(void)state;
	assert_true(pgmsg_error(full, sizeof(full), &e));
	assert_string_equal(e.severity, "ERROR");
	assert_string_equal(e.sqlstate, "42P01");
	assert_string_equal(e.message, "no table");
	assert_string_equal(e.detail, "detail");
	assert_string_equal(e.hint, "hint");
	for (size_t n = 0; n < sizeof(full) - 1; n++)
		assert_false(pgmsg_error(full, n, &e));
	assert_true(pgmsg_error((const uint8_t *)"", 1, &e));
	assert_string_equal(e.severity, "");
}

/* goal: what pgwrite builds pgmsg reads, and lengths are right */
static void
test_round_trip(void **state)
{
	static const char *const values[] = { "a", NULL, "" };
	struct pgmsg_error e;
	struct buf b;
	uint32_t types = 0;

	(void)state;
	buf_init(&b, 4096);
	pgwrite_error(&b, "FATAL", "08P01", "message", NULL, "hint");
	assert_true(pgmsg_error(buf_data(&b) + 5, buf_len(&b) - 5, &e));
	assert_string_equal(e.severity, "FATAL");
	assert_string_equal(e.hint, "hint");
	assert_string_equal(e.detail, "");
	pgwrite_notice(&b, "NOTICE", "00000", "message", "detail");
	pgwrite_auth_ok(&b);
	pgwrite_parameter_status(&b, "a", "b");
	pgwrite_backend_key(&b, 1, "0123456789", 10);
	pgwrite_negotiate_version(&b, PG_PROTOCOL(3, 2), values, 1);
	pgwrite_ready(&b, 'I');
	pgwrite_empty(&b, '1');
	pgwrite_command_complete(&b, "SELECT 1");
	pgwrite_row_description(&b, values, NULL, 1);
	pgwrite_data_row(&b, values, 3);
	pgwrite_query(&b, "select 1");
	pgwrite_parse(&b, "name", "select 1\0\0", 11);
	pgwrite_name(&b, 'D', 'S', "name");
	assert_false(buf_failed(&b));
	while (buf_len(&b) >= PGMSG_HEADER) {
		static const char order[] = "ENRSKvZ1CTDQPD";
		uint32_t len = pg_get_u32(buf_data(&b) + 1);

		assert_int_equal(buf_data(&b)[0], order[types++]);
		assert_in_range(len, 4, buf_len(&b) - 1);
		buf_consume(&b, len + 1);
	}
	assert_int_equal(types, 14);
	assert_int_equal(buf_len(&b), 0);
	buf_release(&b);
}

/* goal: a row's values are lengths and bytes, -1 for NULL */
static void
test_data_row(void **state)
{
	static const char *const values[] = { "ab", NULL, "" };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	pgwrite_data_row(&b, values, 3);
	assert_int_equal(buf_len(&b), 21);
	assert_memory_equal(buf_data(&b), "D\0\0\0\x14\0\3\0\0\0\2ab\xff\xff\xff\xff\0\0\0\0", 21);
	buf_release(&b);
}

/* goal: over the cap of its buffer a message fails instead of being cut */
static void
test_over_cap(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 12);
	pgwrite_query(&b, "a longer text");
	assert_true(buf_failed(&b));
	buf_release(&b);
}

/* ---- startup ---- */

static char seen[512];

static bool
note(void *arg, const char *name, const char *value)
{
	size_t n = strlen(seen);

	snprintf(seen + n, sizeof(seen) - n, "%s=%s;", name, value);
	return arg == NULL;
}

/* goal: the four known names are told apart, all others go to the callback, anything malformed is refused */
static void
test_startup(void **state)
{
	static const uint8_t packet[] =
	    "user\0web\0database\0shop\0options\0-c a=b\0replication\0true\0x\0y\0";
	struct pgmsg_startup s;

	(void)state;
	seen[0] = '\0';
	assert_true(pgmsg_startup(packet, sizeof(packet), &s, note, NULL));
	assert_string_equal(s.user, "web");
	assert_string_equal(s.database, "shop");
	assert_string_equal(s.options, "-c a=b");
	assert_string_equal(s.replication, "true");
	assert_string_equal(seen, "x=y;");
	assert_false(pgmsg_startup(packet, sizeof(packet), &s, note, seen));
	for (size_t n = 0; n < sizeof(packet) - 1; n++)
		assert_false(pgmsg_startup(packet, n, &s, note, NULL));
	assert_false(pgmsg_startup((const uint8_t *)"\0x", 2, &s, note, NULL)); /* behind the end */
}

static const char *
options(const char *text)
{
	char scratch[256];

	seen[0] = '\0';
	return pgmsg_options(text, scratch, strlen(text) + 1, note, NULL) ? seen : "refused";
}

/* goal: the three ways to write a setting, with escapes; everything else is refused, and it always ends */
static void
test_options(void **state)
{
	(void)state;
	assert_string_equal(options(""), "");
	assert_string_equal(options("   "), "");
	assert_string_equal(options("-c a=b"), "a=b;");
	assert_string_equal(options(" -ca=b  --c-d=e=f "), "a=b;c_d=e=f;");
	assert_string_equal(options("-c a=b\\ c\\\\d"), "a=b c\\d;");
	assert_string_equal(options("-c a="), "a=;");
	assert_string_equal(options("-c =b"), "refused");
	assert_string_equal(options("-c ="), "refused");
	assert_string_equal(options("-c"), "refused");
	assert_string_equal(options("-c a"), "refused");
	assert_string_equal(options("--"), "refused");
	assert_string_equal(options("-W 3"), "refused");
	assert_string_equal(options("x"), "refused");
	assert_string_equal(options("-c a=\\"), "a=\\;");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_data_row),
		cmocka_unit_test(test_over_cap),
		cmocka_unit_test(test_startup),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
