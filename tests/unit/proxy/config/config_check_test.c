#include "tests/unit/proxy/config/config_fixture.h"

/* Load FIXTURE_HEAD with lines after it in [pgsluice] (from line 6 on); everything said must be
 * `text`. */
static void
said(const char *lines, const char *text)
{
	static struct said said;
	char file[2048];

	snprintf(file, sizeof(file), "%s%s", FIXTURE_HEAD, lines);
	config_unref(fixture_load(file, &said));
	assert_string_equal(said.text, text);
}

/* Goal: options that are not served speak up only when they are changed, and only some are
 * fatal. */
static void
test_service(void **state)
{
	(void)state;
	said(
	    "disable_pqexec=0\nauth_hba_file=\npkt_buf=4096\nsuspend_timeout=10.0\npeer_id=0\nauth_user=\n",
	    "");
	said("pkt_buf=8192\n",
	    "6: warning: pkt_buf has no effect: buffers belong to workers and need no "
	    "tuning\n");
	said("disable_pqexec=1\n",
	    "6: error: disable_pqexec is not served: the simple query protocol cannot be turned off; "
	    "limit what users may do by grants\n");
	said("conffile=/x\n",
	    "6: warning: conffile has no effect: RELOAD reads the file named on the command "
	    "line\n");
}

/* Goal: there is something to listen on, and the socket's path fits. */
static void
test_listening(void **state)
{
	char lines[256], path[128];

	(void)state;
	said("unix_socket_dir=\n",
	    "6: error: listen_addr and unix_socket_dir: found nothing in both, expected an address or a "
	    "directory to listen on\n");
	said("unix_socket_dir=\nlisten_addr=::1\n", "");
	memset(path, 'p', sizeof(path));
	path[93] = '\0';
	snprintf(lines, sizeof(lines), "unix_socket_dir=%s\n", path);
	said(lines, "6: error: unix_socket_dir: found a path of 93 bytes, expected at most 92\n");
	path[92] = '\0';
	snprintf(lines, sizeof(lines), "unix_socket_dir=%s\n", path);
	said(lines, "");
}

/* Goal: TLS modes name the files they cannot do without, and old protocol versions are refused. */
static void
test_tls(void **state)
{
	(void)state;
	said("client_tls_sslmode=allow\n",
	    "6: error: client_tls_sslmode=allow: found no client_tls_cert_file, expected the certificate "
	    "to show\n"
	    "6: error: client_tls_sslmode=allow: found no client_tls_key_file, expected the certificate's "
	    "key\n");
	said("client_tls_sslmode=verify-ca\nclient_tls_cert_file=c\nclient_tls_key_file=k\n",
	    "6: error: client_tls_sslmode=verify-ca: found no client_tls_ca_file, expected the authorities "
	    "that sign client certificates\n");
	said("client_tls_sslmode=require\nclient_tls_cert_file=c\nclient_tls_key_file=k\n", "");
	said("server_tls_sslmode=verify-full\n",
	    "6: error: server_tls_sslmode=verify-full: found no server_tls_ca_file, expected the "
	    "authorities that sign server certificates (the system's are in "
	    "/etc/ssl/certs/ca-certificates.crt)\n");
	said("server_tls_key_file=k\n",
	    "6: error: found one of server_tls_cert_file and server_tls_key_file, "
	    "expected both or none\n");
	said("client_tls_protocols = tlsv1.2, tlsv1.3,\nserver_tls_protocols=secure\n", "");
	said("client_tls_protocols=tlsv1.2,tlsv1.1\n",
	    "6: error: client_tls_protocols: found \"tlsv1.1\", expected secure, tlsv1.2 or tlsv1.3 (older "
	    "TLS is not served)\n");
	said("server_tls_protocols=all\n",
	    "6: error: server_tls_protocols: found \"all\", expected secure, tlsv1.2 or tlsv1.3 (older TLS "
	    "is not served)\n");
}

/* Goal: each way to log in has what it needs. */
static void
test_auth(void **state)
{
	(void)state;
	said("auth_type=hba\n",
	    "6: error: auth_type=hba: found no auth_hba_file, expected the file with the rules\n");
	said("auth_type=hba\nauth_hba_file=h\nauth_file=\n", "");
	said("auth_type=ldap\nlisten_addr=\n",
	    "6: error: auth_type=ldap: found no auth_ldap_options, expected how to ask the LDAP server\n");
	said("auth_type=pam\nlisten_addr=*\n",
	    "6: warning: auth_type=pam: clients may send their password unencrypted: "
	    "client_tls_sslmode=disable, better require\n");
	said("auth_type=jwt\njwt_keys=k\njwt_role_claim=\nlisten_addr=\n",
	    "6: error: auth_type=jwt: found no jwt_issuer, expected the claim iss of tokens\n"
	    "6: error: auth_type=jwt: found no jwt_audience, expected the claim aud of tokens\n"
	    "6: error: auth_type=jwt: found no jwt_role_claim, expected the claim that names the user\n");
	said("auth_type=iam\nlisten_addr=\n",
	    "6: error: auth_type=iam: found no iam_secret, expected the entry of [secrets] with the key\n");
	said("iam_secret=x\n",
	    "6: error: iam_secret: found \"x\", expected the name of an entry of [secrets]\n");
	said("auth_type=cert\n",
	    "6: error: auth_type=cert: found client_tls_sslmode=disable, expected verify-full\n");
	said(
	    "auth_type=cert\nclient_tls_sslmode=verify-full\nclient_tls_cert_file=c\nclient_tls_key_file=k\n"
	    "client_tls_ca_file=a\n",
	    "");
	said("auth_file=\n",
	    "0: error: auth_type=md5: found no auth_file, expected the list of users and "
	    "secrets\n");
	said("auth_file=\nauth_type=trust\n",
	    "7: warning: auth_type=trust without auth_file: no user is known\n");
	said("auth_file=\nauth_type=any\n[databases]\na=user=u\n",
	    "4: error: database \"*\": found no user, expected one because auth_type is any\n");
}

/* Goal: databases: the console's names, holes in host lists, values that contradict each other. */
static void
test_databases(void **state)
{
	(void)state;
	said("[databases]\npgbouncer=\npgsluice=\n",
	    "7: error: database \"pgbouncer\": found the name of the console, expected another one\n"
	    "8: error: database \"pgsluice\": found the name of the console, expected another one\n");
	said("[databases]\na=host=b,,c\nd=host=b,\ne=host=','\nf=host='a, '\n",
	    "7: error: database \"a\": host: found an empty name in the list, expected names between its "
	    "commas\n"
	    "8: error: database \"d\": host: found an empty name in the list, expected names between its "
	    "commas\n"
	    "9: error: database \"e\": host: found an empty name in the list, expected names between its "
	    "commas\n"
	    "10: error: database \"f\": host: found an empty name in the list, expected names between its "
	    "commas\n");
	said("[databases]\na=password=x\n",
	    "7: warning: database \"a\": password has no effect without "
	    "user\n");
	said(
	    "[databases]\na=min_pool_size=21\nb=min_pool_size=21 pool_size=30\nc=min_pool_size=5 pool_size=0\n",
	    "7: warning: database \"a\": min_pool_size 21 is more than the pool's 20 connections\n");
	said("min_pool_size=30\n",
	    "6: warning: min_pool_size 30 is more than default_pool_size 20\n");
	said("syslog_facility=mail\n",
	    "6: error: syslog_facility: found \"mail\", expected auth, authpriv, "
	    "daemon, user or local0 to local7\n");
}

/* Goal: one slip is one message: what follows from it is not told as well. */
static void
test_one_message(void **state)
{
	(void)state;
	fixture_bad("[pgsluice]\nauth_fle=u\n[databases]\n*=\n",
	    "2: error: found unknown key \"auth_fle\", expected perhaps \"auth_file\"\n");
	fixture_bad("[pgsluce]\nauth_file=u\n[databases]\n*=\n",
	    "1: error: found unknown section \"pgsluce\", expected pgsluice (or pgbouncer), databases, "
	    "users, peers or secrets\n");
	said("auth_type=certs\n",
	    "6: error: auth_type: found \"certs\", expected one of any, trust, plain, md5, "
	    "scram-sha-256, cert, hba, ldap, pam, jwt, iam\n");
	said("auth_type=cert\nclient_tls_sslmode=verify\n",
	    "7: error: client_tls_sslmode: found \"verify\", expected one of disable, allow, prefer, "
	    "require, verify-ca, verify-full\n");
	fixture_bad("[pgsluice]\nworkers=x\nauth_type=md5\n[databases]\n*=\n",
	    "2: error: workers: found \"x\", expected a whole number from 0 to 64\n"
	    "3: error: auth_type=md5: found no auth_file, expected the list of users and secrets\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service),
		cmocka_unit_test(test_listening),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_databases),
		cmocka_unit_test(test_one_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
