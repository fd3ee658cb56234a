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

static void
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* Makes a key and a certificate and writes both; issuer NULL = signed by itself, as an authority. */
static void
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

static void
discard(struct identity *id)
{
	unlink(id->cert);
	unlink(id->key);
	X509_free(id->x509);
	EVP_PKEY_free(id->pkey);
}

static int
setup(void **state)
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

static int
teardown(void **state)
{
	struct identity *const all[] = { &ca, &server, &web, &nul_cn, &long_cn, &stranger,
		&server_sha384, &ed25519 };

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		discard(all[i]);
	return rmdir(dir);
}

static struct tls_settings
settings(int mode, const struct identity *id)
{
	return (struct tls_settings){ .mode = mode,
		.cert_file = id != NULL ? id->cert : NULL,
		.key_file = id != NULL ? id->key : NULL,
		.ca_file = ca.cert };
}

static SSL_CTX *
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
static struct pair
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

static bool
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

static void
hang_up(struct pair *p)
{
	char reason[128];

	SSL_free(p->client);
	SSL_free(p->server);
	tls_last_error(reason, sizeof(reason));
}

/* A client without opinions: what a driver might be. */
static SSL_CTX *
any_client(const struct identity *id)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (id != NULL) {
		assert_int_equal(SSL_CTX_use_certificate_file(ctx, id->cert, SSL_FILETYPE_PEM), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, id->key, SSL_FILETYPE_PEM), 1);
	}
	return ctx;
}

/* goal: a plain handshake takes the cheap choices, sends no ticket and holds to the memory modes */
static void
test_defaults(void **state)
{
	SSL_CTX *ctx = server_ctx(REQUIRE, &server);
	struct pair p;

	(void)state;
	assert_int_equal(SSL_CTX_get_num_tickets(ctx), 0);
	assert_int_equal(SSL_CTX_get_session_cache_mode(ctx), SSL_SESS_CACHE_OFF);
	assert_int_equal(SSL_CTX_get_min_proto_version(ctx), TLS1_2_VERSION);
	assert_true(SSL_CTX_get_mode(ctx) & SSL_MODE_RELEASE_BUFFERS);
	assert_true(SSL_CTX_get_mode(ctx) & SSL_MODE_ENABLE_PARTIAL_WRITE);
	assert_true(SSL_CTX_get_mode(ctx) & SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	assert_int_equal(SSL_CTX_get_read_ahead(ctx), 1);
	p = connect_ctx(any_client(NULL), ctx);
	assert_true(shake(&p));
	assert_string_equal(SSL_get_version(p.client), "TLSv1.3");
	assert_string_equal(SSL_get_cipher(p.client), "TLS_AES_128_GCM_SHA256");
	assert_int_equal(SSL_get_negotiated_group(p.server), NID_X25519);
	assert_false(SSL_SESSION_has_ticket(SSL_get0_session(p.client)));
	assert_false(tls_alpn_is_postgresql(p.server));
	hang_up(&p);
}

/* goal: versions are as the setting says; nothing below 1.2 by default; unknown words and gaps are refused */
static void
test_protocols(void **state)
{
	static const struct {
		const char *list;
		int version; /* the client's only one */
		bool good;
	} rows[] = {
		{ NULL, TLS1_2_VERSION, true },
		{ NULL, TLS1_3_VERSION, true },
		{ "", TLS1_3_VERSION, true },
		{ NULL, TLS1_1_VERSION, false },
		{ "secure", TLS1_2_VERSION, true },
		{ "secure", TLS1_1_VERSION, false },
		{ "SECURE", TLS1_3_VERSION, true },
		{ "tlsv1.2", TLS1_2_VERSION, true },
		{ "tlsv1.2", TLS1_3_VERSION, false },
		{ "tlsv1.3", TLS1_2_VERSION, false },
		{ "tlsv1.2,tlsv1.3", TLS1_3_VERSION, true },
		{ "tlsv1.2 : tlsv1.3", TLS1_2_VERSION, true },
		{ "all,!tlsv1.3", TLS1_3_VERSION, false },
		{ "!tlsv1.0:!tlsv1.1", TLS1_2_VERSION, true },
		{ "!tlsv1.0:!tlsv1.1", TLS1_1_VERSION, false },
	};
	static const char *const wrong[] = { "x", "tlsv1.4", "tlsv1.2,sslv3", "!", "all,!all", ",",
		"!tlsv1.2", "tlsv1.0,tlsv1.2" };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tls_settings s = settings(REQUIRE, &server);
		SSL_CTX *client = any_client(NULL), *ctx;
		char err[256];
		struct pair p;

		s.protocols = rows[i].list;
		SSL_CTX_set_min_proto_version(client, rows[i].version);
		SSL_CTX_set_max_proto_version(client, rows[i].version);
		SSL_CTX_set_security_level(client, 0);
		ctx = tls_server_ctx(&s, err, sizeof(err));
		assert_non_null(ctx);
		p = connect_ctx(client, ctx);
		if (shake(&p) != rows[i].good)
			fail_msg("row %zu", i);
		hang_up(&p);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tls_settings s = settings(REQUIRE, &server);
		char err[256] = "";

		s.protocols = wrong[i];
		assert_null(tls_server_ctx(&s, err, sizeof(err)));
		assert_non_null(strstr(err, wrong[i]));
	}
}

/* goal: every fault of the settings is told with the file or value and a reason, and makes no context */
static void
test_faults(void **state)
{
	struct tls_settings rows[] = {
		settings(DISABLE, &server),
		settings(REQUIRE, NULL),
		settings(REQUIRE, &server),
		settings(REQUIRE, &server),
		settings(REQUIRE, &server),
		settings(REQUIRE, &server),
		settings(REQUIRE, &server),
		settings(VERIFY_CA, &server),
		settings(VERIFY_CA, &server),
		settings(REQUIRE, &server),
		settings(REQUIRE, &server),
		settings(REQUIRE, &server),
	};
	static const char *const want[] = {
		"TLS is disabled",
		"TLS needs a certificate file and a key file",
		"needs a key file",
		"cannot load TLS certificate \"/nonexistent\": ",
		"cannot load TLS key \"/nonexistent\": ",
		"values mismatch",
		".key\": ",
		"needs a CA file",
		"cannot load TLS CA \"/nonexistent\": ",
		"\"nocipher\"",
		"\"nocurve\"",
		"\"4096\"",
	};
	char err[256], locked[64];
	FILE *f;

	(void)state;
	snprintf(locked, sizeof(locked), "%s/locked.key", dir);
	f = fopen(locked, "w");
	assert_int_equal(PEM_write_PrivateKey(f, server.pkey, EVP_aes_128_cbc(),
			     (unsigned char *)"x", 1, NULL, NULL),
	    1);
	fclose(f);
	rows[2].key_file = NULL;
	rows[3].cert_file = "/nonexistent";
	rows[4].key_file = "/nonexistent";
	rows[5].key_file = web.key;
	rows[6].key_file = locked; /* must not ask on the terminal */
	rows[7].ca_file = "";
	rows[8].ca_file = "/nonexistent";
	rows[9].ciphers = "nocipher";
	rows[10].ecdhcurve = "nocurve";
	rows[11].dheparams = "4096";
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		err[0] = '\0';
		assert_null(tls_server_ctx(&rows[i], err, sizeof(err)));
		if (strstr(err, want[i]) == NULL)
			fail_msg("row %zu: %s", i, err);
	}
	unlink(locked);
	assert_null(tls_server_ctx(&rows[3], err, 8)); /* a short err is cut, not overrun */
	assert_int_equal(strlen(err), 7);
}

/* goal: PgBouncer's words for ciphers, curves and DHE are understood */
static void
test_words(void **state)
{
	static const char *const words[][3] = {
		{ "default", "auto", "auto" },
		{ "fast", "none", "none" },
		{ "secure", "prime256v1", "legacy" },
		{ "normal", "secp384r1", "" },
		{ "all", "X25519:P-256", NULL },
		{ "HIGH:!aNULL", NULL, "auto" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct tls_settings s = settings(REQUIRE, &server);
		char err[256] = "";
		struct pair p;
		SSL_CTX *ctx;

		s.ciphers = words[i][0];
		s.ecdhcurve = words[i][1];
		s.dheparams = words[i][2];
		ctx = tls_server_ctx(&s, err, sizeof(err));
		assert_string_equal(err, "");
		p = connect_ctx(any_client(NULL), ctx);
		assert_true(shake(&p));
		hang_up(&p);
	}
}

/* goal: ALPN is agreed on "postgresql" wherever it stands in the list, and other lists end the handshake */
static void
test_alpn(void **state)
{
	static const struct {
		const char *list;
		bool good;
	} rows[] = {
		{ "\012postgresql", true },
		{ "\2h2\012postgresql", true },
		{ "\012postgresql\2h2", true },
		{ "\2h2", false },
		{ "\011postgresq", false },
		{ "\013postgresqlx", false },
		{ "\012Postgresql", false },
		{ "\014\012postgresqlx", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SSL_CTX *client = any_client(NULL);
		struct pair p;

		assert_int_equal(SSL_CTX_set_alpn_protos(client,
				     (const unsigned char *)rows[i].list,
				     (unsigned int)strlen(rows[i].list)),
		    0);
		p = connect_ctx(client, server_ctx(REQUIRE, &server));
		if (shake(&p) != rows[i].good || tls_alpn_is_postgresql(p.server) != rows[i].good)
			fail_msg("row %zu", i);
		hang_up(&p);
	}
}

/* goal: client certificates are asked for and verified in the verify modes only, and a name is given only for
 * a verified one, whole and without NUL */
static void
test_client_certificate(void **state)
{
	static const struct {
		int mode;
		const struct identity *id;
		bool good;
		const char *cn;
	} rows[] = {
		{ ALLOW, &web, true, NULL },
		{ PREFER, NULL, true, NULL },
		{ REQUIRE, &stranger, true, NULL },
		{ VERIFY_CA, &web, true, "web" },
		{ VERIFY_FULL, &web, true, "web" },
		{ VERIFY_CA, NULL, false, NULL },
		{ VERIFY_CA, &stranger, false, NULL },
		{ VERIFY_FULL, &nul_cn, true, NULL },
		{ VERIFY_FULL, &long_cn, true, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair p = connect_ctx(any_client(rows[i].id),
		    server_ctx(rows[i].mode, &server));
		char cn[64];

		if (shake(&p) != rows[i].good)
			fail_msg("row %zu", i);
		if (rows[i].good && tls_peer_cn(p.server, cn, sizeof(cn)) != (rows[i].cn != NULL))
			fail_msg("row %zu: cn", i);
		if (rows[i].cn != NULL)
			assert_string_equal(cn, rows[i].cn);
		if (rows[i].good)
			assert_false(
			    tls_peer_cn(p.client, cn, sizeof(cn))); /* it verified nothing */
		hang_up(&p);
	}
}

/* goal: the channel binding hash is the certificate's, by the hash of its signature; none where that has none */
static void
test_endpoint(void **state)
{
	uint8_t got[TLS_ENDPOINT_HASH_MAX], want[EVP_MAX_MD_SIZE];
	unsigned int want_len;
	SSL_CTX *ctx;
	size_t len;

	(void)state;
	ctx = server_ctx(REQUIRE, &server);
	assert_int_equal(tls_endpoint_hash(ctx, got, &len), 0);
	assert_int_equal(len, 32);
	X509_digest(server.x509, EVP_sha256(), want, &want_len);
	assert_memory_equal(got, want, 32);
	SSL_CTX_free(ctx);
	ctx = server_ctx(REQUIRE, &server_sha384);
	assert_int_equal(tls_endpoint_hash(ctx, got, &len), 0);
	assert_int_equal(len, 48);
	X509_digest(server_sha384.x509, EVP_sha384(), want, &want_len);
	assert_memory_equal(got, want, 48);
	SSL_CTX_free(ctx);
	ctx = server_ctx(REQUIRE, &ed25519);
	assert_int_equal(tls_endpoint_hash(ctx, got, &len), -1);
	SSL_CTX_free(ctx);
	assert_int_equal(tls_endpoint_hash(NULL, got, &len), -1);
}

/* goal: our own client verifies as its mode says: nothing, the chain, or the chain and the name */
static void
test_client(void **state)
{
	static const struct {
		int mode;
		const struct identity *id;
		const char *host;
		bool good;
	} rows[] = {
		{ REQUIRE, &stranger, "other", true },
		{ VERIFY_CA, &server, "other", true },
		{ VERIFY_CA, &stranger, "db.example", false },
		{ VERIFY_FULL, &server, "db.example", true },
		{ VERIFY_FULL, &server, "other", false },
		{ VERIFY_FULL, &server, "127.0.0.1", true },
		{ VERIFY_FULL, &server, "127.0.0.2", false },
		{ VERIFY_FULL, &server, "::1", false },
		{ VERIFY_FULL, &stranger, "web", false },
	};
	struct tls_settings s = settings(VERIFY_CA, NULL);
	char err[256] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		SSL_CTX *client;
		struct pair p;

		s = settings(rows[i].mode, &web);
		client = tls_client_ctx(&s, err, sizeof(err));
		assert_string_equal(err, "");
		p = connect_ctx(client, server_ctx(REQUIRE, rows[i].id));
		assert_int_equal(tls_client_expect(p.client, &s, rows[i].host), 0);
		if (shake(&p) != rows[i].good)
			fail_msg("row %zu", i);
		if (rows[i].good)
			assert_true(tls_alpn_is_postgresql(p.server));
		hang_up(&p);
	}
	s.ca_file = NULL;
	assert_null(tls_client_ctx(&s, err, sizeof(err)));
	assert_string_equal(err, "to verify certificates, TLS needs a CA file");
}

/* goal: records are at most 8 kB and bytes pass in both directions after new contexts replaced the old ones */
static void
test_records(void **state)
{
	static char big[20000], got[20000];
	struct pair p = connect_ctx(any_client(NULL), server_ctx(REQUIRE, &server));
	size_t sent = 0, read = 0;

	(void)state;
	assert_true(shake(&p));
	memset(big, 'b', sizeof(big));
	while (read < sizeof(big)) {
		int n;

		if (sent < sizeof(big)) {
			n = SSL_write(p.server, big + sent, (int)(sizeof(big) - sent));
			sent += n > 0 ? (size_t)n : 0;
		}
		while ((n = SSL_read(p.client, got + read, (int)(sizeof(got) - read))) > 0) {
			assert_true(n <= 8192);
			read += (size_t)n;
		}
	}
	assert_memory_equal(big, got, sizeof(big));
	hang_up(&p);
}

/* goal: the reason of a failure is told once, and the queue is empty afterwards */
static void
test_last_error(void **state)
{
	char text[64];

	(void)state;
	assert_null(BIO_new_file("/nonexistent", "r"));
	assert_ptr_equal(tls_last_error(text, sizeof(text)), text);
	assert_string_equal(text, "No such file or directory");
	assert_string_equal(tls_last_error(text, sizeof(text)), "no reason given");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_endpoint),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_last_error),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
