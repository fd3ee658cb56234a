#include "auth/scram.h"
#include "tests/unit/auth/scram_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NONCE	"abcdefghijklmnopqrstuvwx" /* our part */
#define CNONCE	"rOprNGfwEbeRWgbNEkqO"
#define BINDING "0123456789abcdef0123456789abcdef"

static const uint8_t salt[SCRAM_SALT_LEN] = "0123456789abcde";

static enum scram_result
first(struct scram_exchange *x, bool offered, bool plus, const char *msg)
{
	memset(x, 0, sizeof(*x));
	x->plus_offered = offered;
	x->plus = plus;
	if (offered) {
		x->cb_len = strlen(BINDING);
		memcpy(x->cb_hash, BINDING, x->cb_len);
	}
	return scram_first(x, msg, strlen(msg), NONCE, salt, sizeof(salt), 4096);
}

static void
server_first(const struct scram_exchange *x, char out[2048])
{
	size_t len;
	const char *text = scram_server_first(x, &len);

	snprintf(out, 2048, "%.*s", (int)len, text);
}

/* goal: the example exchange of RFC 7677, byte by byte */
static void
test_rfc7677(void **state)
{
	static const char c1[] = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
	static const char s1[] = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				 "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
	static const char c2[] = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
				 "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
	char got[2048], out[SCRAM_SERVER_FINAL_LEN + 1];
	struct scram_exchange x;
	struct scram_verifier v;
	uint8_t rfc_salt[16];

	(void)state;
	assert_int_equal(secret_base64_decode(rfc_salt, 16, "W22ZaJ0SNY7soEsUEjb6gQ==", 24), 16);
	scram_verifier_derive(&v, "pencil", 6, rfc_salt, 16, 4096);
	memset(&x, 0, sizeof(x));
	assert_int_equal(
	    scram_first(&x, c1, strlen(c1), "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", rfc_salt, 16, 4096),
	    SCRAM_OK);
	server_first(&x, got);
	assert_string_equal(got, s1);
	assert_int_equal(scram_final(&x, c2, strlen(c2)), SCRAM_OK);
	assert_true(scram_check(&x, &v, out));
	assert_string_equal(out, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	scram_verifier_derive(&v, "pencil2", 7, rfc_salt, 16, 4096);
	assert_false(scram_check(&x, &v, out));
}

/* goal: what PostgreSQL takes as client-first is taken, everything else gets the right refusal */
static void
test_client_first(void **state)
{
	static const struct {
		bool offered, plus;
		enum scram_result want;
		const char *msg;
	} rows[] = {
		{ false, false, SCRAM_OK, "n,,n=,r=" CNONCE },
		{ false, false, SCRAM_OK, "y,,n=,r=" CNONCE },
		{ true, false, SCRAM_OK, "n,,n=*,r=" CNONCE },
		{ true, true, SCRAM_OK, "p=tls-server-end-point,,n=,r=" CNONCE },
		{ false, false, SCRAM_OK, "n,,n=a=2Cb,r=" CNONCE ",x=later,Y=extension" },
		{ true, false, SCRAM_BINDING, "y,,n=,r=" CNONCE }, /* downgrade */
		{ true, true, SCRAM_BINDING, "p=tls-unique,,n=,r=" CNONCE },
		{ true, true, SCRAM_BINDING, "p=tls-server-end-poin,,n=,r=" CNONCE },
		{ true, true, SCRAM_BINDING, "p=tls-server-end-points,,n=,r=" CNONCE },
		{ true, true, SCRAM_BINDING, "p=,,n=,r=" CNONCE },
		{ true, true, SCRAM_MALFORMED, "n,,n=,r=" CNONCE },
		{ true, true, SCRAM_MALFORMED, "y,,n=,r=" CNONCE },
		{ true, false, SCRAM_MALFORMED, "p=tls-server-end-point,,n=,r=" CNONCE },
		{ true, true, SCRAM_MALFORMED, "p=tls-server-end-point" },
		{ true, true, SCRAM_MALFORMED, "p=tls-server-end-point," },
		{ true, true, SCRAM_MALFORMED, "p" },
		{ false, false, SCRAM_MALFORMED, "" },
		{ false, false, SCRAM_MALFORMED, "n" },
		{ false, false, SCRAM_MALFORMED, "n," },
		{ false, false, SCRAM_MALFORMED, "n,," },
		{ false, false, SCRAM_MALFORMED, "x,,n=,r=" CNONCE },
		{ false, false, SCRAM_MALFORMED, "n,a=admin,n=,r=" CNONCE },
		{ false, false, SCRAM_MALFORMED, "n,,m=x,n=,r=" CNONCE },
		{ false, false, SCRAM_MALFORMED, "n,,r=" CNONCE },
		{ false, false, SCRAM_MALFORMED, "n,,n=" },
		{ false, false, SCRAM_MALFORMED, "n,,n=," },
		{ false, false, SCRAM_MALFORMED, "n,,n=,r=" },
		{ false, false, SCRAM_MALFORMED, "n,,n=,r=a b" },
		{ false, false, SCRAM_MALFORMED, "n,,n=,r=a\x7f" },
		{ false, false, SCRAM_MALFORMED, "n,,n=,r=\xc3\xa4" },
		{ false, false, SCRAM_MALFORMED, "n,,n=,r=" CNONCE ",1=x" },
		{ false, false, SCRAM_MALFORMED, "n,,n=,r=" CNONCE ",x" },
	};
	struct scram_exchange x;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum scram_result r = first(&x, rows[i].offered, rows[i].plus, rows[i].msg);

		if (r != rows[i].want)
			fail_msg("row %zu: \"%s\" gave %d", i, rows[i].msg, r);
	}
	memset(&x, 0, sizeof(x));
	assert_int_equal(scram_first(&x, "n,,n=,r=a\0b", 11, NONCE, salt, 16, 4096),
	    SCRAM_MALFORMED);
}

/* goal: nonces of every length up to far beyond the bound never leave the exchange's memory */
static void
test_long_nonce(void **state)
{
	static char msg[70000];
	struct scram_exchange x;
	char text[2048], final[4096];
	size_t n;

	(void)state;
	memset(msg, 'n', sizeof(msg));
	memcpy(msg, "n,,n=,r=", 8);
	for (size_t len = 9; len < 1200; len++) {
		enum scram_result r;

		memset(&x, 0, sizeof(x));
		r = scram_first(&x, msg, len, NONCE, salt, sizeof(salt), SCRAM_ITERATIONS_MAX);
		assert_int_equal(r, len <= SCRAM_CLIENT_FIRST_MAX ? SCRAM_OK : SCRAM_MALFORMED);
	}
	memset(&x, 0, sizeof(x));
	assert_int_equal(scram_first(&x, msg, sizeof(msg), NONCE, salt, 16, 1), SCRAM_MALFORMED);
	/* the longest exchange there is */
	assert_int_equal(scram_first(&x, msg, SCRAM_CLIENT_FIRST_MAX, NONCE, salt, 16, 1),
	    SCRAM_OK);
	server_first(&x, text);
	n = (size_t)(strstr(text, ",s=") - text);
	n = (size_t)snprintf(final, sizeof(final), "c=biws,%.*s,x=", (int)n, text);
	memset(final + n, 'x', sizeof(final) - n);
	memcpy(final + SCRAM_CLIENT_FINAL_MAX - 47, ",p=", 3);
	memset(final + SCRAM_CLIENT_FINAL_MAX - 44, 'A', 43);
	final[SCRAM_CLIENT_FINAL_MAX - 1] = '=';
	assert_int_equal(scram_final(&x, final, SCRAM_CLIENT_FINAL_MAX), SCRAM_OK);
	assert_int_equal(scram_final(&x, final, SCRAM_CLIENT_FINAL_MAX), SCRAM_OK);
	assert_true(x.text_len <= sizeof(x.text));
	assert_int_equal(scram_final(&x, final, SCRAM_CLIENT_FINAL_MAX + 1), SCRAM_MALFORMED);
}

/* goal: a client-final with any part missing, changed or repeated is refused */
static void
test_client_final(void **state)
{
#define R "r=" CNONCE NONCE
#define P "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	static const struct {
		enum scram_result want;
		const char *msg;
	} rows[] = {
		{ SCRAM_OK, "c=biws," R "," P },
		{ SCRAM_OK, "c=biws," R ",x=y," P },
		{ SCRAM_MALFORMED, "" },
		{ SCRAM_MALFORMED, "c=biws" },
		{ SCRAM_MALFORMED, "c=eSws," R "," P },
		{ SCRAM_MALFORMED, "c=," R "," P },
		{ SCRAM_MALFORMED, "c=biwsbiws," R "," P },
		{ SCRAM_MALFORMED, R "," P },
		{ SCRAM_MALFORMED, "c=biws," P },
		{ SCRAM_MALFORMED, "c=biws," R },
		{ SCRAM_MALFORMED, "c=biws," R "," },
		{ SCRAM_MALFORMED, "c=biws,r=" CNONCE "," P },
		{ SCRAM_MALFORMED, "c=biws," R "x," P },
		{ SCRAM_MALFORMED, "c=biws,r=x" CNONCE NONCE "," P },
		{ SCRAM_MALFORMED, "c=biws,r=" NONCE CNONCE "," P },
		{ SCRAM_MALFORMED, "c=biws," R ",p=" },
		{ SCRAM_MALFORMED, "c=biws," R ",p=AAAA" },
		{ SCRAM_MALFORMED, "c=biws," R "," P "AAAA" },
		{ SCRAM_MALFORMED, "c=biws," R "," P ",x=y" },
		{ SCRAM_MALFORMED, "c=biws," R ",," P },
	};
	struct scram_exchange x;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(first(&x, false, false, "n,,n=,r=" CNONCE), SCRAM_OK);
		if (scram_final(&x, rows[i].msg, strlen(rows[i].msg)) != rows[i].want)
			fail_msg("row %zu: \"%s\"", i, rows[i].msg);
	}
}

/* goal: with -PLUS the right certificate hash logs in, and another one, a cut one or none does
 * not */
static void
test_binding(void **state)
{
	static const struct {
		enum scram_result want;
		const char *gs2, *cb;
	} rows[] = {
		{ SCRAM_OK, "p=tls-server-end-point,,", BINDING },
		{ SCRAM_BINDING, "p=tls-server-end-point,,", "0123456789abcdef0123456789abcdeX" },
		{ SCRAM_BINDING, "p=tls-server-end-point,,", "0123456789abcdef" },
		{ SCRAM_BINDING, "p=tls-server-end-point,,", "" },
		{ SCRAM_BINDING, "n,,", "" },
		{ SCRAM_BINDING, "n,,", BINDING },
	};
	char text[2048], final[4096], out[SCRAM_SERVER_FINAL_LEN + 1];
	struct scram_verifier v;
	struct scram_exchange x;

	(void)state;
	scram_verifier_derive(&v, "pencil", 6, salt, sizeof(salt), 4096);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t len;

		assert_int_equal(first(&x, true, true, "p=tls-server-end-point,,n=,r=" CNONCE),
		    SCRAM_OK);
		server_first(&x, text);
		len = scram_client_final(final, sizeof(final), "pencil", rows[i].gs2, rows[i].cb,
		    strlen(rows[i].cb), "n=,r=" CNONCE, text);
		assert_int_equal(scram_final(&x, final, len), rows[i].want);
		if (rows[i].want == SCRAM_OK)
			assert_true(scram_check(&x, &v, out));
	}
}

/* goal: every single changed bit of a good proof is refused */
static void
test_every_bit(void **state)
{
	char text[2048], final[4096], out[SCRAM_SERVER_FINAL_LEN + 1];
	struct scram_verifier v;
	struct scram_exchange x;
	size_t len;

	(void)state;
	scram_verifier_derive(&v, "pencil", 6, salt, sizeof(salt), 4096);
	assert_int_equal(first(&x, false, false, "y,,n=,r=" CNONCE), SCRAM_OK);
	server_first(&x, text);
	len = scram_client_final(final, sizeof(final), "pencil", "y,,", NULL, 0, "n=,r=" CNONCE,
	    text);
	assert_int_equal(scram_final(&x, final, len), SCRAM_OK);
	assert_true(scram_check(&x, &v, out));
	for (size_t bit = 0; bit < 8 * SCRAM_KEY_LEN; bit++) {
		x.proof[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(scram_check(&x, &v, out));
		x.proof[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(scram_check(&x, &v, out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc7677),
		cmocka_unit_test(test_client_first),
		cmocka_unit_test(test_long_nonce),
		cmocka_unit_test(test_client_final),
		cmocka_unit_test(test_binding),
		cmocka_unit_test(test_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
