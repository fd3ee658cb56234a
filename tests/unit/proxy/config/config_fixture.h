/* config_fixture.h -- for the tests of proxy/config: configuration files from text, and what was
 * said. */
#ifndef TESTS_UNIT_PROXY_CONFIG_CONFIG_FIXTURE_H
#define TESTS_UNIT_PROXY_CONFIG_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/config/config.h"

struct said {
	unsigned errors, warnings;
	char text[16384]; /* "LINE: error: TEXT\n" ... */
};

static inline void
fixture_say(void *arg, bool is_error, const char *file, int line, const char *text)
{
	struct said *said = arg;
	size_t n = strlen(said->text);

	assert_non_null(file);
	assert_null(strchr(text, '\n'));
	if (is_error)
		said->errors++;
	else
		said->warnings++;
	snprintf(said->text + n, sizeof(said->text) - n, "%d: %s: %s\n", line,
	    is_error ? "error" : "warning", text);
}

/* A file of len bytes in /tmp; the path is written to path. */
static inline void
fixture_file(char path[64], const char *text, size_t len)
{
	int fd;

	snprintf(path, 64, "/tmp/pgsluice-config-test.XXXXXX");
	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static inline struct config *
fixture_load(const char *text, struct said *said)
{
	struct config *cfg;
	char path[64];

	memset(said, 0, sizeof(*said));
	fixture_file(path, text, strlen(text));
	cfg = config_load(path, fixture_say, said);
	unlink(path);
	if ((cfg == NULL) != (said->errors > 0))
		print_error("%s", said->text);
	assert_int_equal(cfg == NULL, said->errors > 0);
	return cfg;
}

/* The text must load. */
static inline struct config *
fixture_good(const char *text)
{
	static struct said said;
	struct config *cfg = fixture_load(text, &said);

	if (cfg == NULL)
		print_error("%s", said.text);
	assert_non_null(cfg);
	return cfg;
}

/* The text must be refused with exactly this one message. */
static inline void
fixture_bad(const char *text, const char *message)
{
	static struct said said;

	assert_null(fixture_load(text, &said));
	assert_string_equal(said.text, message);
}

/* Enough to load with the defaults. */
#define FIXTURE_HEAD "[pgsluice]\nauth_file=u\n[databases]\n*=\n[pgsluice]\n" /* 5 lines */

#endif
