#include "auth/hmac.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* goal: test case 2 of RFC 4231, and agreement with OpenSSL for every key and message length up to
 * 200 */
static void
test_hmac(void **state)
{
	static const uint8_t want[] =
	    "\x5b\xdc\xc1\x46\xbf\x60\x75\x4e\x6a\x04\x24\x26\x08\x95\x75\xc7"
	    "\x5a\x00\x3f\x08\x9d\x27\x39\x83\x9d\xec\x58\xb9\x64\xec\x38\x43";
	uint8_t out[HMAC_LEN], theirs[HMAC_LEN], bytes[200];
	struct hmac_key k;

	(void)state;
	hmac_key_init(&k, "Jefe", 4);
	hmac_sign(&k, "what do ya want for nothing?", 28, out);
	assert_memory_equal(out, want, HMAC_LEN);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		hmac_key_init(&k, bytes, len);
		hmac_sign(&k, bytes, sizeof(bytes) - len, out);
		assert_non_null(
		    HMAC(EVP_sha256(), bytes, (int)len, bytes, sizeof(bytes) - len, theirs, NULL));
		assert_memory_equal(out, theirs, HMAC_LEN);
	}
}

/* goal: a known digest */
static void
test_digest(void **state)
{
	static const uint8_t want[] =
	    "\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23"
	    "\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad";
	uint8_t out[HMAC_LEN];

	(void)state;
	hmac_digest("abc", 3, out);
	assert_memory_equal(out, want, HMAC_LEN);
}

/* goal: agreement with OpenSSL's PBKDF2 for several counts, salts and password lengths */
static void
test_pbkdf2(void **state)
{
	static const uint32_t counts[] = { 1, 2, 3, 100, 4096 };
	uint8_t out[HMAC_LEN], theirs[HMAC_LEN], text[150];

	(void)state;
	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		for (size_t len = 0; len < sizeof(text); len += 37) {
			hmac_pbkdf2(text, len, text, sizeof(text) - len, counts[i], out);
			assert_int_equal(PKCS5_PBKDF2_HMAC((char *)text, (int)len, text,
					     (int)(sizeof(text) - len), (int)counts[i],
					     EVP_sha256(), HMAC_LEN, theirs),
			    1);
			assert_memory_equal(out, theirs, HMAC_LEN);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_digest),
		cmocka_unit_test(test_pbkdf2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
