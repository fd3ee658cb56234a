#include "auth/login_ldap.h"
#include "auth/login_ldap_options.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SLAPD	"/usr/sbin/slapd"
#define SLAPADD "/usr/sbin/slapadd"

/* A real slapd in a folder of its own. */
static char dir[] = "/tmp/login_ldap_test.XXXXXX";
static int port, tls_port;
static pid_t slapd;

static const char ldif[] =
    "dn: dc=example,dc=net\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: x\n\n"
    "dn: uid=alice,dc=example,dc=net\nobjectClass: inetOrgPerson\nuid: alice\ncn: A\nsn: A\n"
    "mail: team@example.net\nuserPassword: wonder land\n\n"
    "dn: uid=bob,dc=example,dc=net\nobjectClass: inetOrgPerson\nuid: bob\ncn: B\nsn: B\n"
    "mail: team@example.net\nuserPassword: builder\n\n"
    "dn: uid=o\\2Cmalley \\2B co,dc=example,dc=net\nobjectClass: inetOrgPerson\n"
    "uid: o,malley + co\ncn: O\nsn: O\nuserPassword: odd (name)\n\n"
    "dn: uid=nopw,dc=example,dc=net\nobjectClass: inetOrgPerson\nuid: nopw\ncn: N\nsn: N\n\n"
    "dn: ou=deep,dc=example,dc=net\nobjectClass: organizationalUnit\nou: deep\n\n"
    "dn: uid=carol,ou=deep,dc=example,dc=net\nobjectClass: inetOrgPerson\nuid: carol\ncn: C\n"
    "sn: C\nuserPassword: carols\n";

/* ---- the server ---- */

static void
write_file(const char *name, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
listening_socket(int *at)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*at = ntohs(sa.sin_port);
	return fd;
}

static int
free_port(void)
{
	int at, fd = listening_socket(&at);

	close(fd);
	return at;
}

static bool
answers(int at)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)at),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0;

	close(fd);
	return yes;
}

static void
make_files(void)
{
	char conf[PATH_MAX * 3], cmd[PATH_MAX * 4];

	snprintf(conf, sizeof(conf),
	    "include /etc/ldap/schema/core.schema\n"
	    "include /etc/ldap/schema/cosine.schema\n"
	    "include /etc/ldap/schema/inetorgperson.schema\n"
	    "modulepath /usr/lib/ldap\nmoduleload back_mdb\n"
	    "pidfile %1$s/pid\n"
	    "TLSCertificateFile %1$s/cert.pem\nTLSCertificateKeyFile %1$s/key.pem\n"
	    "database mdb\nsuffix dc=example,dc=net\nrootdn cn=root,dc=example,dc=net\n"
	    "rootpw rootpw\ndirectory %1$s/db\n"
	    "access to attrs=userPassword by * auth\n"
	    "access to * by * read\n",
	    dir);
	write_file("slapd.conf", conf);
	write_file("data.ldif", ldif);
	snprintf(cmd, sizeof(cmd),
	    "mkdir %1$s/db && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other "
	    "-addext subjectAltName=IP:127.0.0.1 -keyout %1$s/key.pem -out %1$s/cert.pem "
	    ">/dev/null 2>&1 && " SLAPADD " -f %1$s/slapd.conf -l %1$s/data.ldif",
	    dir);
	assert_int_equal(system(cmd), 0);
}

static int
set_up(void **state)
{
	char conf[PATH_MAX], urls[128];

	(void)state;
	if (access(SLAPD, X_OK) == -1)
		return 0;
	assert_non_null(mkdtemp(dir));
	make_files();
	port = free_port();
	tls_port = free_port();
	snprintf(conf, sizeof(conf), "%s/slapd.conf", dir);
	snprintf(urls, sizeof(urls), "ldap://127.0.0.1:%d ldaps://127.0.0.1:%d", port, tls_port);
	slapd = fork();
	assert_int_not_equal(slapd, -1);
	if (slapd == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM); /* a test that crashes leaves no server behind */
		execl(SLAPD, SLAPD, "-h", urls, "-f", conf, "-d", "0", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 200 && !answers(tls_port); i++)
		usleep(50 * 1000);
	assert_true(answers(port) && answers(tls_port));
	return 0;
}

static int
tear_down(void **state)
{
	char cmd[PATH_MAX];

	(void)state;
	if (slapd == 0)
		return 0;
	kill(slapd, SIGTERM);
	waitpid(slapd, NULL, 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* ---- asking ---- */

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static enum login_result
ask_within(uint64_t ms, const char *user, const char *password, const char *options)
{
	char err[128] = "", why[LOGIN_WHY_MAX] = "";
	struct login_ldap_options *o = login_ldap_options_parse(options, err, sizeof(err));
	struct login_attempt attempt = { .user = user,
		.password = password,
		.password_len = strlen(password),
		.peer = "",
		.deadline_ms = now_ms() + ms };
	enum login_result r;

	if (o == NULL)
		fail_msg("%s: %s", options, err);
	r = login_ldap.check(o, &attempt, why, sizeof(why));
	if (r != LOGIN_OK)
		print_message("%s\n", why);
	assert_true(r == LOGIN_OK || why[0] != '\0');
	login_ldap.unref(o);
	return r;
}

/* %d in the options is the port. */
static enum login_result
ask(const char *user, const char *password, const char *options)
{
	char text[2048];
	const char *at = strstr(options, "%d");

	assert_non_null(at);
	snprintf(text, sizeof(text), "%.*s%d%s", (int)(at - options), options, port, at + 2);
	return ask_within(5000, user, password, text);
}

static void
need_slapd(void)
{
	if (slapd == 0)
		skip();
}

#define SIMPLE "ldapserver=127.0.0.1 ldapport=%d ldapprefix=uid= ldapsuffix=,dc=example,dc=net"
#define SEARCH "ldapserver=127.0.0.1 ldapport=%d ldapbasedn=dc=example,dc=net"
#define READER " ldapbinddn=cn=root,dc=example,dc=net ldapbindpasswd=rootpw"

/* goal: simple bind: the right password alone lets in, and an empty one never does */
static void
test_simple(void **state)
{
	(void)state;
	need_slapd();
	assert_int_equal(ask("alice", "wonder land", SIMPLE), LOGIN_OK);
	assert_int_equal(ask("alice", "builder", SIMPLE), LOGIN_REFUSED);
	assert_int_equal(ask("alice", "", SIMPLE), LOGIN_REFUSED);
	assert_int_equal(ask("nopw", "x", SIMPLE), LOGIN_REFUSED);
	assert_int_equal(ask("nobody", "x", SIMPLE), LOGIN_REFUSED);
	assert_int_equal(ask("", "x", SIMPLE), LOGIN_REFUSED);
}

/* goal: a name with DN characters is that name, and cannot move to another branch */
static void
test_simple_names(void **state)
{
	(void)state;
	need_slapd();
	assert_int_equal(ask("o,malley + co", "odd (name)", SIMPLE), LOGIN_OK);
	assert_int_equal(ask("carol,ou=deep", "carols", SIMPLE), LOGIN_REFUSED);
	assert_int_equal(ask("alice,dc=example,dc=net", "wonder land",
			     "ldapserver=127.0.0.1 ldapport=%d ldapprefix=uid="),
	    LOGIN_REFUSED);
}

/* goal: search and bind: anonymous or as a reader, by uid, another attribute, or a filter */
static void
test_search(void **state)
{
	(void)state;
	need_slapd();
	assert_int_equal(ask("carol", "carols", SEARCH), LOGIN_OK);
	assert_int_equal(ask("carol", "carols", SEARCH READER), LOGIN_OK);
	assert_int_equal(ask("carol", "wrong", SEARCH READER), LOGIN_REFUSED);
	assert_int_equal(ask("carol", "", SEARCH READER), LOGIN_REFUSED);
	assert_int_equal(ask("nopw", "rootpw", SEARCH READER), LOGIN_REFUSED);
	assert_int_equal(ask("o,malley + co", "odd (name)", SEARCH), LOGIN_OK);
	assert_int_equal(ask("B", "builder", SEARCH " ldapsearchattribute=cn"), LOGIN_OK);
	assert_int_equal(ask("bob", "builder",
			     SEARCH
			     " ldapsearchfilter=\"(&(objectClass=inetOrgPerson)(uid=$username))\""),
	    LOGIN_OK);
	assert_int_equal(ask("carol", "carols", SEARCH " ldapscope=one"), LOGIN_REFUSED);
	assert_int_equal(ask("bob", "builder", SEARCH " ldapscope=one"), LOGIN_OK);
	assert_int_equal(
	    ask("bob", "builder", "ldapurl=ldap://127.0.0.1:%d/dc=example,dc=net?uid?sub"),
	    LOGIN_OK);
}

/* goal: no name widens the search, and more or less than one entry lets nobody in */
static void
test_search_exactly_one(void **state)
{
	(void)state;
	need_slapd();
	assert_int_equal(ask("team@example.net", "builder", SEARCH " ldapsearchattribute=mail"),
	    LOGIN_REFUSED);
	assert_int_equal(ask("*", "builder", SEARCH), LOGIN_REFUSED);
	assert_int_equal(ask("b*", "builder", SEARCH), LOGIN_REFUSED);
	assert_int_equal(ask("x)(uid=bob", "builder", SEARCH), LOGIN_REFUSED);
	assert_int_equal(
	    ask("bob)(objectClass=*", "builder", SEARCH " ldapsearchfilter=\"(uid=$username)\""),
	    LOGIN_REFUSED);
	assert_int_equal(ask("nobody", "x", SEARCH), LOGIN_REFUSED);
}

/* goal: wrong settings are told apart from wrong passwords */
static void
test_settings(void **state)
{
	(void)state;
	need_slapd();
	assert_int_equal(
	    ask("bob", "builder", SEARCH " ldapbinddn=cn=root,dc=example,dc=net ldapbindpasswd=no"),
	    LOGIN_UNAVAILABLE);
	assert_int_equal(
	    ask("bob", "builder", "ldapserver=127.0.0.1 ldapport=%d ldapbasedn=dc=nowhere"),
	    LOGIN_UNAVAILABLE);
	assert_int_equal(ask("bob", "builder", SEARCH " ldapsearchfilter=\"(uid=$username\""),
	    LOGIN_UNAVAILABLE);
}

/* goal: StartTLS and ldaps work with the right CA, and only with it */
static void
test_tls(void **state)
{
	char ca[PATH_MAX], text[PATH_MAX * 2];

	(void)state;
	need_slapd();
	snprintf(ca, sizeof(ca), " ldapcafile=%s/cert.pem", dir);
	snprintf(text, sizeof(text), "%s ldaptls=1%s", SIMPLE, ca);
	assert_int_equal(ask("bob", "builder", text), LOGIN_OK);
	assert_int_equal(ask("bob", "wrong", text), LOGIN_REFUSED);
	assert_int_equal(ask("bob", "builder", SIMPLE " ldaptls=1"), LOGIN_UNAVAILABLE);
	assert_int_equal(ask("bob", "builder", SIMPLE " ldaptls=1 ldapcafile=/nonexistent"),
	    LOGIN_UNAVAILABLE);
	snprintf(text, sizeof(text), "ldapurl=ldaps://127.0.0.1:%d/dc=example,dc=net??sub",
	    tls_port);
	assert_int_equal(ask_within(5000, "bob", "builder", text), LOGIN_UNAVAILABLE);
	snprintf(text, sizeof(text), "ldapurl=ldaps://127.0.0.1:%d/dc=example,dc=net??sub%s",
	    tls_port, ca);
	assert_int_equal(ask_within(5000, "bob", "builder", text), LOGIN_OK);
	/* another name than the certificate's */
	snprintf(text, sizeof(text), "ldapurl=ldaps://localhost:%d/dc=example,dc=net??sub%s",
	    tls_port, ca);
	assert_int_equal(ask_within(5000, "bob", "builder", text), LOGIN_UNAVAILABLE);
}

/* goal: servers are tried in order past those that are down or hang; the first answer counts */
static void
test_several(void **state)
{
	int hung_port, fd = listening_socket(&hung_port);
	char text[512];

	(void)state;
	need_slapd();
	snprintf(text, sizeof(text),
	    "ldapserver=\"127.0.0.1:%d 127.0.0.1:%d\" ldapprefix=uid= ldapsuffix=,dc=example,dc=net",
	    free_port(), port);
	assert_int_equal(ask_within(5000, "bob", "builder", text), LOGIN_OK);
	assert_int_equal(ask_within(5000, "bob", "wrong", text), LOGIN_REFUSED);
	snprintf(text, sizeof(text),
	    "ldapserver=\"127.0.0.1:%d 127.0.0.1:%d\" ldapprefix=uid= ldapsuffix=,dc=example,dc=net",
	    hung_port, port);
	assert_int_equal(ask_within(1000, "bob", "builder", text), LOGIN_OK);
	close(fd);
}

/* goal: a server that accepts and says nothing costs the time limit and no more, with and without
 * TLS, and a server that is not there costs nothing */
static void
test_hung(void **state)
{
	static const char *const more[] = { "", " ldaptls=1", " ldapscheme=ldaps" };
	int hung_port, fd = listening_socket(&hung_port);
	char text[512];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		uint64_t start = now_ms(), took;

		snprintf(text, sizeof(text), "ldapserver=127.0.0.1:%d ldapprefix=uid=%s", hung_port,
		    more[i]);
		assert_int_equal(ask_within(500, "bob", "builder", text), LOGIN_UNAVAILABLE);
		took = now_ms() - start;
		if (took < 400 || took > 1500)
			fail_msg("%s took %u ms", text, (unsigned)took);
	}
	close(fd);
	snprintf(text, sizeof(text), "ldapserver=127.0.0.1:%d ldapprefix=uid=", free_port());
	assert_int_equal(ask_within(5000, "bob", "builder", text), LOGIN_UNAVAILABLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_simple),
		cmocka_unit_test(test_simple_names),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_search_exactly_one),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_hung),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
