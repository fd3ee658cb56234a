/* https_call_tls_test.c -- whom a call believes over TLS, with certificates made here. */
#include "tests/unit/auth/https_call_fixture.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char dir[] = "/tmp/https_call_test.XXXXXX";

struct identity {
	char cert[64], key[64];
	X509 *x509;
	EVP_PKEY *pkey;
};

static struct identity ca, other_ca, web, elsewhere, stale, client;

static void
extend(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* Both files of a certificate for `san` that ends in some seconds; issuer NULL = an authority. */
static void
issue(struct identity *id, const char *name, const struct identity *issuer, const char *san,
    long valid_s)
{
	static long serial;
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);
	FILE *f;

	id->x509 = cert;
	id->pkey = EVP_EC_gen("P-256");
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
	X509_gmtime_adj(X509_getm_notAfter(cert), valid_s);
	X509_set_pubkey(cert, id->pkey);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
	    -1, 0);
	X509_set_issuer_name(cert, issuer == NULL ? subject : X509_get_subject_name(issuer->x509));
	extend(cert, NID_basic_constraints, issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
	if (san != NULL)
		extend(cert, NID_subject_alt_name, san);
	assert_true(X509_sign(cert, issuer == NULL ? id->pkey : issuer->pkey, EVP_sha256()) > 0);
	snprintf(id->cert, sizeof(id->cert), "%s/%s.crt", dir, name);
	snprintf(id->key, sizeof(id->key), "%s/%s.key", dir, name);
	f = fopen(id->cert, "w");
	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	f = fopen(id->key, "w");
	assert_int_equal(PEM_write_PrivateKey(f, id->pkey, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
}

static void
discard(struct identity *id)
{
	unlink(id->cert);
	unlink(id->key);
	X509_free(id->x509);
	EVP_PKEY_free(id->pkey);
}

/* The server shows this certificate to connections from now on. */
static void
show(const struct identity *id)
{
	SSL_CTX_use_certificate(server_tls, id->x509);
	assert_int_equal(SSL_CTX_use_PrivateKey(server_tls, id->pkey), 1);
}

static struct outcome
get_with(const char *ca_file, const char *path)
{
	struct https_request r = { .method = "GET", .url = url_of(path), .ca_file = ca_file };

	return ask(&r);
}

/* goal: the answer of a server whose certificate our CA has signed is taken, over one connection */
static void
test_right_ca(void **state)
{
	int before = atomic_load(&server_connections);

	(void)state;
	show(&web);
	for (int i = 0; i < 3; i++) {
		struct outcome o = get_with(ca.cert, "/echo");

		assert_string_equal(o.error, "");
		assert_int_equal(o.status, 200);
	}
	assert_int_equal(atomic_load(&server_connections), before + 1);
}

/* goal: nothing is sent to a server that is not proven: other CA, the system's, another host's
 * certificate, an old one, a CA file that is missing; not even over a connection that a call with
 * the right CA has left open */
static void
test_refused(void **state)
{
	int before = atomic_load(&server_requests);
	struct outcome o;

	(void)state;
	show(&web);
	assert_int_equal(get_with(ca.cert, "/echo").status, 200);
	o = get_with(other_ca.cert, "/echo");
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.error, "certificate"));
	o = get_with(NULL, "/echo");
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.error, "certificate"));
	o = get_with("/nowhere/ca.crt", "/echo");
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.error, "/nowhere/ca.crt"));
	renew_calls();
	show(&elsewhere);
	o = get_with(ca.cert, "/echo");
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.error, "127.0.0.1"));
	show(&stale);
	o = get_with(ca.cert, "/echo");
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.error, "expired"));
	assert_int_equal(atomic_load(&server_requests), before + 1);
}

/* goal: a CA file is read anew for each new connection, so a renewed one counts at once */
static void
test_renewed_ca(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/current.crt", dir);
	show(&web);
	assert_int_equal(symlink(ca.cert, path), 0);
	assert_string_equal(get_with(path, "/close").body, "bye");
	unlink(path);
	assert_int_equal(symlink(other_ca.cert, path), 0);
	idle(50);
	assert_int_equal(get_with(path, "/echo").status, 0);
	unlink(path);
}

/* goal: a client certificate is shown when asked for, and the want of one is an error in words */
static void
test_client_certificate(void **state)
{
	struct https_request r = { .method = "GET", .url = url_of("/echo"), .ca_file = ca.cert };
	struct outcome o;

	(void)state;
	show(&web);
	SSL_CTX_set_verify(server_tls, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	o = ask(&r);
	assert_int_equal(o.status, 0);
	r.cert_file = client.cert;
	r.key_file = client.key;
	assert_int_equal(ask(&r).status, 200);
	renew_calls();	     /* the connection of this certificate would serve again */
	r.key_file = ca.key; /* not its key */
	o = ask(&r);
	assert_int_equal(o.status, 0);
	r.key_file = "/nowhere/client.key";
	o = ask(&r);
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.error, "/nowhere/client.key"));
	SSL_CTX_set_verify(server_tls, SSL_VERIFY_NONE, NULL);
}

/* goal: TLS 1.1 is not spoken */
static void
test_old_tls(void **state)
{
	(void)state;
	show(&web);
	SSL_CTX_set_max_proto_version(server_tls, TLS1_1_VERSION);
	assert_int_equal(get_with(ca.cert, "/echo").status, 0);
	SSL_CTX_set_max_proto_version(server_tls, TLS1_2_VERSION);
	assert_int_equal(get_with(ca.cert, "/echo").status, 200);
	SSL_CTX_set_max_proto_version(server_tls, 0);
}

/* goal: http:// spoken to a TLS port, limits and cancelling work as they do without TLS */
static void
test_limits(void **state)
{
	struct https_request hang = { .method = "GET",
		.url = url_of("/hang"),
		.ca_file = ca.cert,
		.timeout_ms = 200 };
	struct outcome o;
	char url[64];

	(void)state;
	show(&web);
	assert_non_null(strstr(ask(&hang).error, "timed out"));
	assert_int_equal(get_with(ca.cert, "/exact").len, HTTPS_RESPONSE_MAX);
	assert_string_equal(get_with(ca.cert, "/large").error, "the response is larger than 1 MiB");
	https_cancel(begin(&hang, &o));
	begin(&hang, &o);
	idle(50);
	renew_calls();
	assert_int_equal(o.times, 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server_port);
	hang.url = url;
	assert_int_equal(ask(&hang).status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_right_ca, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_refused, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_renewed_ca, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_client_certificate, calls_setup,
		    calls_teardown),
		cmocka_unit_test_setup_teardown(test_old_tls, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_limits, calls_setup, calls_teardown),
	};
	struct identity *const all[] = { &ca, &other_ca, &web, &elsewhere, &stale, &client };
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	issue(&ca, "ca", NULL, NULL, 3600);
	issue(&other_ca, "other_ca", NULL, NULL, 3600);
	issue(&web, "web", &ca, "IP:127.0.0.1", 3600);
	issue(&elsewhere, "elsewhere", &ca, "DNS:other.example", 3600);
	issue(&stale, "stale", &ca, "IP:127.0.0.1", -60);
	issue(&client, "client", &ca, NULL, 3600);
	server_tls = SSL_CTX_new(TLS_server_method());
	SSL_CTX_load_verify_locations(server_tls, ca.cert, NULL);
	/* so that TLS 1.1 is refused by the client and not by the server's taste */
	SSL_CTX_set_cipher_list(server_tls, "DEFAULT:@SECLEVEL=0");
	SSL_CTX_set_min_proto_version(server_tls, 0);
	server_start();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	server_stop();
	SSL_CTX_free(server_tls);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		discard(all[i]);
	return rmdir(dir) == 0 ? rc : 1;
}
