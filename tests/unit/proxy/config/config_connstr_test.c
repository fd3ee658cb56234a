#include "tests/unit/proxy/config/config_fixture.h"

#include "proxy/config/config_connstr.h"

/* Read text and write the pairs as <key|value>, then "!" with the reason of a fault. */
static void
expect(const char *text, const char *pairs)
{
	struct config_connstr c;
	char out[512] = "", *copy = strdup(text);
	size_t n = 0;

	config_connstr_start(&c, copy);
	while (config_connstr_next(&c))
		n += (size_t)snprintf(out + n, sizeof(out) - n, "<%s|%s>", c.key, c.value);
	if (c.fault != NULL)
		snprintf(out + n, sizeof(out) - n, "!%s", c.after);
	assert_string_equal(out, pairs);
	free(copy);
}

/* Goal: pairs are cut as PgBouncer cuts them: quotes, doubled quotes, blanks around =. */
static void
test_pairs(void **state)
{
	(void)state;
	expect("", "");
	expect("  ", "");
	expect("host=a port=1", "<host|a><port|1>");
	expect(" host = a\tport =1 ", "<host|a><port|1>");
	expect("password='a b' x=y", "<password|a b><x|y>");
	expect("password='it''s' x=''", "<password|it's><x|>");
	expect("password=''''", "<password|'>");
	expect("a=b=c d=e'f'g", "<a|b=c><d|e'f'g>");
	expect("a=", "<a|>");
	expect("a=; b=#:[", "<a|;><b|#:[>");
	expect("a= b=c", "<a|b=c>"); /* the owner of the keys has to notice */
}

/* Goal: what cannot be cut is a fault that names the key before it and ends the reading. */
static void
test_faults(void **state)
{
	(void)state;
	expect("host", "!");
	expect("=a", "!");
	expect("a=b c", "<a|b>!a");
	expect("a='b", "!a");
	expect("a='b''", "!a");
	expect("a='b'c d=e", "!a");
	expect("a=b 'c'=d", "<a|b><'c'|d>");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
