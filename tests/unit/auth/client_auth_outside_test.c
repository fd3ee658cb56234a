#include "auth/client_auth.h"

#include "proxy/base/buf.h"
#include "proxy/config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct client_auth *
begin(struct buf *out)
{
	struct client_auth_offer o = { .method = AUTH_LDAP, .user = "u", .outside = true };
	enum auth_verdict v;
	struct client_auth *a;

	buf_init(out, 1024);
	a = client_auth_new(&o, out, &v);
	assert_non_null(a);
	assert_int_equal(v, AUTH_MORE);
	assert_int_equal(buf_len(out), 9);
	assert_memory_equal(buf_data(out), "R\0\0\0\x08\0\0\0\x03", 9);
	return a;
}

/* Goal: a password that others judge is asked for in clear text, and handed on as it came. */
static void
test_given(void **state)
{
	struct client_auth *a;
	struct buf out;
	const char *text;
	size_t len;

	(void)state;
	a = begin(&out);
	assert_int_equal(client_auth_input(a, (const uint8_t *)"secret", 7, &out), AUTH_GIVEN);
	text = client_auth_password(a, &len);
	assert_int_equal(len, 6);
	assert_string_equal(text, "secret");
	/* the dialogue is over */
	assert_int_equal(client_auth_input(a, (const uint8_t *)"secret", 7, &out),
	    AUTH_PROTOCOL_ERROR);
	assert_int_equal(client_auth_recheck(a, &out), AUTH_PROTOCOL_ERROR);
	client_auth_free(a);
	buf_release(&out);
}

/* Goal: an empty password and what is none never reach who would judge them. */
static void
test_not_given(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum auth_verdict want;
	} rows[] = { { "", 1, AUTH_FAILED }, { "", 0, AUTH_PROTOCOL_ERROR },
		{ "abc", 3, AUTH_PROTOCOL_ERROR }, { "a\0b", 4, AUTH_PROTOCOL_ERROR } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf out;
		struct client_auth *a = begin(&out);

		assert_int_equal(
		    client_auth_input(a, (const uint8_t *)rows[i].bytes, rows[i].n, &out),
		    rows[i].want);
		client_auth_free(a);
		buf_release(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given),
		cmocka_unit_test(test_not_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
