#include "auth/base64url.h"

#include <stdint.h>

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
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t
base64url_decode(void *out, size_t size, const char *text, size_t len)
{
	uint8_t *to = out;
	uint32_t bits = 0;
	unsigned have = 0; /* bits not yet written */
	size_t n = 0;

	if (len % 4 == 1)
		return -1;
	for (size_t i = 0; i < len; i++) {
		int d = digit_value(text[i]);

		if (d < 0)
			return -1;
		bits = (bits << 6 | (uint32_t)d) & 0xfff;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == size)
			return -1;
		to[n++] = (uint8_t)(bits >> have);
	}
	if ((bits & ((1u << have) - 1)) != 0)
		return -1;
	return (ssize_t)n;
}
