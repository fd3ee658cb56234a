#include "auth/source/aws_xml.h"

#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	char is;
} entities[] = {
	{ "amp", '&' },
	{ "lt", '<' },
	{ "gt", '>' },
	{ "quot", '"' },
	{ "apos", '\'' },
};

/* Between '&' and ';'. Keys, dates and messages are ASCII, so references beyond it are refused. */
static int
entity(const char *name, size_t len)
{
	char number[8];
	char *end;
	long value;

	for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
		if (strlen(entities[i].name) == len && memcmp(entities[i].name, name, len) == 0)
			return entities[i].is;
	if (len < 2 || len >= sizeof(number) || name[0] != '#')
		return -1;
	memcpy(number, name + 1, len - 1);
	number[len - 1] = '\0';
	value = number[0] == 'x' ? strtol(number + 1, &end, 16) : strtol(number, &end, 10);
	return *end != '\0' || value <= 0 || value > 0x7e ? -1 : (int)value;
}

static long
decode(const char *text, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '&') {
			const char *semi = memchr(text + i, ';', len - i);

			if (semi == NULL)
				return -1;
			c = entity(text + i + 1, (size_t)(semi - text) - i - 1);
			i = (size_t)(semi - text);
		}
		if (c <= 0 || n + 1 >= size)
			return -1;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return (long)n;
}

/* Is this, behind a '<', the start of element `tag`? */
static const char *
after_tag(const char *at, const char *end, const char *tag)
{
	size_t n = strlen(tag);
	const char *close;

	if ((size_t)(end - at) <= n || memcmp(at, tag, n) != 0 || strchr("> \t\r\n", at[n]) == NULL)
		return NULL;
	close = memchr(at + n, '>', (size_t)(end - at) - n);
	return close == NULL ? NULL : close + 1;
}

long
aws_xml_text(const char *xml, size_t len, const char *tag, char *out, size_t size)
{
	const char *end = xml + len, *at = xml, *text, *stop;
	size_t n = strlen(tag);
	long got = -1;

	out[0] = '\0';
	while (at < end && (at = memchr(at, '<', (size_t)(end - at))) != NULL) {
		text = after_tag(++at, end, tag);
		if (text == NULL)
			continue;
		stop = memchr(text, '<', (size_t)(end - text));
		if (stop == NULL)
			break;
		if ((size_t)(end - stop) > n + 2 && stop[1] == '/' &&
		    memcmp(stop + 2, tag, n) == 0 && stop[2 + n] == '>') {
			got = decode(text, (size_t)(stop - text), out, size);
			break;
		}
		at = stop;
	}
	if (got == -1)
		explicit_bzero(out, size);
	return got;
}
