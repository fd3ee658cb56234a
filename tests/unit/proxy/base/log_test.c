/* log_test.c -- a log line stays one line whatever a peer puts into it; and the table of faults. */
#include "proxy/base/log.h"

#include "proxy/base/fault.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/log_test.XXXXXX";
static char text[16384];

static const char *
logged(void)
{
	FILE *f = fopen(path, "r");

	memset(text, 0, sizeof(text));
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) < sizeof(text));
	fclose(f);
	assert_int_equal(truncate(path, 0), 0);
	return text;
}

static void
setup(int verbose)
{
	struct log_settings s = { .file = path, .verbose = verbose };

	assert_int_equal(log_setup(&s), 0);
}

/* goal: control bytes are shown as \xNN, so that no peer makes a line or colours a terminal */
static void
test_escaping(void **state)
{
	const char *line;

	(void)state;
	setup(0);
	log_info("user=%s", "a\nLOG faked\r\x1b[31m\x7f\xc3\xa9");
	line = logged();
	assert_non_null(strstr(line, "LOG user=a\\x0aLOG faked\\x0d\\x1b[31m\\x7f\xc3\xa9\n"));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

/* goal: a line is bounded, also when every byte has to be escaped, and ends with a newline */
static void
test_bound(void **state)
{
	static char junk[5000];
	const char *line;

	(void)state;
	setup(0);
	memset(junk, '\1', sizeof(junk) - 1);
	log_info("%s", junk);
	line = logged();
	assert_in_range(strlen(line), 1000, 3000);
	assert_int_equal(line[strlen(line) - 1], '\n');
}

/* goal: levels above the wanted one are not written */
static void
test_levels(void **state)
{
	(void)state;
	setup(0);
	log_debug("hidden");
	assert_string_equal(logged(), "");
	assert_false(log_wanted(LOG_LEVEL_DEBUG));
	setup(1);
	log_debug("shown");
	assert_non_null(strstr(logged(), " DEBUG shown\n"));
	assert_false(log_wanted(LOG_LEVEL_NOISE));
	setup(2);
	assert_true(log_wanted(LOG_LEVEL_NOISE));
	log_error("%d", 5);
	assert_non_null(strstr(logged(), " ERROR 5\n"));
}

/* goal: a file that cannot be opened leaves the previous one in use */
static void
test_reopen(void **state)
{
	struct log_settings s = { .file = "/nonexistent/x" };

	(void)state;
	setup(0);
	assert_int_equal(log_setup(&s), -1);
	assert_int_equal(errno, ENOENT);
	log_info("still here");
	assert_non_null(strstr(logged(), "still here"));
}

/* goal: every fault has a five-character SQLSTATE, a name and a sentence without a full stop */
static void
test_faults(void **state)
{
	(void)state;
	for (int f = 0; f < FAULT_COUNT; f++) {
		const char *sentence = fault_sentence((enum fault)f);

		assert_int_equal(strlen(fault_sqlstate((enum fault)f)), 5);
		assert_int_equal(
		    strspn(fault_sqlstate((enum fault)f), "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
		    5);
		assert_true(strlen(fault_name((enum fault)f)) > 0);
		assert_true(sentence[0] != '\0' && sentence[strlen(sentence) - 1] != '.');
	}
	assert_string_equal(fault_sqlstate(FAULT_QUEUE_TIMEOUT), "53300");
	assert_string_equal(fault_name(FAULT_LOGIN), "LOGIN");
}

static int
begin(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd == -1 ? -1 : close(fd);
}

static int
end(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escaping),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_reopen),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
