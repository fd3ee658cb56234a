#include "auth/login_ldap_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct login_ldap_options *
good(const char *text)
{
	char err[128] = "";
	struct login_ldap_options *o = login_ldap_options_parse(text, err, sizeof(err));

	if (o == NULL)
		fail_msg("%s: %s", text, err);
	return o;
}

static void
bad(const char *text, const char *why)
{
	char err[128] = "";

	assert_null(login_ldap_options_parse(text, err, sizeof(err)));
	if (strstr(err, why) == NULL)
		fail_msg("%s: \"%s\" does not say \"%s\"", text, err, why);
}

/* goal: the two modes as PostgreSQL's and PgBouncer's documentation write them */
static void
test_modes(void **state)
{
	struct login_ldap_options *o;

	(void)state;
	o = good(
	    "ldapserver=ldap.example.net ldapprefix=\"cn=\" ldapsuffix=\", dc=example, dc=net\"");
	assert_false(o->search);
	assert_string_equal(o->prefix, "cn=");
	assert_string_equal(o->suffix, ", dc=example, dc=net");
	assert_int_equal(o->n_uris, 1);
	assert_string_equal(o->uris[0], "ldap://ldap.example.net");
	assert_true(login_ldap_options_are_plain(o));
	login_ldap_options_unref(o);

	o = good(" \"ldapbasedn=dc=example, dc=net\" ldapserver=a ldapsearchattribute=mail "
		 "ldapbinddn=cn=reader ldapbindpasswd=\"a \"\"b\"\"\" ldaptls=1 ");
	assert_true(o->search && o->start_tls);
	assert_string_equal(o->basedn, "dc=example, dc=net");
	assert_string_equal(o->bindpasswd, "a \"b\"");
	assert_int_equal(o->scope, LOGIN_LDAP_SUB);
	assert_false(login_ldap_options_are_plain(o));
	login_ldap_options_unref(o);
}

/* goal: several servers keep their order, and the port goes where none is given */
static void
test_servers(void **state)
{
	struct login_ldap_options *o = good(
	    "ldapserver=\"a b:77  ::1 [::2] [::3]:88\" ldapport=3389 "
	    "ldapscheme=ldaps ldapprefix=uid=");
	static const char *const want[] = { "ldaps://a:3389", "ldaps://b:77", "ldaps://[::1]:3389",
		"ldaps://[::2]:3389", "ldaps://[::3]:88" };

	(void)state;
	assert_int_equal(o->n_uris, 5);
	for (int i = 0; i < 5; i++)
		assert_string_equal(o->uris[i], want[i]);
	assert_ptr_equal(login_ldap_options_ref(o), o);
	login_ldap_options_unref(o);
	login_ldap_options_unref(o);
	login_ldap_options_unref(NULL);
}

/* goal: a URL says the same as the options, percent-encoding undone, base when no scope is given */
static void
test_url(void **state)
{
	struct login_ldap_options *o;

	(void)state;
	o = good("ldapurl=ldaps://h:636/dc=a%2cdc=b??sub?(%26(cn=x%20y)(uid=$username))");
	assert_true(o->ldaps && o->search);
	assert_string_equal(o->uris[0], "ldaps://h:636");
	assert_string_equal(o->basedn, "dc=a,dc=b");
	assert_string_equal(o->filter, "(&(cn=x y)(uid=$username))");
	assert_int_equal(o->scope, LOGIN_LDAP_SUB);
	assert_null(o->attribute);
	login_ldap_options_unref(o);
	o = good("ldapurl=LDAP://h/dc=a?mail ldaptls=1");
	assert_string_equal(o->uris[0], "ldap://h");
	assert_string_equal(o->attribute, "mail");
	assert_int_equal(o->scope, LOGIN_LDAP_BASE);
	login_ldap_options_unref(o);
	bad("ldapurl=http://h/", "ldap://");
	bad("ldapurl=ldap://h/dc=a?a,b", "one attribute");
	bad("ldapurl=ldap://h/dc=a??"
	    "?(uid=$username)?x",
	    "extensions");
	bad("ldapurl=ldap://h/dc%3", "malformed");
	bad("ldapurl=ldap://h/dc%00", "malformed");
	bad("ldapurl=ldap://h/dc=a??never", "ldapscope");
	bad("ldapurl=ldap://h/dc=a ldapserver=b", "twice");
	bad("ldapurl=ldap:///dc=a", "server");
	bad("ldapurl=ldap://h%2fx/dc=a", "host names");
}

/* goal: what is incomplete, contradictory or dangerous is refused, with the option's name */
static void
test_refused(void **state)
{
	(void)state;
	bad("", "ldapserver");
	bad("ldapserver=a", "ldapbasedn");
	bad("ldapserver=a nonsense=1", "\"nonsense\"");
	bad("ldapserver=a ldapprefix", "=");
	bad("ldapserver=a ldapprefix=\"x", "quote");
	bad("ldapserver=a ldapserver=b", "twice");
	bad("ldapserver=a/b ldapprefix=x", "host names");
	bad("ldapserver=\"1 2 3 4 5 6 7 8 9\" ldapprefix=x", "too many");
	bad("ldapserver=a ldapport=0 ldapprefix=x", "ldapport");
	bad("ldapserver=a ldapport=+1 ldapprefix=x", "ldapport");
	bad("ldapserver=a ldapport=1x ldapprefix=x", "ldapport");
	bad("ldapserver=a ldapscheme=ldapi ldapprefix=x", "ldapscheme");
	bad("ldapserver=a ldaptls=yes ldapprefix=x", "ldaptls");
	bad("ldapserver=a ldapscheme=ldaps ldaptls=1 ldapprefix=x", "TLS already");
	bad("ldapserver=a ldapprefix=x ldapbasedn=y", "exclude");
	bad("ldapserver=a ldapsearchattribute=uid", "ldapbasedn");
	bad("ldapserver=a ldapbasedn=y ldapbinddn=z", "need each other");
	bad("ldapserver=a ldapbasedn=y ldapbinddn=z ldapbindpasswd=", "need each other");
	bad("ldapserver=a ldapbasedn=y ldapsearchattribute=u)(x", "name of an attribute");
	bad("ldapserver=a ldapbasedn=y ldapsearchfilter=(uid=x)", "$username");
	bad("ldapserver=a ldapbasedn=y ldapsearchfilter=$username ldapsearchattribute=u",
	    "exclude");
	bad("ldapserver=a ldapbasedn=y ldapscope=all", "ldapscope");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_servers),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
