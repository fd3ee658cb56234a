/* startup_params_test.c -- what a client may ask for at startup. */
#include "proxy/session/startup_params.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char seen[1024];

static void
note(void *arg, const char *name, const char *value)
{
	size_t n = strlen(seen);

	(void)arg;
	snprintf(seen + n, sizeof(seen) - n, "%s=%s;", name, value);
}

#define PARSE(p, text)                                                                             \
	startup_params_parse(p, (const uint8_t *)(text), sizeof(text), "junk, extra_float_digits")

/* goal: parameters and options are collected in order, ignored ones are not, unknown protocol options are
 * named */
static void
test_usual(void **state)
{
	struct startup_params p;

	(void)state;
	assert_int_equal(PARSE(&p, "user\0web\0database\0shop\0application_name\0x\0JUNK\0"
				   "1\0_pq_.a\0"
				   "1\0"
				   "options\0-c work_mem=4MB --extra-float-digits=3\0"),
	    FAULT_NONE);
	assert_string_equal(p.user, "web");
	assert_string_equal(p.database, "shop");
	assert_null(p.replication);
	assert_int_equal(p.n_unknown, 1);
	assert_string_equal(p.unknown[0], "_pq_.a");
	seen[0] = '\0';
	startup_params_each(&p, note, NULL);
	assert_string_equal(seen, "application_name=x;work_mem=4MB;");
	startup_params_release(&p);
}

/* goal: the database is the user's name when none is given; replication is what PostgreSQL takes it for */
static void
test_defaults(void **state)
{
	struct startup_params p;

	(void)state;
	assert_int_equal(PARSE(&p, "user\0web\0replication\0off\0"), FAULT_NONE);
	assert_string_equal(p.database, "web");
	assert_null(p.replication);
	startup_params_release(&p);
	assert_int_equal(PARSE(&p, "user\0web\0replication\0DATABASE\0"), FAULT_NONE);
	assert_string_equal(p.replication, "database");
	startup_params_release(&p);
	assert_int_equal(PARSE(&p, "user\0web\0replication\0on\0"), FAULT_NONE);
	assert_string_equal(p.replication, "true");
	startup_params_release(&p);
}

/* goal: each fault has its own answer; a database that cannot exist is told after login only */
static void
test_faults(void **state)
{
	static char many[4000] = "user\0web";
	size_t n = 9;
	struct startup_params p;

	(void)state;
	assert_int_equal(PARSE(&p, "database\0x\0"), FAULT_NO_USER);
	startup_params_release(&p);
	assert_int_equal(PARSE(&p, "user\0\0"), FAULT_NO_USER);
	startup_params_release(&p);
	assert_int_equal(startup_params_parse(&p, (const uint8_t *)"user", 4, NULL),
	    FAULT_PROTOCOL);
	startup_params_release(&p);
	assert_int_equal(startup_params_parse(&p, (const uint8_t *)"", 0, NULL), FAULT_PROTOCOL);
	startup_params_release(&p);
	assert_int_equal(PARSE(&p, "user\0web\0options\0-c =\0"), FAULT_STARTUP_PARAM);
	startup_params_release(&p);
	assert_int_equal(PARSE(&p,
			     "user\0web\0database\0"
			     "0123456789012345678901234567890123456789012345678901234567890123\0"),
	    FAULT_NONE);
	assert_int_equal(p.fault, FAULT_NO_DATABASE);
	startup_params_release(&p);
	for (int i = 0; i < 129; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "p%d%cv", i, 0) + 1;
	assert_int_not_equal(startup_params_parse(&p, (const uint8_t *)many, n + 1, NULL),
	    FAULT_NONE);
	startup_params_release(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
