/* json_value.c -- what a tape of json.c says: members, strings and numbers. */
#include "proxy/wire/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX   800 /* 768 decide every double; the rest only says "more than" */
#define INT_DIGITS   19	 /* of INT64_MAX */
#define EXPONENT_MAX (INT64_C(1) << 40)

/* The parser has seen that there are four digits. */
static int
hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		v <<= 4;
		if (c >= '0' && c <= '9')
			v |= c - '0';
		else if (c >= 'a' && c <= 'f')
			v |= c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			v |= c - 'A' + 10;
		else
			return -1;
	}
	return v;
}

/* ---- looking up ---- */

size_t
json_first(const struct json *j, size_t container)
{
	if (container >= j->n || j->tok[container].type > JSON_ARRAY ||
	    j->tok[container].next == container + 1)
		return JSON_NONE;
	return container + 1;
}

size_t
json_next(const struct json *j, size_t container, size_t value)
{
	size_t next;

	/* the value of a member stands behind its name */
	if (json_is(j, container, JSON_OBJECT))
		value++;
	if (value >= j->n || container >= j->n)
		return JSON_NONE;
	next = j->tok[value].next;
	return next < j->tok[container].next ? next : JSON_NONE;
}

size_t
json_member(const struct json *j, size_t object, const char *name)
{
	size_t found = JSON_NONE;

	if (!json_is(j, object, JSON_OBJECT))
		return JSON_NONE;
	for (size_t i = json_first(j, object); i != JSON_NONE; i = json_next(j, object, i)) {
		if (!json_equals(j, i, name))
			continue;
		if (found != JSON_NONE)
			return JSON_DUPLICATE;
		found = i + 1;
	}
	return found;
}

/* ---- strings ---- */

static size_t
put_utf8(char out[4], uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* The character of the escape at *at, which moves behind it; -1: a lone surrogate. */
static int32_t
escape(const char *s, const char *end, const char **at)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	int high, low;

	if (s[1] != 'u') {
		*at = s + 2;
		return to[strchr(from, s[1]) - from];
	}
	high = hex4(s + 2);
	*at = s + 6;
	if (high < 0xd800 || high > 0xdfff)
		return high;
	if (high > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u')
		return -1;
	low = hex4(*at + 2);
	if (low < 0xdc00 || low > 0xdfff)
		return -1;
	*at += 6;
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Piece by piece: the bytes up to the next escape, or what an escape stands for. 0 at the end, -1 for
 * what cannot be. Short escapes stand in room[4]. */
static long
next_piece(const char **at, const char *end, char room[4], const char **piece)
{
	const char *stop;
	int32_t c;

	if (*at == end)
		return 0;
	*piece = room;
	if (**at == '\\') {
		c = escape(*at, end, at);
		return c <= 0 ? -1 : (long)put_utf8(room, (uint32_t)c);
	}
	stop = memchr(*at, '\\', (size_t)(end - *at));
	if (stop == NULL)
		stop = end;
	*piece = *at;
	*at = stop;
	return stop - *piece;
}

long
json_string(const struct json *j, size_t i, char *out, size_t size)
{
	const char *at, *end, *piece;
	char room[4];
	size_t n = 0;
	long got;

	if (!json_is(j, i, JSON_STRING) || size == 0)
		return -1;
	at = j->text + j->tok[i].at;
	end = at + j->tok[i].len;
	while ((got = next_piece(&at, end, room, &piece)) > 0) {
		if ((size_t)got > size - 1 - n)
			return -1;
		memcpy(out + n, piece, (size_t)got);
		n += (size_t)got;
	}
	out[n] = '\0';
	return got == 0 ? (long)n : -1;
}

bool
json_equals(const struct json *j, size_t i, const char *text)
{
	size_t left = strlen(text);
	const char *at, *end, *piece;
	char room[4];
	long got;

	if (!json_is(j, i, JSON_STRING))
		return false;
	at = j->text + j->tok[i].at;
	end = at + j->tok[i].len;
	while ((got = next_piece(&at, end, room, &piece)) > 0) {
		if ((size_t)got > left || memcmp(text, piece, (size_t)got) != 0)
			return false;
		text += got;
		left -= (size_t)got;
	}
	return got == 0 && left == 0;
}

/* ---- numbers ---- */

/* A number as digits times a power of ten, with neither zeros in front nor at the end; 0 has no
 * digits. The exponent is cut where no text of 4 GB can bring the value back into range. */
struct decimal {
	bool negative;
	bool more; /* other digits than zeros follow those kept */
	size_t n;
	int64_t exponent;
	char digits[DIGITS_MAX];
};

/* The parser has seen that it is well-formed. */
static int64_t
read_exponent(const char *p, const char *end)
{
	bool negative = false;
	int64_t e = 0;

	if (p == end)
		return 0;
	p++;
	if (*p == '+' || *p == '-')
		negative = *p++ == '-';
	for (; p < end; p++)
		if (e < EXPONENT_MAX)
			e = e * 10 + (*p - '0');
	return negative ? -e : e;
}

static void
keep_digit(struct decimal *d, char digit)
{
	if (d->n < sizeof(d->digits)) {
		d->digits[d->n++] = digit;
		return;
	}
	d->more |= digit != '0';
	d->exponent++;
}

static bool
read_decimal(struct decimal *d, const struct json *j, size_t i)
{
	const char *p, *end, *e;
	bool fraction = false;

	if (!json_is(j, i, JSON_NUMBER))
		return false;
	p = j->text + j->tok[i].at;
	end = p + j->tok[i].len;
	for (e = p; e < end && *e != 'e' && *e != 'E';)
		e++;
	d->more = false;
	d->n = 0;
	d->exponent = read_exponent(e, end);
	d->negative = *p == '-';
	for (p += d->negative; p < e; p++) {
		if (*p == '.') {
			fraction = true;
			continue;
		}
		d->exponent -= fraction;
		if (*p != '0' || d->n > 0)
			keep_digit(d, *p);
	}
	while (!d->more && d->n > 0 && d->digits[d->n - 1] == '0') {
		d->n--;
		d->exponent++;
	}
	return true;
}

int
json_int(const struct json *j, size_t i, int64_t *out)
{
	struct decimal d;
	uint64_t v = 0;

	if (!read_decimal(&d, j, i))
		return -1;
	if (d.n == 0)
		d.exponent = 0;
	/* what has 19 digits fits a uint64_t */
	if (d.more || d.exponent < 0 || d.exponent > INT_DIGITS ||
	    d.n + (size_t)d.exponent > INT_DIGITS)
		return -1;
	for (size_t k = 0; k < d.n + (size_t)d.exponent; k++)
		v = v * 10 + (k < d.n ? (uint64_t)(d.digits[k] - '0') : 0);
	if (v > (uint64_t)INT64_MAX + d.negative)
		return -1;
	*out = d.negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

int
json_double(const struct json *j, size_t i, double *out)
{
	char text[DIGITS_MAX + 32];
	struct decimal d;

	if (!read_decimal(&d, j, i))
		return -1;
	/* without a point strtod() does not depend on the locale */
	snprintf(text, sizeof(text), "%s%.*s%se%lld", d.negative ? "-" : "", (int)d.n, d.digits,
	    d.n == 0 ? "0"
	    : d.more ? "1"
		     : "",
	    (long long)(d.exponent - d.more));
	*out = strtod(text, NULL);
	return isinf(*out) ? -1 : 0;
}
