#define OPENSSL_SUPPRESS_DEPRECATED /* see hmac.c */
#include "auth/md5_password.h"

#include <openssl/md5.h>
#include <string.h>

static const char hex[] = "0123456789abcdef";

bool
md5_password_is(const char *text, size_t len)
{
	if (len != MD5_PASSWORD_LEN || memcmp(text, "md5", 3) != 0)
		return false;
	for (size_t i = 3; i < len; i++) {
		if (text[i] == '\0' || strchr("0123456789abcdefABCDEF", text[i]) == NULL)
			return false;
	}
	return true;
}

static int
digest_pair(char out[MD5_PASSWORD_LEN + 1], const void *a, size_t a_len, const void *b,
    size_t b_len)
{
	uint8_t sum[MD5_DIGEST_LENGTH];
	MD5_CTX c;
	int ok = MD5_Init(&c) && MD5_Update(&c, a, a_len) && MD5_Update(&c, b, b_len) &&
		 MD5_Final(sum, &c);

	explicit_bzero(&c, sizeof(c));
	if (!ok)
		return -1;
	memcpy(out, "md5", 3);
	for (size_t i = 0; i < sizeof(sum); i++) {
		out[3 + 2 * i] = hex[sum[i] >> 4];
		out[4 + 2 * i] = hex[sum[i] & 15];
	}
	out[MD5_PASSWORD_LEN] = '\0';
	explicit_bzero(sum, sizeof(sum));
	return 0;
}

int
md5_password_make(char out[MD5_PASSWORD_LEN + 1], const char *password, size_t len,
    const char *user)
{
	return digest_pair(out, password, len, user, strlen(user));
}

int
md5_password_answer(char out[MD5_PASSWORD_LEN + 1], const char secret[MD5_PASSWORD_LEN],
    const uint8_t salt[MD5_PASSWORD_SALT])
{
	return digest_pair(out, secret + 3, MD5_PASSWORD_LEN - 3, salt, MD5_PASSWORD_SALT);
}
