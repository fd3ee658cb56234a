#include "tests/unit/proxy/base/tls_fixture.h"

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

/* goal: every fault of the settings is told with the file or value and a reason, and makes no
 * context */
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

/* goal: the channel binding hash is the certificate's, by the hash of its signature; none where
 * that has none */
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

/* goal: records are at most 8 kB and bytes pass in both directions after new contexts replaced the
 * old ones */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_endpoint),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests(tests, tls_fixture_setup, tls_fixture_teardown);
}
