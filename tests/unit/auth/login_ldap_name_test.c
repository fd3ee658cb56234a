#include "auth/login_ldap_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* goal: whatever RFC 4514 gives a meaning in a DN is escaped, and UTF-8 is left alone */
static void
test_dn(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "uid=", "al", ",dc=x"), 0);
	assert_string_equal(out, "uid=al,dc=x");
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "uid=", "a,b+c\"d\\", ",dc=x"), 0);
	assert_string_equal(out, "uid=a\\2cb\\2bc\\22d\\5c,dc=x");
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "", "#<>;= ", "=y"), 0);
	assert_string_equal(out, "\\23\\3c\\3e\\3b\\3d\\20=y");
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "cn=", "J\xc3\xb6rg\x01\x7f", ""), 0);
	assert_string_equal(out, "cn=J\xc3\xb6rg\\01\\7f");
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "cn=", "", ",dc=x"), -1);
}

/* goal: names that are no DN (Active Directory) have no escapes, so only harmless ones go in */
static void
test_no_dn(void **state)
{
	char out[64];

	(void)state;
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "CORP\\", "j.doe-2_$", ""), 0);
	assert_string_equal(out, "CORP\\j.doe-2_$");
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "", "joe", "@corp"), 0);
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "", "joe@other", "@corp"), -1);
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "", "cn=admin,dc=x", ""), -1);
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "CORP\\", "a\\b", ""), -1);
}

/* goal: a name cannot widen a filter, and each $username is replaced */
static void
test_filter(void **state)
{
	char out[128];

	(void)state;
	assert_int_equal(login_ldap_name_filter(out, sizeof(out), NULL, "uid", "*)(uid=a\\"), 0);
	assert_string_equal(out, "(uid=\\2a\\29\\28uid=a\\5c)");
	assert_int_equal(login_ldap_name_filter(out, sizeof(out),
			     "(|(uid=$username)(mail=$username@x))", NULL, "a*"),
	    0);
	assert_string_equal(out, "(|(uid=a\\2a)(mail=a\\2a@x))");
	assert_int_equal(
	    login_ldap_name_filter(out, sizeof(out), "(uid=$username)", NULL, "$username"), 0);
	assert_string_equal(out, "(uid=$username)");
}

/* goal: what does not fit is refused and never cut */
static void
test_long(void **state)
{
	char out[16];

	(void)state;
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "uid=", "0123456789a", ""), 0);
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "uid=", "0123456789ab", ""), -1);
	assert_int_equal(login_ldap_name_dn(out, sizeof(out), "uid=", "0123456789,", ""), -1);
	assert_int_equal(login_ldap_name_filter(out, sizeof(out), NULL, "uid", "012345678"), 0);
	assert_int_equal(login_ldap_name_filter(out, sizeof(out), NULL, "uid", "01234567890"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dn),
		cmocka_unit_test(test_no_dn),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
