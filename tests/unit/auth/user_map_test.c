#include "auth/user_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/auth/hba_fixture.h"

static struct heard heard;

static struct user_map *
parse(const char *text)
{
	memset(&heard, 0, sizeof(heard));
	return user_map_load(write_text("ident", text), hear, &heard);
}

static struct user_map *
good(const char *text)
{
	struct user_map *m = parse(text);

	if (m == NULL)
		fail_msg("%s", heard.all);
	return m;
}

/* goal: without a map the names must be equal; a map allows its pairs and no others */
static void
test_names(void **state)
{
	struct user_map *m = good("# maps\nm root postgres\nm root admin\nm \"a b\" al\n"
				  "n root n\nany boss all\nlit boss \"all\"\nlit boss \"+r\"\n"
				  "lit boss a\\1\n");

	(void)state;
	assert_true(user_map_allows(NULL, NULL, "a", "a"));
	assert_true(user_map_allows(m, "", "a", "a"));
	assert_false(user_map_allows(m, NULL, "a", "A"));
	assert_false(user_map_allows(NULL, "m", "a", "a"));
	assert_false(user_map_allows(m, "none", "a", "a"));
	assert_false(user_map_allows(m, "m", "a", "a"));
	assert_true(user_map_allows(m, "m", "root", "postgres"));
	assert_true(user_map_allows(m, "m", "root", "admin"));
	assert_false(user_map_allows(m, "m", "root", "n"));
	assert_false(user_map_allows(m, "m", "root", "root"));
	assert_false(user_map_allows(m, "m", "Root", "admin"));
	assert_true(user_map_allows(m, "m", "a b", "al"));
	assert_true(user_map_allows(m, "any", "boss", "whoever"));
	assert_false(user_map_allows(m, "any", "bos", "whoever"));
	assert_false(user_map_allows(m, "lit", "boss", "whoever"));
	assert_true(user_map_allows(m, "lit", "boss", "all"));
	assert_true(user_map_allows(m, "lit", "boss", "+r"));
	assert_true(user_map_allows(m, "lit", "boss", "a\\1"));
	assert_true(user_map_has(m, "m"));
	assert_false(user_map_has(m, "root"));
	assert_false(user_map_has(NULL, "m"));
	assert_ptr_equal(user_map_ref(m), m);
	user_map_unref(m);
	user_map_unref(m);
	user_map_unref(NULL);
}

/* goal: regular expressions map by pattern, and \1 is what the parentheses took, taken literally */
static void
test_regex(void **state)
{
	struct user_map *m = good("mail /^(.*)@example\\.com$ \\1\n"
				  "mail /^(.*)@guest\\.com$ guest\n"
				  "mid \"/^([a-z]+)(x)?$\" u_\\1_v\n"
				  "opt /^a(b)?$ \\1\n"
				  "pair /^dev /^db_[0-9]$\n"
				  "name ops /^db\n"
				  "part /ob all\n");
	char name[2000];

	(void)state;
	assert_true(user_map_allows(m, "mail", "al@example.com", "al"));
	assert_false(user_map_allows(m, "mail", "al@example.com", "al@example.com"));
	assert_false(user_map_allows(m, "mail", "al@example.com", "a"));
	assert_false(user_map_allows(m, "mail", "al@example.com", "all"));
	assert_false(user_map_allows(m, "mail", "all@example.com", "bob"));
	assert_true(user_map_allows(m, "mail", "all@example.com", "all"));
	assert_false(user_map_allows(m, "mail", "al@exampleXcom", "al"));
	assert_true(user_map_allows(m, "mail", "al@guest.com", "guest"));
	assert_false(user_map_allows(m, "mail", "al@guest.com", "al"));
	assert_true(user_map_allows(m, "mid", "bob", "u_bob_v"));
	assert_false(user_map_allows(m, "mid", "bob", "u_bo"));
	assert_false(user_map_allows(m, "mid", "bob", "u"));
	assert_false(user_map_allows(m, "mid", "bob", "u_bob_vv"));
	assert_true(user_map_allows(m, "opt", "ab", "b"));
	assert_false(user_map_allows(m, "opt", "a", ""));
	assert_true(user_map_allows(m, "pair", "developer", "db_1"));
	assert_false(user_map_allows(m, "pair", "developer", "db_x"));
	assert_true(user_map_allows(m, "name", "ops", "db_x"));
	assert_false(user_map_allows(m, "name", "oops", "db_x"));
	assert_true(user_map_allows(m, "part", "bob", "x"));
	memset(name, 'o', sizeof(name));
	name[1998] = 'b';
	name[1999] = '\0';
	assert_false(user_map_allows(m, "part", name, "x"));
	user_map_unref(m);
}

/* goal: every fault is told with its line, and one refuses the file */
static void
test_faults(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "m", "found the end of the line, expected a system user" },
		{ "m a", "found the end of the line, expected a database user" },
		{ "m a b c",
		    "found 4 fields, expected three: map name, system user, database user" },
		{ "m,n a b", "found 2 values for the map name, expected one" },
		{ "m a,b c", "found 2 values for the system user, expected one" },
		{ "m a b,c", "found 2 values for the database user, expected one" },
		{ "m \"\" b", "found nothing between the quotes, expected a system user" },
		{ "m a +r",
		    "found the database user \"+r\", expected a name, all or a regular expression (members "
		    "of a role are not served here)" },
		{ "m /( b", "regular expression \"/(\": found (, expected a ) behind it" },
		{ "m a /\\m", "regular expression \"/\\x5cm\": found \\m, which is not served" },
		{ "m /(a) /\\1", "regular expression \"/\\x5c1\": found \\1, which is not served" },
		{ "m /a \\1",
		    "found \\1 in the database user \"\\x5c1\", expected parentheses in the regular "
		    "expression before it" },
		{ "m /(a) \\1\\1",
		    "found \\1 twice in the database user \"\\x5c1\\x5c1\", expected it once" },
		{ "m \"a b", "found an open quote, expected its end on the same line" },
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "m a b\n%s\n", rows[i].text);
		assert_null(parse(text));
		assert_string_equal(heard.text, rows[i].want);
		assert_int_equal(heard.line, 2);
		assert_int_equal(heard.errors, 1);
	}
	assert_null(parse("m\nm a b\nm a\nm /) b\n"));
	assert_int_equal(heard.errors, 3);
	assert_null(user_map_load(path_of("gone"), NULL, NULL));
}

/* goal: included files count, beside the one that names them */
static void
test_includes(void **state)
{
	struct user_map *m;

	(void)state;
	write_text("more", "m x y\n");
	m = good("include more\nm a b\n");
	assert_true(user_map_allows(m, "m", "x", "y"));
	assert_true(user_map_allows(m, "m", "a", "b"));
	user_map_unref(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_regex),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_includes),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
