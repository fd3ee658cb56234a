#include "auth/secret_value.h"

#include "proxy/wire/json.h"
#include "proxy/wire/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TOKENS_MAX 4096 /* values in a JSON text; 64 kB of stack */

struct reading {
	const struct json *j;
	char *err;
	size_t errlen;
};

/* ---- members ---- */

static int
fault(const struct reading *r, const char *member, const char *what)
{
	snprintf(r->err, r->errlen, "the secret's \"%s\" %s", member, what);
	return -1;
}

/* 1 with *at when the member is there and not null, 0 when not, -1 when it is there twice. */
static int
find(const struct reading *r, const char *name, size_t *at)
{
	*at = json_member(r->j, 0, name);
	if (*at == JSON_DUPLICATE)
		return fault(r, name, "is there twice");
	return *at != JSON_NONE && !json_is(r->j, *at, JSON_NULL);
}

/* Why json_string() did not take it. */
static int
text_fault(const struct reading *r, const char *name, size_t at, size_t size)
{
	const struct json_token *t = &r->j->tok[at];
	char what[96];

	if (t->len < size)
		return fault(r, name, "has a NUL or half of a surrogate pair in it");
	snprintf(what, sizeof(what), "is longer than %zu bytes%s", size - 1,
	    t->escaped ? ", or has a NUL or half of a surrogate pair in it" : "");
	return fault(r, name, what);
}

/* A member as text; out is "" when it is not there. */
static int
take_text(const struct reading *r, const char *name, char *out, size_t size, size_t *len)
{
	size_t at;
	long n;
	int found = find(r, name, &at);

	out[0] = '\0';
	*len = 0;
	if (found != 1)
		return found;
	if (!json_is(r->j, at, JSON_STRING))
		return fault(r, name, "must be a string");
	n = json_string(r->j, at, out, size);
	if (n < 0)
		return text_fault(r, name, at, size);
	*len = (size_t)n;
	return 0;
}

/* Under the name that was configured, else under the usual one or the second spelling of it. */
static int
take_named(const struct reading *r, const char *name, const char *usual, const char *second,
    char *out, size_t size, size_t *len)
{
	if (name != NULL)
		return take_text(r, name, out, size, len);
	if (take_text(r, usual, out, size, len) == -1)
		return -1;
	return *len > 0 || second == NULL ? 0 : take_text(r, second, out, size, len);
}

/* What is shown in logs and given to the resolver. */
static int
take_printable(const struct reading *r, const char *name, char *out, size_t size)
{
	size_t len;

	if (take_text(r, name, out, size, &len) == -1)
		return -1;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)out[i] < ' ' || out[i] == 0x7f)
			return fault(r, name, "has control characters in it");
	return 0;
}

static int
take_password(const struct reading *r, const char *name, struct secret_value *v)
{
	const char *usual = name != NULL ? name : "password";
	size_t at;

	if (take_named(r, name, "password", "Password", v->password, sizeof(v->password),
		&v->password_len) == -1)
		return -1;
	if (v->password_len > 0)
		return 0;
	if (find(r, usual, &at) == 1 || (name == NULL && find(r, "Password", &at) == 1))
		return fault(r, usual, "is empty");
	snprintf(r->err, r->errlen,
	    "the secret has no member \"%s\" (password_key= may name another one)", usual);
	return -1;
}

/* A number or a string of digits; an empty string is none. */
static int
take_port(const struct reading *r, const char *name, int *port)
{
	static const char what[] = "must be a port, 1 to 65535";
	size_t at, len;
	int64_t n = 0;
	char text[8];
	int found = find(r, name, &at);

	if (found != 1)
		return found;
	if (json_is(r->j, at, JSON_STRING)) {
		if (json_string(r->j, at, text, sizeof(text)) < 0)
			return fault(r, name, what);
		len = strlen(text);
		if (len == 0)
			return 0;
		if (strspn(text, "0123456789") != len)
			return fault(r, name, what);
		for (size_t i = 0; i < len; i++)
			n = n * 10 + (text[i] - '0');
	} else if (json_int(r->j, at, &n) == -1) {
		return fault(r, name, what);
	}
	if (n < 1 || n > 65535)
		return fault(r, name, what);
	*port = (int)n;
	return 0;
}

/* ---- times (RFC 3339) ---- */

/* Reads n digits of a value from low to high, and moves behind them. */
static bool
digits(const char **p, int n, int low, int high, int *out)
{
	*out = 0;
	for (; n > 0; n--, (*p)++) {
		if (!isdigit((unsigned char)**p))
			return false;
		*out = *out * 10 + (**p - '0');
	}
	return *out >= low && *out <= high;
}

static bool
mark(const char **p, const char *accepted)
{
	return **p != '\0' && strchr(accepted, *(*p)++) != NULL;
}

static int
days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static bool
read_date(const char **p, struct tm *tm)
{
	int year, month, day;

	if (!digits(p, 4, 1970, 9999, &year) || !mark(p, "-") || !digits(p, 2, 1, 12, &month) ||
	    !mark(p, "-") || !digits(p, 2, 1, days_in(year, month), &day))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	return mark(p, "Tt ");
}

/* Milliseconds of the fraction, if there is one; what is finer is cut off. */
static bool
read_fraction(const char **p, int *ms)
{
	int unit = 100;

	*ms = 0;
	if (**p != '.')
		return true;
	(*p)++;
	if (!isdigit((unsigned char)**p))
		return false;
	for (; isdigit((unsigned char)**p); (*p)++, unit /= 10)
		*ms += unit * (**p - '0');
	return true;
}

static bool
read_time(const char *p, int64_t *unix_ms)
{
	struct tm tm = { 0 };
	int ms, hours = 0, minutes = 0, sign = 1;

	if (!read_date(&p, &tm) || !digits(&p, 2, 0, 23, &tm.tm_hour) || !mark(&p, ":") ||
	    !digits(&p, 2, 0, 59, &tm.tm_min) || !mark(&p, ":") ||
	    !digits(&p, 2, 0, 60, &tm.tm_sec) || !read_fraction(&p, &ms))
		return false;
	if (*p == '+' || *p == '-') {
		sign = *p++ == '-' ? -1 : 1;
		if (!digits(&p, 2, 0, 23, &hours) || !mark(&p, ":") ||
		    !digits(&p, 2, 0, 59, &minutes))
			return false;
	} else if (!mark(&p, "Zz")) {
		return false;
	}
	*unix_ms = ((int64_t)timegm(&tm) - sign * (hours * 3600 + minutes * 60)) * 1000 + ms;
	return *p == '\0';
}

static int
take_expiration(const struct reading *r, int64_t *unix_ms)
{
	char text[48];
	size_t len;

	if (take_text(r, "Expiration", text, sizeof(text), &len) == -1)
		return -1;
	/* a time before 1970, by its zone, would read as "no end" */
	if (len > 0 && (!read_time(text, unix_ms) || *unix_ms <= 0))
		return fault(r, "Expiration", "must be a time like 2026-03-14T02:59:26Z");
	return 0;
}

/* ---- the whole ---- */

static int
read_object(const struct reading *r, struct secret_value *v, const struct secret_names *names)
{
	static const struct secret_names usual;
	const struct secret_names *n = names != NULL ? names : &usual;
	size_t len;

	if (take_named(r, n->user, "username", "Username", v->user, sizeof(v->user), &len) == -1 ||
	    take_password(r, n->password, v) == -1 ||
	    take_printable(r, n->host != NULL ? n->host : "host", v->host, sizeof(v->host)) == -1 ||
	    take_port(r, n->port != NULL ? n->port : "port", &v->port) == -1 ||
	    take_named(r, n->dbname, "dbname", NULL, v->dbname, sizeof(v->dbname), &len) == -1 ||
	    take_printable(r, "VersionId", v->version, sizeof(v->version)) == -1)
		return -1;
	return take_expiration(r, &v->expires_unix_ms);
}

static int
read_json(const char *text, size_t len, struct secret_value *v, const struct secret_names *names,
    char *err, size_t errlen)
{
	struct json_token tok[TOKENS_MAX];
	struct json j;
	const struct reading r = { &j, err, errlen };
	char why[128];

	if (json_parse(&j, text, len, tok, TOKENS_MAX, why, sizeof(why)) == -1) {
		snprintf(err, errlen, "the secret is not JSON: %s", why);
		return -1;
	}
	if (!json_is(&j, 0, JSON_OBJECT)) {
		snprintf(err, errlen, "the secret is JSON, but not an object");
		return -1;
	}
	return read_object(&r, v, names);
}

static bool
is_utf8(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + len;

	while (p < end) {
		size_t n = *p < 0x80 ? 1 : utf8_len(p, (size_t)(end - p));

		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

static int
read_plain(const char *text, size_t len, struct secret_value *v, char *err, size_t errlen)
{
	if (len > 0 && text[len - 1] == '\n')
		len -= len > 1 && text[len - 2] == '\r' ? 2 : 1;
	if (len == 0) {
		snprintf(err, errlen, "the secret is empty");
	} else if (len > SECRET_PASSWORD_MAX) {
		snprintf(err, errlen, "the secret is longer than the %d bytes of a password",
		    SECRET_PASSWORD_MAX);
	} else if (memchr(text, '\0', len) != NULL) {
		snprintf(err, errlen, "the secret has a NUL in it");
	} else if (!is_utf8(text, len)) {
		snprintf(err, errlen, "the secret is not UTF-8");
	} else {
		memcpy(v->password, text, len);
		v->password_len = len;
		return 0;
	}
	return -1;
}

/* A text that begins like an object but ends too early is a broken secret, not a password: it would
 * only be refused by the server, which locks accounts. */
static bool
begins_with_brace(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (memchr(" \t\r\n", text[i], 4) == NULL)
			return text[i] == '{';
	return false;
}

int
secret_value_parse(struct secret_value *v, const char *text, size_t len,
    const struct secret_names *names, bool plain_ok, char *err, size_t errlen)
{
	int rc;

	memset(v, 0, sizeof(*v));
	if (len > SECRET_TEXT_MAX) {
		snprintf(err, errlen, "the secret is longer than %d bytes", SECRET_TEXT_MAX);
		return -1;
	}
	if (plain_ok && !begins_with_brace(text, len))
		rc = read_plain(text, len, v, err, errlen);
	else
		rc = read_json(text, len, v, names, err, errlen);
	if (rc == -1)
		secret_value_wipe(v);
	return rc;
}

void
secret_value_wipe(struct secret_value *v)
{
	explicit_bzero(v, sizeof(*v));
}
