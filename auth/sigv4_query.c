#include "auth/sigv4_canonical.h"

#include <string.h>

/* A text, one byte of its encoded spelling after the other. What comes encoded is decoded first, so
 * that "%7E", "%7e" and "~" are the same. A '+' is a plus: who means a blank writes %20. */
struct encoder {
	const char *p, *end;
	bool raw;
	uint8_t byte; /* that the two pending digits are of */
	int pending;
};

static struct encoder
encode(struct sigv4_text t, bool raw)
{
	return (struct encoder){ .p = t.p, .end = t.p + t.len, .raw = raw };
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
is_unreserved(uint8_t c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.' || c == '~';
}

/* -1 at the end. */
static int
next(struct encoder *e)
{
	static const char digits[] = "0123456789ABCDEF";
	uint8_t c;

	if (e->pending > 0)
		return digits[--e->pending > 0 ? e->byte >> 4 : e->byte & 15];
	if (e->p == e->end)
		return -1;
	c = (uint8_t)*e->p++;
	if (!e->raw && c == '%') {
		/* sigv4_query_split() has seen that both are there */
		c = (uint8_t)(digit(e->p[0]) << 4 | digit(e->p[1]));
		e->p += 2;
	}
	if (is_unreserved(c))
		return c;
	e->byte = c;
	e->pending = 2;
	return '%';
}

static int
compare(struct encoder a, struct encoder b)
{
	for (;;) {
		int x = next(&a), y = next(&b);

		if (x != y)
			return x < y ? -1 : 1;
		if (x == -1)
			return 0;
	}
}

static int
compare_params(const struct sigv4_param *a, const struct sigv4_param *b)
{
	int c = compare(encode(a->name, a->raw), encode(b->name, b->raw));

	return c != 0 ? c : compare(encode(a->value, a->raw), encode(b->value, b->raw));
}

static bool
is_encoded(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '%' && (len - i < 3 || digit(p[i + 1]) < 0 || digit(p[i + 2]) < 0))
			return false;
	}
	return true;
}

int
sigv4_query_split(struct sigv4_query *q, const char *query)
{
	size_t len, name_len;

	q->n = 0;
	for (const char *p = query == NULL ? "" : query; *p != '\0'; p += len + (p[len] == '&')) {
		const char *eq;

		len = strcspn(p, "&");
		if (len == 0)
			continue;
		if (q->n == SIGV4_QUERY_MAX || !is_encoded(p, len))
			return -1;
		eq = memchr(p, '=', len);
		name_len = eq == NULL ? len : (size_t)(eq - p);
		q->params[q->n++] = (struct sigv4_param){
			.name = { p, name_len },
			.value = { eq == NULL ? p + len : eq + 1,
			    eq == NULL ? 0 : len - name_len - 1 },
		};
	}
	return 0;
}

void
sigv4_query_add(struct sigv4_query *q, const char *name, const char *value)
{
	q->params[q->n++] = (struct sigv4_param){ .name = { name, strlen(name) },
		.value = { value, strlen(value) },
		.raw = true };
}

void
sigv4_query_sort(struct sigv4_query *q)
{
	for (size_t i = 1; i < q->n; i++) {
		struct sigv4_param p = q->params[i];
		size_t k = i;

		for (; k > 0 && compare_params(&p, &q->params[k - 1]) < 0; k--)
			q->params[k] = q->params[k - 1];
		q->params[k] = p;
	}
}

static bool
is_named(const struct sigv4_param *p, const char *name)
{
	struct sigv4_text t = { name, strlen(name) };

	return compare(encode(p->name, p->raw), encode(t, true)) == 0;
}

int
sigv4_query_find(const struct sigv4_query *q, const char *name, struct sigv4_text *value)
{
	int found = 0;

	for (size_t i = 0; i < q->n; i++) {
		if (!is_named(&q->params[i], name))
			continue;
		if (found++ > 0)
			return -1;
		*value = q->params[i].value;
	}
	return found;
}

void
sigv4_query_drop(struct sigv4_query *q, const char *name)
{
	size_t kept = 0;

	for (size_t i = 0; i < q->n; i++) {
		if (!is_named(&q->params[i], name))
			q->params[kept++] = q->params[i];
	}
	q->n = kept;
}

static void
put(struct sigv4_sink *s, struct sigv4_text t, bool raw)
{
	struct encoder e = encode(t, raw);
	char piece[64];
	size_t n = 0;

	for (int c = next(&e); c != -1; c = next(&e)) {
		piece[n++] = (char)c;
		if (n == sizeof(piece)) {
			s->put(s, piece, n);
			n = 0;
		}
	}
	s->put(s, piece, n);
}

void
sigv4_query_write(const struct sigv4_query *q, struct sigv4_sink *s)
{
	for (size_t i = 0; i < q->n; i++) {
		if (i > 0)
			s->put(s, "&", 1);
		put(s, q->params[i].name, q->params[i].raw);
		s->put(s, "=", 1);
		put(s, q->params[i].value, q->params[i].raw);
	}
}

void
sigv4_encode(struct sigv4_text t, struct sigv4_sink *s)
{
	put(s, t, true);
}
