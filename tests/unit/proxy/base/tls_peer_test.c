#include "tests/unit/proxy/base/tls_fixture.h"

/* goal: client certificates are asked for and verified in the verify modes only, and a name is
 * given only for a verified one, whole and without NUL */
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

/* goal: ALPN is agreed on "postgresql" wherever it stands in the list, and other lists end the
 * handshake */
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
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_last_error),
	};

	return cmocka_run_group_tests(tests, tls_fixture_setup, tls_fixture_teardown);
}
