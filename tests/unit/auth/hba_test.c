#include "auth/hba.h"

#include "auth/inet_range.h"
#include "auth/interfaces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/auth/hba_query_fixture.h"

/* ---- lines ---- */

/* goal: lists, quotes, keywords, comments and continued lines mean what they mean to PostgreSQL */
static void
test_names(void **state)
{
	struct hba *h = good("local all postgres peer # comment\n"
			     "\n"
			     "host db1, \"d b\",db2 bob,al,\"q\"\"x\" 10.0.0.0/8 md5\r\n"
			     "host \"all\" \"+r\" all trust\n"
			     "host sameuser all 10.0.0.0/8 scram-sha-256\n"
			     "host cont\\\n"
			     "inued all\\\r\n"
			     " all tru\\\n"
			     "st # and \\\n"
			     " still a comment\n"
			     "host\ta\"b c\"d e all trust\n"
			     "  # \"open\n"
			     "host \"replication\" r all trust\n"
			     "host last all all reject#no newline, \\");

	(void)state;
	assert_int_equal(hba_count(h), 8);
	assert_int_equal(where(h, "local", "x", "postgres"), 1);
	assert_int_equal(where(h, "local", "x", "postgre"), 0);
	assert_int_equal(where(h, "10.1.2.3", "x", "postgres"), 0);
	assert_int_equal(where(h, "10.1.2.3", "d b", "q\"x"), 3);
	assert_int_equal(where(h, "10.1.2.3", "db1", "al"), 3);
	assert_int_equal(where(h, "10.1.2.3", "db2", "bob"), 3);
	assert_int_equal(where(h, "11.1.2.3", "db2", "bob"), 0);
	assert_int_equal(where(h, "1.1.1.1", "all", "+r"), 4);
	assert_int_equal(where(h, "1.1.1.1", "x", "+r"), 0);
	assert_int_equal(where(h, "10.1.1.1", "me", "me"), 5);
	assert_int_equal(where(h, "10.1.1.1", "Me", "me"), 0);
	assert_int_equal(where(h, "::1", "continued", "x"), 6);
	assert_int_equal(where(h, "::1", "ab cd", "e"), 11);
	assert_int_equal(where(h, "::1", "replication", "r"), 13);
	assert_int_equal(where(h, "::1", "last", "r"), 14);
	assert_int_equal(hba_line_at(h, 7)->method, HBA_REJECT);
	assert_null(hba_line_at(h, 8));
	assert_ptr_equal(hba_ref(h), h);
	hba_unref(h);
	hba_unref(h);
	hba_unref(NULL);
	h = good("");
	assert_int_equal(where(h, "local", "a", "b"), 0);
	hba_unref(h);
}

/* goal: replication needs its word, and a logical one is like any database */
static void
test_replication(void **state)
{
	struct hba *h = good("host all,\"replication\",/repl all all trust\n"
			     "host a,replication r 10.0.0.0/8 md5\n");
	struct hba_query q = from("10.0.0.1", "", "r");

	(void)state;
	assert_int_equal(ask(h, &q), 1);
	q.replication = true;
	assert_int_equal(ask(h, &q), 2);
	q.user = "s";
	assert_int_equal(ask(h, &q), 0);
	hba_unref(h);
	assert_int_equal(fits("host replication all all trust", "::1", "replication", "u"), 0);
}

/* goal: a line stands for its kinds of connection only */
static void
test_connections(void **state)
{
	struct hba *h = good(
	    "local l all trust\nhostssl s,b all all trust\nhostnossl n,b all all trust\n"
	    "host h all all trust\nhostnogssenc g all all trust\n");
	static const struct {
		const char *database;
		int local, plain, tls;
	} rows[] = { { "l", 1, 0, 0 }, { "s", 0, 0, 2 }, { "n", 0, 3, 0 }, { "b", 0, 3, 2 },
		{ "h", 0, 4, 4 }, { "g", 0, 5, 5 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct hba_query q = from("127.0.0.1", rows[i].database, "u");

		assert_int_equal(ask(h, &q), rows[i].plain);
		q.tls = true;
		assert_int_equal(ask(h, &q), rows[i].tls);
		q.is_local = true;
		assert_int_equal(ask(h, &q), rows[i].local);
	}
	hba_unref(h);
}

/* ---- addresses ---- */

/* goal: an address is in a range exactly when its leading bits are, IPv4 and IPv6 apart */
static void
test_ranges(void **state)
{
	static const struct {
		const char *range, *in, *out;
	} rows[] = {
		{ "10.1.2.3/32", "10.1.2.3", "10.1.2.2" },
		{ "10.1.2.2/31", "10.1.2.3", "10.1.2.4" },
		{ "10.128.0.0/9", "10.255.0.1", "10.127.255.255" },
		{ "0.0.0.0/0", "255.255.255.255", "::1" },
		{ "::/0", "ff02::1", "1.2.3.4" },
		{ "::1/128", "::1", "::2" },
		{ "2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::" },
		{ "10.1.0.0 255.255.0.0", "10.1.255.3", "10.2.0.0" },
		{ "fe80:: ffc0::", "fe80::1:2", "fec0::1" },
		{ "10.1.2.0/24", "::ffff:10.1.2.9", "::ffff:10.1.3.9" },
		{ "\"10.1.2.0\"/24", "10.1.2.3", "10.1.3.0" },
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "host all all %s trust\n", rows[i].range);
		assert_int_equal(fits(text, rows[i].in, "d", "u"), 1);
		assert_int_equal(heard.warnings, 0);
		assert_int_equal(fits(text, rows[i].out, "d", "u"), 0);
	}
	assert_int_equal(fits("host all all 10.1.2.3/24 trust", "10.1.2.4", "d", "u"), 1);
	assert_string_equal(heard.all,
	    "hba:1: found the address \"10.1.2.3/24\", which has bits set that "
	    "its mask hides; they do not count\n");
}

/* goal: samehost and samenet go by the interfaces given, and ask for them when they matter */
static void
test_interfaces(void **state)
{
	struct hba *h = good("host a all samehost trust\nhost b all samenet trust\n");
	struct inet_range nets[2] = { { .mask = inet_addr_mask(4, 24) },
		{ .mask = inet_addr_mask(16, 64) } };
	struct hba_query q = from("192.168.7.5", "a", "u");
	struct interfaces *own;

	(void)state;
	assert_true(inet_addr_parse(&nets[0].base, "192.168.7.4"));
	assert_true(inet_addr_parse(&nets[1].base, "2001:db8::4"));
	assert_int_equal(ask(h, &q), -HBA_NEEDS_INTERFACES);
	q.database = "c";
	assert_int_equal(ask(h, &q), 0);
	own = interfaces_of(nets, 2);
	assert_non_null(own);
	q.interfaces = own;
	q.database = "a";
	assert_int_equal(ask(h, &q), 0);
	q.database = "b";
	assert_int_equal(ask(h, &q), 2);
	q.peer = address("192.168.7.4");
	assert_int_equal(ask(h, &q), 2);
	q.database = "a";
	assert_int_equal(ask(h, &q), 1);
	q.peer = address("2001:db8::4");
	assert_int_equal(ask(h, &q), 1);
	q.peer = address("2001:db8::5");
	assert_int_equal(ask(h, &q), 0);
	q.database = "b";
	assert_int_equal(ask(h, &q), 2);
	q.peer = address("192.168.8.4");
	assert_int_equal(ask(h, &q), 0);
	interfaces_free(own);
	interfaces_free(NULL);

	own = interfaces_new();
	assert_non_null(own);
	assert_true(interfaces_count(own) > 0);
	q.interfaces = own;
	q.peer = address("127.0.0.1");
	q.database = "a";
	assert_int_equal(ask(h, &q), 1);
	q.peer = address("127.0.0.2");
	assert_int_equal(ask(h, &q), 0);
	q.database = "b";
	assert_int_equal(ask(h, &q), 2);
	interfaces_free(own);
	hba_unref(h);
}

/* goal: a host name is asked for only when a line's other fields fit, and compared without case */
static void
test_dns(void **state)
{
	struct hba *h = good("host a u www.Example.com trust\nhost a u .example.org md5\n"
			     "host \"b\" u \"all\" md5\nhost c u 10.0.0.0/8 trust\n");
	struct hba_query q = from("1.2.3.4", "a", "u");
	static const struct {
		const char *name;
		int line;
	} rows[] = { { "www.example.COM", 1 }, { "example.com", 0 }, { "x.www.example.com", 0 },
		{ "a.Example.Org", 2 }, { "b.a.example.org", 2 }, { "example.org", 0 },
		{ ".example.org", 0 }, { "badexample.org", 0 }, { "", 0 } };

	(void)state;
	assert_int_equal(ask(h, &q), -HBA_NEEDS_DNS);
	q.user = "v";
	assert_int_equal(ask(h, &q), 0);
	q.database = "c";
	q.user = "u";
	assert_int_equal(ask(h, &q), 0);
	q.database = "a";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		q.dns_name = rows[i].name;
		assert_int_equal(ask(h, &q), rows[i].line);
	}
	q.database = "b";
	q.dns_name = "all";
	assert_int_equal(ask(h, &q), 3);
	hba_unref(h);
}

/* ---- roles ---- */

struct membership {
	const char *role;
	int asked;
};

static bool
is_member(void *arg, const char *role)
{
	struct membership *m = arg;

	m->asked++;
	return strcmp(role, m->role) == 0;
}

/* goal: +role and samerole ask for the membership only when the outcome depends on it, after DNS */
static void
test_membership(void **state)
{
	struct hba *h = good("host a +staff,bob 10.0.0.0/8 trust\n"
			     "host samerole all 10.0.0.0/8 md5\n"
			     "host a2 +staff web.example.com md5\n"
			     "host all all 11.0.0.0/8 reject\n"
			     "host samegroup,x all 12.0.0.0/8 md5\n");
	struct membership m = { "staff", 0 };
	struct hba_query q = from("10.0.0.1", "a", "al");

	(void)state;
	assert_int_equal(ask(h, &q), -HBA_NEEDS_MEMBERSHIP);
	q.user = "bob";
	assert_int_equal(ask(h, &q), 1);
	q.user = "staff";
	assert_int_equal(ask(h, &q), 1);
	q.user = "al";
	q.peer = address("11.0.0.1");
	assert_int_equal(ask(h, &q), 4);
	q.peer = address("12.0.0.1");
	q.database = "x";
	assert_int_equal(ask(h, &q), 5);
	q.database = "a2";
	assert_int_equal(ask(h, &q), -HBA_NEEDS_DNS);
	q.dns_name = "web.example.com";
	assert_int_equal(ask(h, &q), -HBA_NEEDS_MEMBERSHIP);
	q.member = is_member;
	q.arg = &m;
	assert_int_equal(ask(h, &q), 3);
	assert_int_equal(m.asked, 1);
	q.peer = address("10.0.0.1");
	q.database = "staff";
	assert_int_equal(ask(h, &q), 2);
	q.database = "a";
	assert_int_equal(ask(h, &q), 1);
	m.role = "nobody";
	assert_int_equal(ask(h, &q), 0);
	hba_unref(h);
}

/* goal: regular expressions match as PostgreSQL's do, as far as they are served */
static void
test_regex(void **state)
{
	static const struct {
		const char *regex, *in, *out;
	} rows[] = {
		{ "/^db[0-9]+$", "db12", "xdb12" },
		{ "/b", "abc", "ac" },
		{ "\"/^db\\d{2,4}$\"", "db123", "db1" },
		{ "\"/^[\\d_,]{1,}$\"", "1_,2", "a" },
		{ "/^\\D\\w\\s$", "a_ ", "1_ " },
		{ "/^a\\.b\\<$", "a.b<", "axb<" },
		{ "/^(a|b(c|)){2}$", "abc", "ac" },
		{ "/^a{,}$", "a{,}", "a" },
		{ "/^[]a]$", "]", "b" },
		{ "/^[^]a]$", "b", "]" },
		{ "/^[[:digit:]\\\\]$", "\\", "d" },
		{ "/^x?y*z+$", "yyz", "xy" },
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "host %s all all trust\n", rows[i].regex);
		assert_int_equal(fits(text, "::1", rows[i].in, "u"), 1);
		assert_int_equal(fits(text, "::1", rows[i].out, "u"), 0);
		snprintf(text, sizeof(text), "host all x,%s all trust\n", rows[i].regex);
		assert_int_equal(fits(text, "::1", "d", rows[i].in), 1);
		assert_int_equal(fits(text, "::1", "d", rows[i].out), 0);
	}
}

/* ---- methods ---- */

/* goal: a line that wants a client certificate still decides when there is none */
static void
test_certificate(void **state)
{
	struct hba *h = good(
	    "hostssl all all all trust clientcert=verify-ca\nhost all all all trust\n");
	struct hba_query q = from("::1", "d", "u");
	char buf[HBA_MESSAGE_BYTES];

	(void)state;
	assert_int_equal(ask(h, &q), 2);
	q.tls = true;
	assert_int_equal(ask(h, &q), -HBA_NO_CERT);
	q.cert_verified = true;
	assert_int_equal(ask(h, &q), 1);
	assert_string_equal(hba_reject_message(buf, &q, HBA_NO_CERT),
	    "connection requires a valid client certificate");
	hba_unref(h);
}

/* goal: a client that is turned away reads what PostgreSQL would say */
static void
test_messages(void **state)
{
	struct hba_query q = from("::ffff:10.0.0.1", "shop", "web");
	char buf[HBA_MESSAGE_BYTES], name[700];

	(void)state;
	assert_string_equal(hba_reject_message(buf, &q, HBA_NO_MATCH),
	    "no pg_hba.conf entry for host \"10.0.0.1\", user \"web\", database \"shop\", no encryption");
	q.tls = true;
	assert_string_equal(hba_reject_message(buf, &q, HBA_MATCH),
	    "pg_hba.conf rejects connection for host \"10.0.0.1\", user \"web\", database \"shop\", "
	    "SSL encryption");
	q.replication = true;
	q.peer = address("2001:db8::1");
	assert_string_equal(hba_reject_message(buf, &q, HBA_MATCH),
	    "pg_hba.conf rejects replication connection for host \"2001:db8::1\", user \"web\", "
	    "SSL encryption");
	q.tls = false;
	q.is_local = true;
	assert_string_equal(hba_reject_message(buf, &q, HBA_NO_MATCH),
	    "no pg_hba.conf entry for replication connection from host \"[local]\", user \"web\", "
	    "no encryption");
	q.replication = false;
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	q.user = q.database = name;
	hba_reject_message(buf, &q, HBA_NO_MATCH);
	assert_non_null(strstr(buf, "\", no encryption"));
}

/* ---- size ---- */

/* goal: ten thousand lines are read, and each of them can decide */
static void
test_large(void **state)
{
	enum { LINES = 10000 };
	char *text = malloc(LINES * 80), database[16];
	struct hba_query q;
	struct hba *h;
	size_t n = 0;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < LINES; i++)
		n += (size_t)snprintf(text + n, 80, "host db%d user%d,+role%d 10.0.0.0/8 md5\n", i,
		    i, i);
	h = good(text);
	free(text);
	assert_int_equal(hba_count(h), LINES);
	for (int i = 0; i < LINES; i += 7) {
		snprintf(database, sizeof(database), "db%d", i);
		q = from("10.1.2.3", database, database);
		assert_int_equal(ask(h, &q), -HBA_NEEDS_MEMBERSHIP);
	}
	assert_int_equal(where(h, "10.1.2.3", "db9999", "user9999"), LINES);
	assert_int_equal(where(h, "10.1.2.3", "nowhere", "user1"), 0);
	hba_unref(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_replication),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_membership),
		cmocka_unit_test(test_regex),
		cmocka_unit_test(test_certificate),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
