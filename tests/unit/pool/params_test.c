/* params_test.c -- interned parameter sets, statements by content, and what a server has of them. */
#include "pool/params.h"

#include "pool/server_statements.h"
#include "pool/statement.h"
#include "pool/welcome.h"
#include "proxy/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct params *
with(struct params *p, const char *name, const char *value)
{
	struct params *q = params_with(p, name, value);

	assert_non_null(q);
	return q;
}

/* goal: equal sets are one pointer, whatever the order and the case they were made in */
static void
test_interned(void **state)
{
	struct params *a = with(with(params_empty(), "DateStyle", "ISO"), "work_mem", "4MB");
	struct params *b = with(with(params_empty(), "work_mem", "4MB"), "DateStyle", "ISO");

	(void)state;
	assert_ptr_equal(a, b);
	b = with(b, "DATESTYLE", "German");
	assert_ptr_not_equal(a, b);
	assert_string_equal(params_get(b, "datestyle"), "German");
	assert_string_equal(params_get(a, "datestyle"), "ISO");
	b = with(b, "datestyle", "ISO");
	assert_ptr_equal(a, b);
	assert_int_equal(params_count(a), 2);
	b = with(with(b, "work_mem", NULL), "DateStyle", NULL);
	assert_ptr_equal(b, params_empty());
	assert_ptr_equal(with(b, "none", NULL), params_empty());
	params_unref(a);
	params_unref(NULL);
}

/* goal: bounds: too many names or bytes leave the set as it was */
static void
test_bounds(void **state)
{
	static char big[PARAMS_BYTES_MAX + 1];
	struct params *p = params_empty();
	char name[16];

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	assert_null(params_with(p, "a", big));
	for (int i = 0; i < PARAMS_MAX; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		p = with(p, name, "v");
	}
	assert_null(params_with(p, "one_more", "v"));
	assert_int_equal(params_count(p), PARAMS_MAX);
	params_unref(p);
}

/* goal: the SQL between two sets: nothing, sets and resets, quoted so that no value gets out of its literal */
static void
test_sql(void **state)
{
	struct params *a = with(with(params_empty(), "a", "1"), "b.c", "x"), *b;
	struct buf sql;

	(void)state;
	buf_init(&sql, 4096);
	params_sql(a, a, &sql);
	assert_int_equal(buf_len(&sql), 0);
	b = with(params_empty(), "a", "it's \\ x");
	params_sql(a, b, &sql);
	buf_put_u8(&sql, 0);
	assert_non_null(strstr((const char *)buf_data(&sql), "RESET \"b\".\"c\";"));
	assert_non_null(strstr((const char *)buf_data(&sql), "E'it''s \\\\ x'"));
	assert_ptr_equal(strstr((const char *)buf_data(&sql), "RESET"), buf_data(&sql));
	buf_release(&sql);
	params_unref(a);
	params_unref(b);
}

/* goal: what belongs to the server is not a session's, and is what a client is told beside its own */
static void
test_welcome(void **state)
{
	static const char reported[] = "server_version\0"
				       "15\0"
				       "work_mem\0"
				       "4MB\0"
				       "IS_SUPERUSER\0off\0";
	struct params *own = with(params_empty(), "work_mem", "4MB");
	struct welcome *w = welcome_new(reported, sizeof(reported) - 1, own);

	(void)state;
	assert_non_null(w);
	assert_true(params_is_fixed("server_version"));
	assert_false(params_is_fixed("work_mem"));
	assert_ptr_equal(w->params, own);
	assert_int_equal(w->len, sizeof("server_version\0"
					"15\0"
					"IS_SUPERUSER\0off\0") -
				     1);
	assert_string_equal(w->fixed, "server_version");
	assert_ptr_equal(welcome_ref(w), w);
	welcome_unref(w);
	welcome_unref(w);
	welcome_unref(NULL);
	params_unref(own);
}

static struct statement *
text(const char *sql)
{
	struct statement *s = statement_intern((const uint8_t *)sql, strlen(sql) + 1);

	assert_non_null(s);
	return s;
}

/* goal: equal bodies are one statement with one name that cannot be guessed */
static void
test_statement(void **state)
{
	struct statement *a = text("select 1"), *b = text("select 1"), *c = text("select 2");
	char name[STATEMENT_NAME_SIZE];

	(void)state;
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_string_not_equal(a->name, c->name);
	assert_true(strlen(a->name) > 12);
	snprintf(name, sizeof(name), "%s", a->name);
	statement_unref(a);
	statement_unref(b);
	a = text("select 1"); /* made anew: another name */
	assert_string_not_equal(a->name, name);
	statement_unref(a);
	statement_unref(c);
	statement_unref(NULL);
}

/* goal: a server's statements are found, ordered by use, taken out and put back as stale */
static void
test_server_statements(void **state)
{
	struct statement *s[3] = { text("1"), text("2"), text("3") };
	struct server_statements m;
	struct server_statement *e[3], *again;

	(void)state;
	server_statements_init(&m);
	assert_null(server_statements_oldest(&m));
	for (int i = 0; i < 3; i++)
		e[i] = server_statements_add(&m, s[i]);
	assert_int_equal(server_statements_count(&m), 3);
	assert_ptr_equal(server_statements_oldest(&m), e[0]);
	assert_ptr_equal(server_statements_find(&m, s[0]), e[0]);
	assert_ptr_equal(server_statements_oldest(&m), e[1]);
	server_statements_take(&m, e[1]);
	assert_null(server_statements_find(&m, s[1]));
	server_statements_put_back(&m, e[1]);
	assert_true(server_statements_find(&m, s[1])->stale);
	/* somebody has parsed it meanwhile: one entry stays, and nobody trusts it */
	server_statements_take(&m, e[2]);
	again = server_statements_add(&m, s[2]);
	server_statements_put_back(&m, e[2]);
	assert_ptr_equal(server_statements_find(&m, s[2]), again);
	assert_true(again->stale);
	assert_int_equal(server_statements_count(&m), 3);
	assert_false(e[0]->stale);
	server_statements_all_stale(&m);
	assert_true(e[0]->stale);
	server_statements_release(&m);
	server_statement_free(NULL);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(atomic_load(&s[i]->refs), 1);
		statement_unref(s[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interned),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_sql),
		cmocka_unit_test(test_welcome),
		cmocka_unit_test(test_statement),
		cmocka_unit_test(test_server_statements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
