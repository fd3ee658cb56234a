/* The pure parts of the connector: errors, traces, keywords. */
#include "pool/connector.h"
#include "pool/connector_error.h"
#include "pool/connector_params.h"
#include "pool/connector_trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define AT "connection to server at \"127.0.0.1\", port 5432 failed: "

static void
error(const char *text, enum connect_result result, const char *sqlstate, const char *line)
{
	struct connector_error e;

	connector_error_read(text, &e);
	assert_string_equal(e.text, line);
	assert_string_equal(e.sqlstate, sqlstate);
	assert_int_equal(e.result, result);
}

static void
errors_of_the_server(void **state)
{
	/* goal: code, kind and line of what the server said; the last of several attempts counts */
	char longest[2000], text[2300];
	struct connector_error e;

	(void)state;
	error(AT "FATAL:  3D000: database \"a\" does not exist\nLOCATION:  f, x.c:1\n",
	    CONNECT_REFUSED, "3D000", "database \"a\" does not exist");
	error(AT "FATAL:  57P03: the database system is starting up\n", CONNECT_RETRY, "57P03",
	    "the database system is starting up");
	error(AT "ВАЖНО:  53300: too many\r\nDETAIL:  x\n", CONNECT_RETRY, "53300", "too many ");
	error(AT "FATAL:  57P01: bye\n", CONNECT_RETRY, "57P01", "bye");
	error(AT "FATAL:  42501: no\n", CONNECT_REFUSED, "42501", "no");
	error(AT "FATAL:  28000: no entry, SSL encryption\n" AT "FATAL:  53300: full\n",
	    CONNECT_RETRY, "53300", "no entry, SSL encryption; full");
	error(AT "FATAL:  28p01: lower\n", CONNECT_RETRY, "08006", "FATAL:  28p01: lower");
	error(AT "FATAL:  28P0", CONNECT_RETRY, "08006", "FATAL:  28P0");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	snprintf(text, sizeof(text), AT "FATAL:  28P01: %s\n" AT "%s\n", longest, "y");
	connector_error_read(text, &e);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	/* a cut does not leave half a character */
	for (size_t i = 0; i + 2 < sizeof(longest); i += 2)
		memcpy(longest + i, "ж", 2);
	snprintf(text, sizeof(text), AT "FATAL:  28P01: x%s\n", longest);
	connector_error_read(text, &e);
	assert_int_equal(strlen(e.text) % 2, 1);
	assert_true(strlen(e.text) >= sizeof(e.text) - 3);
}

static void
errors_of_libpq(void **state)
{
	/* goal: what libpq found out by itself is told apart by its words */
	(void)state;
	error(AT "Connection refused\n\tIs the server running?\n", CONNECT_RETRY, "08006",
	    "Connection refused");
	error(AT "server does not support SSL, but SSL was required\n", CONNECT_REFUSED, "08006",
	    "server does not support SSL, but SSL was required");
	error(AT "SSL error: certificate verify failed\n", CONNECT_REFUSED, "08006",
	    "SSL error: certificate verify failed");
	error(AT "SSL SYSCALL error: EOF detected\n", CONNECT_RETRY, "08006",
	    "SSL SYSCALL error: EOF detected");
	error(AT "SSL error: unexpected eof while reading\n", CONNECT_RETRY, "08006",
	    "SSL error: unexpected eof while reading");
	error(AT "server closed the connection unexpectedly\n\tThis probably means\n",
	    CONNECT_RETRY, "08006", "server closed the connection unexpectedly");
	error(AT "fe_sendauth: no password supplied\n", CONNECT_REFUSED, "28P01",
	    "fe_sendauth: no password supplied");
	error("out of memory\n", CONNECT_RETRY, "08006", "out of memory");
	error("invalid sslmode value: \"x\"\n", CONNECT_REFUSED, "08006",
	    "invalid sslmode value: \"x\"");
	error("", CONNECT_RETRY, "08006", "the connection failed");
}

static void
parameters(void **state)
{
	/* goal: names of ParameterStatus lines, and of nothing else */
	static const char text[] = "F\t8\tUnknown message: length is 8\n"
				   "mismatched message length: consumed 4, expected 54\n"
				   "B\t22\tParameterStatus\t \"one\" \"\"\n"
				   "F\t22\tParameterStatus\t \"wrong\" \"\"\n"
				   "B\t22\tParameterStatus\t \"\" \"empty\"\n"
				   "B\t22\tParameterStatus\t \"much too long\" \"\"\n"
				   "B\tx\tParameterStatus\t \"wrong\" \"\"\n"
				   "B\t22\tParameterStatus\t \"two\" \"a\nb\"\n"
				   "B\t5\tReadyForQuery\t I\n"
				   "B\t22\tParameterStatus\t \"open";
	char name[8];
	size_t at = 0;

	(void)state;
	assert_true(connector_trace_parameter(text, sizeof(text) - 1, &at, name, sizeof(name)));
	assert_string_equal(name, "one");
	assert_true(connector_trace_parameter(text, sizeof(text) - 1, &at, name, sizeof(name)));
	assert_string_equal(name, "two");
	assert_false(connector_trace_parameter(text, sizeof(text) - 1, &at, name, sizeof(name)));
	assert_true(connector_trace_ready(text, sizeof(text) - 1));
	assert_false(connector_trace_ready(text, 100));
	assert_false(connector_trace_ready("", 0));
}

static size_t
key_of(const char *text, uint8_t *key, size_t room)
{
	return connector_trace_key(text, strlen(text), 3460, key, room);
}

static void
keys(void **state)
{
	/* goal: the key as libpq 15 prints it (a number) and as libpq 18 does (bytes) */
	static const uint8_t minus[] = { 0xff, 0xff, 0xff, 0xfe };
	static const uint8_t bytes[] = { 'a', 0x00, 0xfe, '\\', 'x', 'z', '\'', '1' };
	uint8_t key[8];

	(void)state;
	assert_int_equal(key_of("B\t12\tBackendKeyData\t 3460 16909060\n", key, 8), 4);
	assert_memory_equal(key, "\1\2\3\4", 4);
	assert_int_equal(key_of("B\t12\tBackendKeyData\t 1 5\n"
				"B\t12\tBackendKeyData\t 3460 -2\n",
			     key, 8),
	    4);
	assert_memory_equal(key, minus, 4);
	assert_int_equal(key_of("B\t16\tBackendKeyData\t 3460 'a\\x00\\xfe\\xz'1'\n", key, 8), 8);
	assert_memory_equal(key, bytes, 8);
	assert_int_equal(key_of("B\t16\tBackendKeyData\t 3460 'a\\x00\\xfffffffe\\xz'1'\n", key, 8),
	    8);
	assert_memory_equal(key, bytes, 8);
	assert_int_equal(key_of("B\t15\tBackendKeyData\t 3460 'a\\x00\\xfe\\xz'1'\n", key, 8), 0);
	assert_int_equal(key_of("B\t17\tBackendKeyData\t 3460 'abcdefghi'\n", key, 8), 0);
	assert_int_equal(key_of("B\t12\tBackendKeyData\t 3460 99999999999\n", key, 8), 0);
	assert_int_equal(key_of("B\t12\tBackendKeyData\t 3460", key, 8), 0);
	assert_int_equal(key_of("B\t12\tBackendKeyData\t 3460 ", key, 8), 0);
	assert_int_equal(key_of("B\t12\tBackendKeyData\t 3460 '", key, 8), 0);
}

static void
trace_file(void **state)
{
	/* goal: the file of a trace is memory, bounded, and can begin anew */
	struct connector_trace t = { .file = NULL };

	(void)state;
	connector_trace_close(&t);
	assert_int_equal(connector_trace_open(&t), 0);
	fprintf(t.file, "%s", "one");
	assert_int_equal(buf_len(&t.text), 3);
	connector_trace_clear(&t);
	fprintf(t.file, "%s", "two");
	assert_memory_equal(buf_data(&t.text), "two", 3);
	for (int i = 0; i < 3000; i++)
		fprintf(t.file, "%0100d", i);
	assert_true(buf_failed(&t.text));
	connector_trace_close(&t);
}

static const char *
value(const struct connector_params *p, const char *key)
{
	for (int i = 0; i < p->n; i++)
		if (strcmp(p->key[i], key) == 0)
			return p->value[i];
	return NULL;
}

static void
keywords(void **state)
{
	/* goal: libpq is told all it would look for elsewhere, and nothing that was not asked for */
	static const char none[] = "/dev/null/none";
	struct connect_target t = { .hosts = "h", .port = 5432, .dbname = "d", .user = "u" };
	struct connector_params p;
	char big[1000];

	(void)state;
	connector_params_fill(&p, &t, "h", "10.0.0.1");
	assert_null(p.key[p.n]);
	assert_string_equal(value(&p, "host"), "h");
	assert_string_equal(value(&p, "hostaddr"), "10.0.0.1");
	assert_string_equal(value(&p, "port"), "5432");
	assert_string_equal(value(&p, "gssencmode"), "disable");
	assert_string_equal(value(&p, "passfile"), none);
	assert_string_equal(value(&p, "sslrootcert"), none);
	assert_string_equal(value(&p, "sslcert"), none);
	assert_string_equal(value(&p, "sslkey"), none);
	assert_string_equal(value(&p, "sslcrl"), none);
	assert_string_equal(value(&p, "keepalives"), "0");
	assert_null(value(&p, "options"));
	assert_null(value(&p, "password"));
	assert_null(value(&p, "application_name"));
	assert_null(value(&p, "fallback_application_name"));
	assert_null(value(&p, "client_encoding"));
	assert_null(value(&p, "replication"));
	assert_null(value(&p, "sslmode"));
	assert_null(value(&p, "tcp_user_timeout"));

	t.timezone = "a b\\c";
	t.datestyle = "ISO";
	t.keepalive = true;
	t.keepcnt = 3;
	t.user_timeout = 2000;
	t.tls = (struct connect_tls){ "verify-full", "ca", "cert", "key", "TLSv1.2", NULL };
	connector_params_fill(&p, &t, "/tmp", NULL);
	assert_null(value(&p, "hostaddr"));
	assert_string_equal(value(&p, "options"), "-c datestyle=ISO -c timezone=a\\ b\\\\c");
	assert_string_equal(value(&p, "keepalives"), "1");
	assert_string_equal(value(&p, "keepalives_count"), "3");
	assert_null(value(&p, "keepalives_idle"));
	assert_string_equal(value(&p, "tcp_user_timeout"), "2000");
	assert_string_equal(value(&p, "sslrootcert"), "ca");
	assert_string_equal(value(&p, "ssl_min_protocol_version"), "TLSv1.2");

	memset(big, ' ', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	t.timezone = big;
	connector_params_fill(&p, &t, "/tmp", NULL);
	assert_string_equal(value(&p, "options"), "-c datestyle=ISO");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_of_the_server),
		cmocka_unit_test(errors_of_libpq),
		cmocka_unit_test(parameters),
		cmocka_unit_test(keys),
		cmocka_unit_test(trace_file),
		cmocka_unit_test(keywords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
