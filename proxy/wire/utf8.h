/* utf8.h -- is this UTF-8? Pure. Must not know what the text is for. */
#ifndef PROXY_WIRE_UTF8_H
#define PROXY_WIRE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* p[0] >= 0x80, n >= 1 bytes are there. Length of the well-formed UTF-8 sequence at p, 0 if there is
 * none: no overlong forms, surrogates or values above U+10FFFF. */
static inline size_t
utf8_len(const uint8_t *p, size_t n)
{
	uint8_t a = p[0], low = 0x80, high = 0xbf;
	size_t len = a >= 0xf0 ? 4 : a >= 0xe0 ? 3 : 2;

	if (a < 0xc2 || a > 0xf4 || len > n)
		return 0;
	if (a == 0xe0)
		low = 0xa0;
	else if (a == 0xed)
		high = 0x9f;
	else if (a == 0xf0)
		low = 0x90;
	else if (a == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

#endif
