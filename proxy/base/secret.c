#include "proxy/base/secret.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* getrandom(2) never returns less than asked for up to 256 bytes, and is never interrupted then. */
#define RANDOM_BATCH 256

static _Thread_local struct {
	uint8_t bytes[RANDOM_BATCH];
	size_t left;
} pool;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

bool
secret_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

bool
secret_equal_text(const char *given, size_t given_len, const char *held, size_t held_len)
{
	volatile uint8_t diff = given_len != held_len;

	for (size_t i = 0; i < given_len; i++) {
		/* stays at the held NUL once past the end, without a branch on the data */
		size_t at = i < held_len ? i : held_len;

		diff |= (uint8_t)given[i] ^ (uint8_t)held[at];
	}
	return diff == 0;
}

char *
secret_dup(const void *bytes, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL)
		return NULL;
	if (len != 0)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

void
secret_free(void *p, size_t len)
{
	if (p == NULL)
		return;
	explicit_bzero(p, len);
	free(p);
}

static void
forget_pool(void)
{
	explicit_bzero(&pool, sizeof(pool));
}

/* Parent and child must not hand out the same bytes; the thread that forks is the only one in the
 * child. */
static void
watch_fork(void)
{
	pthread_atfork(NULL, NULL, forget_pool);
}

static int
from_kernel(uint8_t *out, size_t len)
{
	while (len > 0) {
		ssize_t n = getrandom(out, len < RANDOM_BATCH ? len : RANDOM_BATCH, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		out += n;
		len -= (size_t)n;
	}
	return 0;
}

int
secret_random(void *out, size_t len)
{
	if (len > RANDOM_BATCH / 2)
		return from_kernel(out, len);
	if (pool.left < len) {
		pthread_once(&pool_once, watch_fork);
		if (from_kernel(pool.bytes, sizeof(pool.bytes)) == -1) {
			forget_pool();
			return -1;
		}
		pool.left = sizeof(pool.bytes);
	}
	pool.left -= len;
	memcpy(out, pool.bytes + pool.left, len);
	explicit_bzero(pool.bytes + pool.left, len);
	return 0;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t
secret_base64_encode(char *out, size_t size, const void *bytes, size_t len)
{
	const uint8_t *in = bytes;
	size_t n = 0;

	if (len > SIZE_MAX / 2 || size <= SECRET_BASE64_LEN(len))
		return 0;
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)in[i] << 16;

		v |= have > 1 ? (uint32_t)in[i + 1] << 8 : 0;
		v |= have > 2 ? in[i + 2] : 0;
		out[n++] = digits[v >> 18];
		out[n++] = digits[v >> 12 & 63];
		out[n++] = have > 1 ? digits[v >> 6 & 63] : '=';
		out[n++] = have > 2 ? digits[v & 63] : '=';
	}
	out[n] = '\0';
	return n;
}

/* -1 for a character outside the alphabet. */
static int
digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t
secret_base64_decode(void *out, size_t size, const char *text, size_t len)
{
	uint8_t *to = out;
	size_t n = 0, pad = 0;

	if (len % 4 != 0)
		return -1;
	if (len > 0)
		pad = text[len - 1] != '=' ? 0 : text[len - 2] != '=' ? 1 : 2;
	if (len / 4 * 3 - pad > size)
		return -1;
	for (size_t i = 0; i < len; i += 4) {
		size_t chars = i + 4 == len ? 4 - pad : 4;
		uint32_t v = 0;

		for (size_t k = 0; k < 4; k++) {
			int d = k < chars ? digit_value(text[i + k]) : 0;

			if (d < 0)
				return -1;
			v = v << 6 | (uint32_t)d;
		}
		if ((chars == 2 && (v & 0xffff) != 0) || (chars == 3 && (v & 0xff) != 0))
			return -1;
		to[n++] = (uint8_t)(v >> 16);
		if (chars > 2)
			to[n++] = (uint8_t)(v >> 8);
		if (chars > 3)
			to[n++] = (uint8_t)v;
	}
	return (ssize_t)n;
}
