#include "auth/hba.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/auth/hba_query_fixture.h"

/* goal: every method and option that is served is read, and LDAP's keep their text */
static void
test_options(void **state)
{
	static const char *const words[] = { "trust", "reject", "md5", "password", "scram-sha-256",
		"cert", "peer", "ldap", "pam", "jwt" };
	struct hba *h = good(
	    "hostssl all all all cert map=m\n"
	    "local all all ident map=\"m n\"\n"
	    "hostssl all all all scram-sha-256 clientcert=verify-ca clientname=CN\n"
	    "hostssl all all all trust clientcert=verify-full\n"
	    "host all all all pam pamservice=pgs,pam_use_hostname=1\n"
	    "host all all all ldap ldapserver=l.example ldapprefix=\"cn=\" "
	    "ldapsuffix=\", dc=\"\"x\"\", dc=y\"\n"
	    "host all all all jwt map=claims\n"
	    "host all all all plain\n"
	    "host all all all pam\n"
	    "hostssl all all all cert clientcert=verify-full\n");
	const struct hba_line *l = hba_line_at(h, 0);

	(void)state;
	assert_int_equal(l->method, HBA_CERT);
	assert_int_equal(l->cert, HBA_CERT_FULL);
	assert_string_equal(l->map, "m");
	assert_non_null(strstr(l->file, "/hba"));
	assert_int_equal(hba_line_at(h, 1)->method, HBA_PEER);
	assert_string_equal(hba_line_at(h, 1)->map, "m n");
	assert_int_equal(hba_line_at(h, 2)->cert, HBA_CERT_CA);
	assert_null(hba_line_at(h, 2)->map);
	assert_int_equal(hba_line_at(h, 3)->cert, HBA_CERT_FULL);
	assert_string_equal(hba_line_at(h, 4)->pam_service, "pgs");
	assert_true(hba_line_at(h, 4)->pam_use_hostname);
	assert_string_equal(hba_line_at(h, 5)->ldap,
	    "ldapserver=\"l.example\" ldapprefix=\"cn=\" ldapsuffix=\", dc=\"\"x\"\", dc=y\"");
	assert_int_equal(hba_line_at(h, 6)->method, HBA_JWT);
	assert_string_equal(hba_line_at(h, 6)->map, "claims");
	assert_int_equal(hba_line_at(h, 7)->method, HBA_PASSWORD);
	assert_null(hba_line_at(h, 8)->pam_service);
	assert_false(hba_line_at(h, 8)->pam_use_hostname);
	assert_int_equal(hba_line_at(h, 9)->number, 10);
	hba_unref(h);
	for (int m = HBA_TRUST; m <= HBA_JWT; m++)
		assert_string_equal(hba_method_name((enum hba_method)m), words[m]);
}

/* ---- files ---- */

/* goal: @file and the include records stand for what is in their files, beside the one naming them */
static void
test_includes(void **state)
{
	struct hba *h;

	(void)state;
	assert_int_equal(mkdir(path_of("d"), 0700), 0);
	write_text("names", "a, b c\n# no\n@d/more \"@x\"\n");
	write_text("d/more", "m\n@empty");
	write_text("d/empty", "");
	write_text("d/2.conf", "host two all all trust\n");
	write_text("d/10.conf", "include 2.conf\nhost ten all all trust");
	write_text("d/.no.conf", "rubbish");
	write_text("d/no.txt", "rubbish");
	h = good("host z,@names,y all all trust\n"
		 "include_dir d\n"
		 "include_if_exists nothing\n"
		 "include \"d/2.conf\"\n"
		 "host @d/empty all all trust\n"
		 "host @ all all trust\n");
	assert_int_equal(hba_count(h), 7);
	for (const char *n = "zabcmy"; *n != '\0'; n++)
		assert_int_equal(where(h, "::1", (char[2]){ *n, '\0' }, "u"), 1);
	assert_int_equal(where(h, "::1", "@x", "u"), 1);
	assert_int_equal(where(h, "::1", "x", "u"), 0);
	assert_non_null(strstr(hba_line_at(h, 1)->file, "/d/2.conf"));
	assert_int_equal(where(h, "::1", "ten", "u"), 2);
	assert_int_equal(where(h, "::1", "two", "u"), 1);
	assert_int_equal(where(h, "::1", "@", "u"), 6);
	hba_unref(h);
}

/* goal: ten included files one in the other are read, eleven, a circle and missing ones refused */
static void
test_nesting(void **state)
{
	char name[16], text[64];

	(void)state;
	for (int i = 1; i <= 11; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		snprintf(text, sizeof(text), i == 11 ? "last" : "x%d @n%d", i, i + 1);
		write_text(name, text);
	}
	assert_int_equal(fits("host @n2 all all trust", "::1", "last", "u"), 1);
	assert_null(parse("host @n1 all all trust"));
	assert_int_equal(heard.errors, 1);
	assert_non_null(strstr(heard.all, "n10:1: \"/tmp"));
	assert_non_null(strstr(heard.all, "n11\": found more than 10 files one in the other\n"));
	write_text("c1", "include c2");
	write_text("c2", "\ninclude c1");
	assert_null(
	    parse("include c1\ninclude hba\ninclude gone\ninclude_dir gone\nhost @gone x\n"));
	assert_int_equal(heard.errors, 5);
	assert_non_null(strstr(heard.all, "c2:2: \"/tmp"));
	assert_non_null(strstr(heard.all, "/c1\": the file includes itself\n"));
	assert_non_null(strstr(heard.all, "hba:2: \"/tmp"));
	assert_non_null(strstr(heard.all, "hba:3: cannot read \"/tmp"));
	assert_non_null(strstr(heard.all, "hba:4: cannot read the folder \"/tmp"));
	assert_non_null(strstr(heard.all, "hba:5: cannot read \"/tmp"));
	assert_non_null(strstr(heard.all, "No such file or directory\n"));
	memset(&heard, 0, sizeof(heard));
	assert_null(hba_load(path_of("gone"), hear, &heard));
	assert_non_null(strstr(heard.all, "gone:0: cannot read"));
	assert_null(hba_load(path_of("gone"), NULL, NULL));
}

/* goal: many files that include each other often end at a bound, told once */
static void
test_bomb(void **state)
{
	char name[16], text[256];

	(void)state;
	for (int i = 1; i <= 8; i++) {
		snprintf(name, sizeof(name), "b%d", i);
		for (int k = 0; k < 10; k++)
			snprintf(text + k * 11, sizeof(text) - 110, "include b%d\n", i + 1);
		write_text(name, i == 8 ? "" : text);
	}
	assert_null(parse("include b1\n"));
	assert_non_null(strstr(heard.all, "found more than 1000 included files\n"));
	assert_int_equal(heard.errors, 1);
}

/* ---- faults ---- */

#define METHODS                                                                                    \
	"trust, reject, md5, password, plain, scram-sha-256, cert, peer, ident, ldap, pam, jwt or iam"
#define LDAP                                                                                           \
	"ldapurl, ldapserver, ldapport, ldapscheme, ldaptls, ldapbinddn, ldapbindpasswd, ldapbasedn, " \
	"ldapsearchattribute, ldapsearchfilter, ldapscope, ldapprefix, ldapsuffix or ldapcafile"
#define ADDRESS                                                                                    \
	", expected ADDRESS/BITS, ADDRESS MASK, all, samehost, samenet, a host name or a .suffix"
#define CONNS                                                                                        \
	", expected local, host, hostssl, hostnossl, hostnogssenc (GSSAPI is not served), include, " \
	"include_if_exists or include_dir"

static const struct {
	const char *text, *want;
} faults[] = {
	{ "hots all all all trust", "found \"hots\"" CONNS "; did you mean host?" },
	{ "hostgssenc all all all gss",
	    "found \"hostgssenc\"" CONNS "; did you mean hostnogssenc?" },
	{ "%include x", "found \"%include\"" CONNS },
	{ "host,local all all all trust", "found 2 values for the connection type, expected one" },
	{ "host", "found the end of the line, expected a database list" },
	{ "host all", "found the end of the line, expected a user list" },
	{ "local all all", "found the end of the line, expected a method: " METHODS },
	{ "host all all", "found the end of the line, expected an address" },
	{ "host all all all", "found the end of the line, expected a method: " METHODS },
	{ "host all all a,b trust", "found 2 values for the address, expected one" },
	{ "host \"\" all all trust", "found \"\" in the database list, expected a name" },
	{ "host all a,\"\" all trust", "found \"\" in the user list, expected a name" },
	{ "host all + all trust", "found \"+\" in the user list, expected a name" },
	{ "host all \"a all trust", "found an open quote, expected its end on the same line" },
	{ "host / all all trust", "regular expression \"/\": found nothing behind the slash" },
	{ "host all /a\\1 all trust",
	    "regular expression \"/a\\x5c1\": found \\1, which is not served" },
	{ "host all /a\\ all trust",
	    "regular expression \"/a\\x5c\": found \\, expected a character behind it" },
	{ "host /(?:a) all all trust",
	    "regular expression \"/(?:a)\": found (?, which is not served" },
	{ "host /(a all all trust", "regular expression \"/(a\": found (, expected a ) behind it" },
	{ "host /a) all all trust", "regular expression \"/a)\": found ), expected a ( before it" },
	{ "host /[a all all trust", "regular expression \"/[a\": found [, expected a ] behind it" },
	{ "host /[[.a.]] all all trust",
	    "regular expression \"/[[.a.]]\": found [., expected a class like [:alpha:]" },
	{ "host /[\\n] all all trust",
	    "regular expression \"/[\\x5cn]\": found \\n, which is not served in brackets" },
	{ "host /[[:no:]] all all trust",
	    "regular expression \"/[[:no:]]\": Invalid character class name" },
	{ "host /a*? all all trust",
	    "regular expression \"/a*?\": found ?, behind another quantifier, which is not served" },
	{ "host /a(b?|c)+ all all trust",
	    "regular expression \"/a(b?|c)+\": found +, behind what may match nothing, which is not "
	    "served" },
	{ "host /(a|){2} all all trust",
	    "regular expression \"/(a|){2}\": found {, behind what may match nothing, which is not "
	    "served" },
	{ "host \"/(a?){0,}\" all all trust",
	    "regular expression \"/(a?){0,}\": found {, behind what may match nothing, which is not "
	    "served" },
	{ "host /(|a)* all all trust",
	    "regular expression \"/(|a)*\": found *, behind what may match nothing, which is not "
	    "served" },
	{ "host /^* all all trust",
	    "regular expression \"/^*\": found *, expected something to repeat before it" },
	{ "host /a{3 all all trust",
	    "regular expression \"/a{3\": found {, expected a count like {1,255} behind it" },
	{ "host /a{256} all all trust",
	    "regular expression \"/a{256}\": found {, expected a count like {1,255} behind it" },
	{ "host \"/a{2,1}\" all all trust",
	    "regular expression \"/a{2,1}\": found {, expected a count like {1,255} behind it" },
	{ "host /(a{100}){100} all all trust",
	    "regular expression \"/(a{100}){100}\": found counts that multiply to more than 2000 "
	    "characters, expected a simpler one" },
	{ "host /((((((((((((((((( all all trust",
	    "regular expression \"/(((((((((((((((((\": found (, inside 16 others, which is not served" },
	{ "host all all 10.0.0.0/33 trust",
	    "found \"10.0.0.0/33\", expected a number from 0 to 32 behind the slash" },
	{ "host all all 10.0.0.0/ trust",
	    "found \"10.0.0.0/\", expected a number from 0 to 32 behind the slash" },
	{ "host all all ::/1x trust",
	    "found \"::/1x\", expected a number from 0 to 128 behind the slash" },
	{ "host all all ::/99999999999 trust",
	    "found \"::/99999999999\", expected a number from 0 to 128 behind the slash" },
	{ "host all all a.example/24 trust",
	    "found \"a.example/24\", expected an IP address before the slash (a name takes no mask)" },
	{ "host all all 10.0.0.1 trust",
	    "found \"trust\" behind the address \"10.0.0.1\", expected its mask (or write ADDRESS/BITS)" },
	{ "host all all 10.0.0.1",
	    "found the end of the line behind the address \"10.0.0.1\", expected its mask (or write "
	    "ADDRESS/BITS)" },
	{ "host all all 10.0.0.1 ffff:: trust",
	    "found the mask \"ffff::\", expected an IPv4 one as the address \"10.0.0.1\" is" },
	{ "host all all ::1 255.0.0.0 trust",
	    "found the mask \"255.0.0.0\", expected an IPv6 one as the address \"::1\" is" },
	{ "host all all 10.0.0 trust", "found the address \"10.0.0\"" ADDRESS },
	{ "host all all fe80::1%eth0 trust", "found the address \"fe80::1%eth0\"" ADDRESS },
	{ "host all all . trust", "found the address \".\"" ADDRESS },
	{ "host all all \"\" trust", "found the address \"\"" ADDRESS },
	{ "host all all all trust,md5", "found 2 values for the method, expected one" },
	{ "host all all all scram-sha256", "found the method \"scram-sha256\", expected " METHODS
					   "; did you mean scram-sha-256?" },
	{ "host all all all gss",
	    "found the method \"gss\", which is not served, expected " METHODS },
	{ "host all all all xxxxxxxxxxxxx",
	    "found the method \"xxxxxxxxxxxxx\", expected " METHODS },
	{ "host all all all peer", "peer: expected on local lines only" },
	{ "host all all all ident",
	    "ident: expected on local lines only (ident servers are not asked)" },
	{ "host all all all cert", "cert: expected on hostssl lines only" },
	{ "hostnossl all all all jwt",
	    "jwt: found on a hostnossl line, expected where there is TLS" },
	{ "host all all all md5 map", "found \"map\" behind the method md5, expected name=value" },
	{ "host all all all md5 map=x",
	    "map: found with the method md5, expected with cert, peer, ident or jwt" },
	{ "local all all peer map=", "map: found no name, expected the name of a map" },
	{ "local all all peer map=a map=b", "map: found twice, expected once" },
	{ "local all all peer mappe=a", "found the option \"mappe\", expected map" },
	{ "host all all all md5 x=1", "found the option \"x\", expected none with this method" },
	{ "hostssl all all all md5 x=1",
	    "found the option \"x\", expected clientcert or clientname" },
	{ "hostssl all all all cert x=1",
	    "found the option \"x\", expected map, clientcert or clientname" },
	{ "host all all all pam x=1",
	    "found the option \"x\", expected pamservice or pam_use_hostname" },
	{ "hostssl all all all pam x=1",
	    "found the option \"x\", expected pamservice, pam_use_hostname, clientcert or clientname" },
	{ "host all all all ldap x=1", "found the option \"x\", expected " LDAP },
	{ "host all all all ldap", "ldap: found no options, expected " LDAP },
	{ "host all all all md5 clientcert=verify-ca",
	    "clientcert: expected on hostssl lines only" },
	{ "hostssl all all all md5 clientcert=1",
	    "clientcert: found \"1\", expected verify-ca or verify-full" },
	{ "hostssl all all all cert clientcert=verify-ca",
	    "clientcert: found verify-ca with the method cert, expected verify-full" },
	{ "hostssl all all all cert clientname=DN",
	    "clientname: found \"DN\", expected CN (DN is not served)" },
	{ "host all all all pam pamservice=../x",
	    "pamservice: found \"../x\", expected the name of a service" },
	{ "host all all all pam pam_use_hostname=y",
	    "pam_use_hostname: found \"y\", expected 0 or 1" },
	{ "host all all all md5 pamservice=x",
	    "pamservice: found with the method md5, expected with pam" },
	{ "host all all all md5 ldaptls=1",
	    "ldaptls: found with the method md5, expected with ldap" },
	{ "include", "include: expected one file name behind it" },
	{ "include_dir a,b", "include_dir: expected one file name behind it" },
	{ "include_if_exists \"\"", "include_if_exists: expected one file name behind it" },
};

/* goal: every fault is told with its file, its line, what was found and what is expected */
static void
test_faults(void **state)
{
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		snprintf(text, sizeof(text), "host all all all trust\n%s\n", faults[i].text);
		assert_null(parse(text));
		assert_string_equal(heard.text, faults[i].want);
		assert_string_equal(heard.file, "hba");
		assert_int_equal(heard.line, 2);
		assert_int_equal(heard.errors, 1);
	}
	memset(&heard, 0, sizeof(heard));
	assert_null(hba_load(write_file("nul", "host a\0b all all trust\n", 23), hear, &heard));
	assert_string_equal(heard.all, "nul:1: found a NUL byte in the line, expected text\n");
}

/* goal: one load tells all faults of a file, those of one line too */
static void
test_all_faults(void **state)
{
	(void)state;
	assert_null(parse("host /( /) 1.2.3.4/5/6 trust\n\nlocal all all\nhost all all all trust\n"
			  "host a /( all pam x=1 pamservice=/ map=y\nhost \\\n b"));
	assert_int_equal(heard.errors, 9);
	assert_non_null(strstr(heard.all, "hba:1: regular expression \"/(\""));
	assert_non_null(strstr(heard.all, "hba:1: regular expression \"/)\""));
	assert_non_null(strstr(heard.all, "hba:1: found \"1.2.3.4/5/6\""));
	assert_non_null(strstr(heard.all, "hba:3: found the end of the line"));
	assert_non_null(strstr(heard.all, "hba:5: pamservice:"));
	assert_non_null(strstr(heard.all, "hba:5: map: found with the method pam"));
	assert_non_null(strstr(heard.all, "hba:6: found the end of the line"));
	assert_null(parse(
	    "host all nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn all\n"));
	assert_int_equal(heard.warnings, 1);
	assert_non_null(strstr(heard.text, "in the user list, which has more than 63 bytes"));
}

/* goal: no part of a bind password is told, however it was mistyped */
static void
test_no_secret(void **state)
{
	static const char *const rows[] = {
		"host all all all ldap ldapserver=x ldapbindpasswd=Geheim Geheim",
		"host all all all ldap ldapserver=x ldapbindpasswd=Geheim,Geheim=x",
		"host all all all ldap ldapserver=x ldapbindpaswd=Geheim Geheim",
		"host all all all ldap ldapserver=x ldapbindpasswd=\"Geheim",
		"host all all all ldap ldapserver=x ldapbindpasswd=Geheim ldapbindpasswd=Geheim",
		"host all all all md5 ldapbindpasswd=Geheim",
		"host all all all ldap ldapbindpasswd=Geheim",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_null(parse(rows[i]));
		assert_true(heard.errors > 0);
		assert_null(strstr(heard.all, "Geheim"));
	}
}

/* goal: LDAP options that do not go together are refused where they stand */
static void
test_ldap_faults(void **state)
{
	(void)state;
	assert_null(parse("\nhost all all all ldap ldapserver=x ldapprefix=a ldapbasedn=b\n"));
	assert_int_equal(heard.errors, 1);
	assert_int_equal(heard.line, 2);
	assert_memory_equal(heard.text, "ldap: ", 6);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_includes),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_all_faults),
		cmocka_unit_test(test_no_secret),
		cmocka_unit_test(test_ldap_faults),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
