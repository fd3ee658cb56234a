/* tls_fixture.h -- certificates in a temporary folder and connections in memory, for the tests of
 * tls*.c only; static, so that each test stays one file. Give tls_fixture_setup() and
 * tls_fixture_teardown() to cmocka. */
#ifndef TESTS_TLS_FIXTURE_H
#define TESTS_TLS_FIXTURE_H

#include "proxy/base/tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { DISABLE, ALLOW, PREFER, REQUIRE, VERIFY_CA, VERIFY_FULL };

static char dir[] = "/tmp/tls_test.XXXXXX";

/* One certificate and where its files are. */
struct identity {
	char cert[64], key[64];
	X509 *x509;
	EVP_PKEY *pkey;
};

static struct identity ca, server, web, nul_cn, long_cn, stranger, server_sha384, ed25519;

static inline void
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* Makes a key and a certificate and writes both; issuer NULL = signed by itself, as an
 * authority. */
static inline void
issue(struct identity *id, const char *file, const char *cn, int cn_len,
    const struct identity *issuer, const EVP_MD *md, const char *san)
{
	static long serial;
	X509 *cert = X509_new();
	X509_NAME *name;
	FILE *f;

	id->pkey = md == NULL ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_EC_gen("P-256");
	assert_non_null(id->pkey);
	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, id->pkey);
	name = X509_get_subject_name(cert);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, cn_len, -1,
	    0);
	X509_set_issuer_name(cert, issuer != NULL ? X509_get_subject_name(issuer->x509) : name);
	add_extension(cert, NID_basic_constraints,
	    issuer == NULL ? "critical,CA:TRUE" : "CA:FALSE");
	if (san != NULL)
		add_extension(cert, NID_subject_alt_name, san);
	assert_true(X509_sign(cert, issuer != NULL ? issuer->pkey : id->pkey, md) > 0);
	id->x509 = cert;
	snprintf(id->cert, sizeof(id->cert), "%s/%s.crt", dir, file);
	snprintf(id->key, sizeof(id->key), "%s/%s.key", dir, file);
	f = fopen(id->cert, "w");
	assert_int_equal(PEM_write_X509(f, cert), 1);
	fclose(f);
	f = fopen(id->key, "w");
	assert_int_equal(PEM_write_PrivateKey(f, id->pkey, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
}

static inline void
discard(struct identity *id)
{
	unlink(id->cert);
	unlink(id->key);
	X509_free(id->x509);
	EVP_PKEY_free(id->pkey);
}

static inline int
tls_fixture_setup(void **state)
{
	static char long_name[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	memset(long_name, 'n', sizeof(long_name));
	issue(&ca, "ca", "test ca", -1, NULL, EVP_sha256(), NULL);
	issue(&server, "server", "db.example", -1, &ca, EVP_sha256(),
	    "DNS:db.example,IP:127.0.0.1");
	issue(&web, "web", "web", -1, &ca, EVP_sha256(), NULL);
	issue(&nul_cn, "nul", "web\0.example", 12, &ca, EVP_sha256(), NULL);
	issue(&long_cn, "long", long_name, 64, &ca, EVP_sha256(), NULL);
	issue(&stranger, "stranger", "web", -1, NULL, EVP_sha256(), NULL);
	issue(&server_sha384, "sha384", "db.example", -1, &ca, EVP_sha384(), NULL);
	issue(&ed25519, "ed25519", "db.example", -1, NULL, NULL, NULL);
	return 0;
}

static inline int
tls_fixture_teardown(void **state)
{
	struct identity *const all[] = { &ca, &server, &web, &nul_cn, &long_cn, &stranger,
		&server_sha384, &ed25519 };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		discard(all[i]);
	return rmdir(dir);
}

static inline struct tls_settings
settings(int mode, const struct identity *id)
{
	return (struct tls_settings){ .mode = mode,
		.cert_file = id != NULL ? id->cert : NULL,
		.key_file = id != NULL ? id->key : NULL,
		.ca_file = ca.cert };
}

static inline SSL_CTX *
server_ctx(int mode, const struct identity *id)
{
	struct tls_settings s = settings(mode, id);
	char err[256] = "";
	SSL_CTX *ctx = tls_server_ctx(&s, err, sizeof(err));

	assert_string_equal(err, "");
	assert_non_null(ctx);
	return ctx;
}

/* Two ends of one connection in memory. */
struct pair {
	SSL *client, *server;
};

/* Takes both contexts. */
static inline struct pair
connect_ctx(SSL_CTX *client, SSL_CTX *srv)
{
	struct pair p = { SSL_new(client), SSL_new(srv) };
	BIO *a, *b;

	assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
	SSL_set_bio(p.client, a, a);
	SSL_set_bio(p.server, b, b);
	SSL_set_connect_state(p.client);
	SSL_set_accept_state(p.server);
	SSL_CTX_free(client);
	SSL_CTX_free(srv);
	return p;
}

static inline bool
shake(const struct pair *p)
{
	for (int i = 0; i < 10; i++) {
		int c = SSL_do_handshake(p->client), s = SSL_do_handshake(p->server);

		if (c == 1 && s == 1) {
			/* in TLS 1.3 the client only now hears of a refused certificate */
			char byte;

			return SSL_read(p->client, &byte, 1) <= 0 &&
			       SSL_get_error(p->client, -1) == SSL_ERROR_WANT_READ;
		}
	}
	return false;
}

static inline void
hang_up(struct pair *p)
{
	char reason[128];

	SSL_free(p->client);
	SSL_free(p->server);
	tls_last_error(reason, sizeof(reason));
}

/* A client without opinions: what a driver might be. */
static inline SSL_CTX *
any_client(const struct identity *id)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (id != NULL) {
		assert_int_equal(SSL_CTX_use_certificate_file(ctx, id->cert, SSL_FILETYPE_PEM), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, id->key, SSL_FILETYPE_PEM), 1);
	}
	return ctx;
}

#endif
