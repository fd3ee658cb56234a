#include "auth/sigv4_canonical.h"

#include <string.h>

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool
is_name_char(char c)
{
	c = lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
is_name(const char *name)
{
	size_t n = 0;

	while (is_name_char(name[n]))
		n++;
	return n > 0 && name[n] == '\0';
}

/* As if both were in lower case. By name alone: "a-b" stands before "ab" and behind "a", whatever
 * their values are. */
static int
compare(const char *a, const char *b)
{
	while (*a != '\0' && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return (unsigned char)lower(*a) - (unsigned char)lower(*b);
}

static int
insert(struct sigv4_headers *h, const struct sigv4_header *one)
{
	size_t k = h->n;

	if (k == SIGV4_HEADERS_MAX)
		return -1;
	for (; k > 0 && compare(one->name, h->at[k - 1]->name) < 0; k--)
		h->at[k] = h->at[k - 1];
	h->at[k] = one;
	h->n++;
	return 0;
}

int
sigv4_headers_all(struct sigv4_headers *h, const struct sigv4_request *r)
{
	h->n = 0;
	for (size_t i = 0; i < r->n_headers; i++) {
		if (!is_name(r->headers[i].name) || insert(h, &r->headers[i]) == -1)
			return -1;
	}
	return 0;
}

/* ---- a list of names ---- */

/* Length of the separator that t begins with, 0 = none. */
static size_t
separator(struct sigv4_text t, bool encoded)
{
	if (t.len >= 1 && t.p[0] == ';')
		return 1;
	return encoded && t.len >= 3 && strncasecmp(t.p, "%3b", 3) == 0 ? 3 : 0;
}

/* Takes the first name off the list; its length, 0 = it does not begin with a name in lower case. */
static size_t
take_name(struct sigv4_text *list, bool encoded, struct sigv4_text *name)
{
	size_t n = 0, sep = 0;

	for (; n < list->len; n++) {
		char c = list->p[n];

		sep = separator((struct sigv4_text){ list->p + n, list->len - n }, encoded);
		if (sep > 0)
			break;
		/* '%' may stand in a header's name, but nobody has one, and in a query it would
		 * be read in two ways */
		if (!is_name_char(c) || c != lower(c) || c == '%')
			return 0;
	}
	*name = (struct sigv4_text){ list->p, n };
	list->p += n + sep;
	list->len -= n + sep;
	/* "a;" promises another name */
	return sep > 0 && list->len == 0 ? 0 : n;
}

static int
compare_texts(struct sigv4_text a, struct sigv4_text b)
{
	int c = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);

	return c != 0 ? c : a.len < b.len ? -1 : a.len > b.len;
}

static bool
is_named(const struct sigv4_header *h, struct sigv4_text name)
{
	size_t i = 0;

	while (i < name.len && lower(h->name[i]) == name.p[i])
		i++;
	return i == name.len && h->name[i] == '\0';
}

int
sigv4_headers_listed(struct sigv4_headers *h, const struct sigv4_request *r, struct sigv4_text list,
    bool encoded)
{
	struct sigv4_text before = { "", 0 }, name;
	int missing = 0;

	h->n = 0;
	do {
		size_t had = h->n;

		if (take_name(&list, encoded, &name) == 0 || compare_texts(before, name) >= 0)
			return -1;
		for (size_t i = 0; i < r->n_headers; i++) {
			/* names come in order, so this appends */
			if (is_named(&r->headers[i], name) && insert(h, &r->headers[i]) == -1)
				return -1;
		}
		if (h->n == had)
			missing = 1;
		before = name;
	} while (list.len > 0);
	return missing;
}

bool
sigv4_headers_have(const struct sigv4_headers *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++) {
		if (compare(h->at[i]->name, name) == 0)
			return true;
	}
	return false;
}

/* ---- the canonical text ---- */

static void
put_name(const char *name, struct sigv4_sink *s)
{
	for (; *name != '\0'; name++) {
		char c = lower(*name);

		s->put(s, &c, 1);
	}
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Without the blanks at both ends, and one for each run of them inside. */
static void
put_value(const char *v, struct sigv4_sink *s)
{
	for (bool first = true;; first = false) {
		size_t n = 0;

		while (is_blank(*v))
			v++;
		while (v[n] != '\0' && !is_blank(v[n]))
			n++;
		if (n == 0)
			return;
		if (!first)
			s->put(s, " ", 1);
		s->put(s, v, n);
		v += n;
	}
}

static bool
is_repeated(const struct sigv4_headers *h, size_t i)
{
	return i > 0 && compare(h->at[i]->name, h->at[i - 1]->name) == 0;
}

void
sigv4_headers_write_names(const struct sigv4_headers *h, struct sigv4_sink *s)
{
	for (size_t i = 0; i < h->n; i++) {
		if (is_repeated(h, i))
			continue;
		if (i > 0)
			s->put(s, ";", 1);
		put_name(h->at[i]->name, s);
	}
}

void
sigv4_headers_write(const struct sigv4_headers *h, struct sigv4_sink *s)
{
	for (size_t i = 0; i < h->n; i++) {
		if (is_repeated(h, i)) {
			s->put(s, ",", 1);
		} else {
			if (i > 0)
				s->put(s, "\n", 1);
			put_name(h->at[i]->name, s);
			s->put(s, ":", 1);
		}
		put_value(h->at[i]->value, s);
	}
	if (h->n > 0)
		s->put(s, "\n", 1);
}
