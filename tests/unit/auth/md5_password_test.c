#include "auth/md5_password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* goal: the secret that PostgreSQL 15 stored for user d with password pencil */
static void
test_secret(void **state)
{
	char out[MD5_PASSWORD_LEN + 1];

	(void)state;
	assert_int_equal(md5_password_make(out, "pencil", 6, "d"), 0);
	assert_string_equal(out, "md5f6100b06df553dbff70d9a6a8a6d9295");
}

/* goal: an answer is the digest of the secret's hex and the salt (checked with coreutils'
 * md5sum) */
static void
test_answer(void **state)
{
	char out[MD5_PASSWORD_LEN + 1];

	(void)state;
	assert_int_equal(md5_password_answer(out, "md5f6100b06df553dbff70d9a6a8a6d9295",
			     (const uint8_t *)"\x01\x02\x03\x04"),
	    0);
	assert_string_equal(out, "md5fde50ce6ca6f2b8a88126f9ffb0793a6");
}

/* goal: only "md5" and 32 hex digits are an MD5 secret; anything near it is a plain password */
static void
test_form(void **state)
{
	static const char *const others[] = { "", "md5", "md5f6100b06df553dbff70d9a6a8a6d929",
		"md5f6100b06df553dbff70d9a6a8a6d92955", "md5f6100b06df553dbff70d9a6a8a6d929g",
		"MD5f6100b06df553dbff70d9a6a8a6d9295", "xxxf6100b06df553dbff70d9a6a8a6d9295" };

	(void)state;
	assert_true(md5_password_is("md5f6100b06df553dbff70d9a6a8a6d9295", 35));
	assert_true(md5_password_is("md5F6100B06DF553DBFF70D9A6A8A6D9295", 35));
	assert_false(md5_password_is("md5f6100b06df553dbff70d9a6a8a6d92\0\0", 35));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(md5_password_is(others[i], strlen(others[i])));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_secret),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
