/* json_fixture.h -- reading a text into one tape, for the tests of JSON. */
#ifndef TESTS_UNIT_PROXY_WIRE_JSON_FIXTURE_H
#define TESTS_UNIT_PROXY_WIRE_JSON_FIXTURE_H

#include "proxy/wire/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOKENS 256

static struct json_token tape[TOKENS];
static char message[128];

/* The text is copied into a block of its size, so that ASan sees a byte read behind its end; it stays
 * until the next call. */
static inline int
parse_bytes(struct json *j, const char *text, size_t len)
{
	static char *copy;
	int rc;

	free(copy);
	copy = NULL;
	if (len > 0) {
		copy = malloc(len);
		assert_non_null(copy);
		memcpy(copy, text, len);
	}
	message[0] = '\0';
	rc = json_parse(j, copy, len, tape, TOKENS, message, sizeof(message));
	assert_true((rc == 0) == (message[0] == '\0'));
	return rc;
}

static inline int
parse(struct json *j, const char *text)
{
	return parse_bytes(j, text, strlen(text));
}

#endif
