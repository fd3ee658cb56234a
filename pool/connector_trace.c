#include "pool/connector_trace.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define TEXT_MAX (256u * 1024) /* a login writes about 1 kB */

static ssize_t
take(void *cookie, const char *p, size_t n)
{
	struct connector_trace *t = cookie;

	buf_put(&t->text, p, n);
	return (ssize_t)n;
}

int
connector_trace_open(struct connector_trace *t)
{
	cookie_io_functions_t io = { .write = take };

	memset(t, 0, sizeof(*t));
	buf_init(&t->text, TEXT_MAX);
	t->text.wipe = true;
	t->file = fopencookie(t, "w", io);
	if (t->file == NULL)
		return -1;
	/* no copy in a buffer that nobody wipes */
	setvbuf(t->file, NULL, _IONBF, 0);
	return 0;
}

void
connector_trace_clear(struct connector_trace *t)
{
	buf_release(&t->text);
	buf_clear(&t->text);
}

void
connector_trace_close(struct connector_trace *t)
{
	if (t->file == NULL)
		return;
	fclose(t->file);
	t->file = NULL;
	buf_release(&t->text);
}

/* ---- reading ---- */

/* A line is "B TAB length TAB message TAB fields". */
struct line {
	const char *fields, *end;
	unsigned long length; /* of the message */
};

static bool
number(const char **p, const char *end, unsigned long *value)
{
	const char *at = *p;

	for (*value = 0; at < end && *at >= '0' && *at <= '9'; at++) {
		if (*value > UINT_MAX / 10)
			return false;
		*value = *value * 10 + (unsigned long)(*at - '0');
	}
	if (at == *p)
		return false;
	*p = at;
	return true;
}

static bool
expect(const char **p, const char *end, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(end - *p) < n || memcmp(*p, word, n) != 0)
		return false;
	*p += n;
	return true;
}

/* The next line at or after *at that tells of such a message from the server. */
static bool
find_line(const char *text, size_t len, size_t *at, const char *message, struct line *l)
{
	while (*at < len) {
		const char *p = text + *at, *lf = memchr(p, '\n', len - *at);

		l->end = lf != NULL ? lf : text + len;
		*at = (size_t)(l->end - text) + (lf != NULL);
		if (expect(&p, l->end, "B\t") && number(&p, l->end, &l->length) &&
		    expect(&p, l->end, "\t") && expect(&p, l->end, message) &&
		    expect(&p, l->end, "\t")) {
			l->fields = p;
			return true;
		}
	}
	return false;
}

static bool
signed_number(const char **p, const char *end, uint32_t *value)
{
	bool negative = expect(p, end, "-");
	unsigned long n;

	if (!number(p, end, &n) || n > UINT32_MAX)
		return false;
	*value = negative ? (uint32_t)-n : (uint32_t)n;
	return true;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* libpq before 18: one signed number. */
static size_t
number_key(const char *p, const char *end, uint8_t *key, size_t room)
{
	uint32_t value;

	if (room < 4 || !signed_number(&p, end, &value) || p != end)
		return 0;
	for (int i = 0; i < 4; i++)
		key[i] = (uint8_t)(value >> (24 - 8 * i));
	return 4;
}

/* libpq 18: bytes in quotes, those that cannot be printed as \x and two digits (or eight, where a
 * char has a sign). */
static size_t
quoted_key(const char *p, const char *end, uint8_t *key, size_t room)
{
	size_t n = 0;

	if (end - p < 2 || *p != '\'' || end[-1] != '\'')
		return 0;
	for (p++, end--; p < end; n++) {
		if (n == room)
			return 0;
		if (end - p < 4 || p[0] != '\\' || p[1] != 'x' || hex(p[2]) == -1 ||
		    hex(p[3]) == -1) {
			key[n] = (uint8_t)*p++;
			continue;
		}
		if (end - p >= 10 && memcmp(p + 2, "ffffff", 6) == 0 && hex(p[8]) >= 8 &&
		    hex(p[9]) != -1)
			p += 6;
		key[n] = (uint8_t)(hex(p[2]) * 16 + hex(p[3]));
		p += 4;
	}
	return n;
}

size_t
connector_trace_key(const char *text, size_t len, uint32_t backend_pid, uint8_t *key, size_t room)
{
	struct line l;
	size_t at = 0, n;
	uint32_t pid;

	while (find_line(text, len, &at, "BackendKeyData", &l)) {
		const char *p = l.fields;

		if (!expect(&p, l.end, " ") || !signed_number(&p, l.end, &pid) ||
		    pid != backend_pid || !expect(&p, l.end, " "))
			continue;
		n = p < l.end && *p == '\'' ? quoted_key(p, l.end, key, room)
					    : number_key(p, l.end, key, room);
		/* the length counts itself and the process id */
		if (n > 0 && n + 8 == l.length)
			return n;
	}
	return 0;
}

bool
connector_trace_ready(const char *text, size_t len)
{
	struct line l;
	size_t at = 0;

	return find_line(text, len, &at, "ReadyForQuery", &l);
}

bool
connector_trace_parameter(const char *text, size_t len, size_t *at, char *name, size_t room)
{
	struct line l;

	while (find_line(text, len, at, "ParameterStatus", &l)) {
		const char *p = l.fields, *quote;
		size_t n;

		if (!expect(&p, l.end, " \""))
			continue;
		quote = memchr(p, '"', (size_t)(l.end - p));
		n = quote != NULL ? (size_t)(quote - p) : 0;
		if (n == 0 || n >= room)
			continue;
		memcpy(name, p, n);
		name[n] = '\0';
		return true;
	}
	return false;
}
