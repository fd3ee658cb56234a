/* json_write.c -- JSON's strings, written; the brackets are the caller's. */
#include "proxy/base/buf.h"
#include "proxy/wire/json.h"
#include "proxy/wire/utf8.h"

/* 0 = the byte stands for itself, 'u' = \u00XX, else the letter behind the backslash. */
static char
escape_of(uint8_t c)
{
	switch (c) {
	case '"':
	case '\\':
		return (char)c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return c < 0x20 || c == 0x7f ? 'u' : 0;
	}
}

static void
put_escape(struct buf *b, uint8_t c, char how)
{
	static const char hex[] = "0123456789abcdef";
	char out[6] = { '\\', how, '0', '0', hex[c >> 4], hex[c & 15] };

	buf_put(b, out, how == 'u' ? 6 : 2);
}

void
json_put_string(struct buf *b, const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + len, *from = p;

	buf_put(b, "\"", 1);
	while (p < end) {
		char how = *p < 0x80 ? escape_of(*p) : 0;
		size_t n = *p < 0x80 ? 1 : utf8_len(p, (size_t)(end - p));

		if (how == 0 && n > 0) {
			p += n;
			continue;
		}
		buf_put(b, from, (size_t)(p - from));
		if (n == 0)
			buf_put(b, "\xef\xbf\xbd", 3);
		else
			put_escape(b, *p, how);
		from = ++p;
	}
	buf_put(b, from, (size_t)(p - from));
	buf_put(b, "\"", 1);
}
