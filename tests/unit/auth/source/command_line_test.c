/* goal: a command is split into the words that its quotes say, and nothing in it means more */
#include "auth/source/command_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* The words must be those of the list. */
static void
assert_words(const char *text, const char *const *words)
{
	char err[128] = "";
	char **argv = command_line_split(text, err, sizeof(err));
	size_t i;

	if (argv == NULL)
		fail_msg("%s: %s", text, err);
	for (i = 0; words[i] != NULL && argv[i] != NULL; i++)
		assert_string_equal(argv[i], words[i]);
	assert_null(words[i]);
	assert_null(argv[i]);
	free(argv);
}

#define WORDS(text, ...) assert_words(text, (const char *const[]){ __VA_ARGS__, NULL })

static void
assert_wrong(const char *text, const char *why)
{
	char err[128] = "";

	assert_null(command_line_split(text, err, sizeof(err)));
	assert_string_equal(err, why);
}

static void
test_words(void **state)
{
	(void)state;
	WORDS("a", "a");
	WORDS("  /bin/x \t -y\n", "/bin/x", "-y");
	WORDS("a 'b  c' d", "a", "b  c", "d");
	WORDS("a '' \"\" b", "a", "", "", "b");
	WORDS("a b'c'\"d\"e", "a", "bcde");
	WORDS("a 'x\\y\"z'", "a", "x\\y\"z");
	WORDS("a \"x\\y \\\" \\\\ 'z'\"", "a", "x\\y \" \\ 'z'");
	WORDS("a b\\ c \\' \\\\", "a", "b c", "'", "\\");
	WORDS("a $HOME *.c ~ | > x ; & # `b`", "a", "$HOME", "*.c", "~", "|", ">", "x", ";", "&",
	    "#", "`b`");
}

static void
test_wrong(void **state)
{
	char many[2 * (COMMAND_LINE_WORDS_MAX + 2)];
	size_t i;

	(void)state;
	assert_wrong("", "there is no command");
	assert_wrong(" \t", "there is no command");
	assert_wrong("'' x", "there is no command");
	assert_wrong("a 'b", "a quote is not closed");
	assert_wrong("a \"b\\\"", "a quote is not closed");
	assert_wrong("a \"b\\", "a quote is not closed");
	assert_wrong("a b\\", "nothing follows the last backslash");
	for (i = 0; i + 2 < sizeof(many); i += 2)
		memcpy(many + i, "a ", 3);
	assert_wrong(many, "too many words");
	many[2 * COMMAND_LINE_WORDS_MAX] = '\0';
	free(command_line_split(many, NULL, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
