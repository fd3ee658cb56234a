#include "proxy/wire/json.h"

#include "proxy/wire/utf8.h"

#include <stdio.h>
#include <string.h>

struct parser {
	const unsigned char *s;
	size_t len, at;
	struct json_token *tok;
	size_t n, max;
	uint32_t open[JSON_DEPTH_MAX]; /* tokens of the containers around `at` */
	unsigned depth;
	const char *why;
};

/* ---- reading the text ---- */

/* First byte from s[at] on that ends a string, needs an escape, or is no ASCII. Eight at a time:
 * most of a large document is plain text. A borrow may stop it early, never late. */
static size_t
skip_plain(const unsigned char *s, size_t at, size_t len)
{
	const uint64_t ones = UINT64_MAX / 255;
	uint64_t w;

	for (; len - at >= sizeof(w); at += sizeof(w)) {
		memcpy(&w, s + at, sizeof(w));
		if (((w | (w - 0x20 * ones) | ((w ^ '"' * ones) - ones) |
			 ((w ^ '\\' * ones) - ones)) &
			0x80 * ones) != 0)
			break;
	}
	while (at < len && s[at] >= ' ' && s[at] < 0x80 && s[at] != '"' && s[at] != '\\')
		at++;
	return at;
}

static int
fail(struct parser *p, const char *why)
{
	p->why = p->at < p->len ? why : "the text ends too early";
	return -1;
}

static void
skip_blanks(struct parser *p)
{
	while (p->at < p->len && (p->s[p->at] == ' ' || p->s[p->at] == '\n' ||
				     p->s[p->at] == '\r' || p->s[p->at] == '\t'))
		p->at++;
}

static bool
is_next(const struct parser *p, unsigned char c)
{
	return p->at < p->len && p->s[p->at] == c;
}

/* A token that begins here and contains no others; NULL when the tape is full. */
static struct json_token *
add(struct parser *p, enum json_type type)
{
	struct json_token *t;

	if (p->n == p->max) {
		p->why = "too many values";
		return NULL;
	}
	t = &p->tok[p->n++];
	*t = (struct json_token){ .at = (uint32_t)p->at,
		.next = (uint32_t)p->n,
		.type = (uint8_t)type,
		.depth = (uint16_t)p->depth };
	return t;
}

static int
hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int
scan_escape(struct parser *p)
{
	p->at++;
	if (p->at == p->len || p->s[p->at] == '\0' || strchr("\"\\/bfnrtu", p->s[p->at]) == NULL)
		return fail(p, "no such escape");
	if (p->s[p->at++] != 'u')
		return 0;
	for (int i = 0; i < 4; i++, p->at++) {
		if (p->at == p->len || hex_digit(p->s[p->at]) == -1)
			return fail(p, "\\u needs four hex digits");
	}
	return 0;
}

static int
scan_string(struct parser *p)
{
	struct json_token *t;

	p->at++;
	t = add(p, JSON_STRING);
	if (t == NULL)
		return -1;
	for (;;) {
		size_t n;

		p->at = skip_plain(p->s, p->at, p->len);
		if (p->at == p->len)
			return fail(p, NULL);
		if (p->s[p->at] == '"')
			break;
		if (p->s[p->at] == '\\') {
			t->escaped = true;
			if (scan_escape(p) == -1)
				return -1;
			continue;
		}
		if (p->s[p->at] < ' ')
			return fail(p, "a control character in a string must be escaped");
		n = utf8_len(p->s + p->at, p->len - p->at);
		if (n == 0)
			return fail(p, "not UTF-8");
		p->at += n;
	}
	t->len = (uint32_t)(p->at++ - t->at);
	return 0;
}

static int
scan_digits(struct parser *p)
{
	size_t from = p->at;

	while (p->at < p->len && p->s[p->at] >= '0' && p->s[p->at] <= '9')
		p->at++;
	return p->at > from ? 0 : fail(p, "a number lacks a digit");
}

static int
scan_number(struct parser *p)
{
	struct json_token *t = add(p, JSON_NUMBER);
	bool zero;

	if (t == NULL)
		return -1;
	if (is_next(p, '-'))
		p->at++;
	zero = is_next(p, '0');
	if (zero && p->at + 1 < p->len && p->s[p->at + 1] >= '0' && p->s[p->at + 1] <= '9')
		return fail(p, "a number has a leading zero");
	if (scan_digits(p) == -1)
		return -1;
	if (is_next(p, '.')) {
		p->at++;
		if (scan_digits(p) == -1)
			return -1;
	}
	if (is_next(p, 'e') || is_next(p, 'E')) {
		p->at++;
		if (is_next(p, '+') || is_next(p, '-'))
			p->at++;
		if (scan_digits(p) == -1)
			return -1;
	}
	t->len = (uint32_t)(p->at - t->at);
	return 0;
}

static int
scan_word(struct parser *p, const char *word, enum json_type type)
{
	struct json_token *t = add(p, type);

	if (t == NULL)
		return -1;
	for (; *word != '\0'; word++, p->at++)
		if (!is_next(p, (unsigned char)*word))
			return fail(p, "a value is expected here");
	t->len = (uint32_t)(p->at - t->at);
	return 0;
}

/* The name of a member and the colon behind it. */
static int
scan_name(struct parser *p)
{
	skip_blanks(p);
	if (!is_next(p, '"'))
		return fail(p, "the name of a member is expected here, in double quotes");
	if (scan_string(p) == -1)
		return -1;
	skip_blanks(p);
	if (!is_next(p, ':'))
		return fail(p, "a colon is missing");
	p->at++;
	return 0;
}

static void
close_container(struct parser *p)
{
	struct json_token *t = &p->tok[p->open[--p->depth]];

	p->at++;
	t->len = (uint32_t)(p->at - t->at);
	t->next = (uint32_t)p->n;
}

/* 0 when it was empty and is complete, 1 when its first value is next. */
static int
open_container(struct parser *p, enum json_type type)
{
	if (p->depth == JSON_DEPTH_MAX)
		return fail(p, "nested too deeply");
	p->open[p->depth] = (uint32_t)p->n;
	if (add(p, type) == NULL)
		return -1;
	p->depth++;
	p->at++;
	skip_blanks(p);
	if (is_next(p, type == JSON_OBJECT ? '}' : ']')) {
		close_container(p);
		return 0;
	}
	if (type == JSON_OBJECT && scan_name(p) == -1)
		return -1;
	return 1;
}

/* 0 after a whole value, 1 when it has begun and the first value inside is next. */
static int
scan_value(struct parser *p)
{
	skip_blanks(p);
	switch (p->at < p->len ? p->s[p->at] : '\0') {
	case '{':
		return open_container(p, JSON_OBJECT);
	case '[':
		return open_container(p, JSON_ARRAY);
	case '"':
		return scan_string(p);
	case 't':
		return scan_word(p, "true", JSON_TRUE);
	case 'f':
		return scan_word(p, "false", JSON_FALSE);
	case 'n':
		return scan_word(p, "null", JSON_NULL);
	case '-':
	case '0' ... '9':
		return scan_number(p);
	default:
		return fail(p, "a value is expected here");
	}
}

/* What follows a whole value: 1 when another value is next, 0 at the end of the document. */
static int
scan_after(struct parser *p)
{
	for (;;) {
		bool in_object;

		skip_blanks(p);
		if (p->depth == 0)
			return p->at == p->len ? 0 : fail(p, "more text after the value");
		in_object = p->tok[p->open[p->depth - 1]].type == JSON_OBJECT;
		if (is_next(p, ',')) {
			p->at++;
			return in_object && scan_name(p) == -1 ? -1 : 1;
		}
		if (!is_next(p, in_object ? '}' : ']'))
			return fail(p, in_object ? "a comma or } is expected here"
						 : "a comma or ] is expected here");
		close_container(p);
	}
}

int
json_parse(struct json *j, const char *text, size_t len, struct json_token *tok, size_t max,
    char *err, size_t errlen)
{
	struct parser p = { .s = (const unsigned char *)text, .len = len, .tok = tok, .max = max };
	int more;

	*j = (struct json){ .text = text, .tok = tok };
	if (len > UINT32_MAX) {
		snprintf(err, errlen, "longer than 4 GB");
		return -1;
	}
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		snprintf(err, errlen, "begins with a byte order mark");
		return -1;
	}
	do {
		more = scan_value(&p);
		if (more == 0)
			more = scan_after(&p);
	} while (more == 1);
	if (more == -1) {
		snprintf(err, errlen, "%s, at byte %zu", p.why, p.at + 1);
		return -1;
	}
	j->n = p.n;
	return 0;
}
