#include "tests/unit/proxy/base/tls_fixture.h"

/* goal: versions are as the setting says; nothing below 1.2 by default; unknown words and gaps are
 * refused */
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_protocols),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, tls_fixture_setup, tls_fixture_teardown);
}
