#include "auth/sigv4.h"

#include "auth/sigv4_canonical.h"

#include <stdio.h>
#include <string.h>

#define DAY_S	      86400
#define LAST_SECOND   253402300799 /* of the year 9999 */
#define EXPIRES_MAX_S (7 * DAY_S)

/* ---- dates: the proleptic Gregorian calendar, years that begin in March ---- */

static int64_t
days_of(int year, int month, int day)
{
	int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void
sigv4_date(char out[SIGV4_DATE_LEN + 1], int64_t unix_seconds)
{
	int64_t s = unix_seconds < 0 ? 0 : unix_seconds > LAST_SECOND ? LAST_SECOND : unix_seconds;
	int64_t days = s / DAY_S + 719468, era = days / 146097, of_era = days % 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (unsigned)((5 * of_year + 2) / 153);
	unsigned day = (unsigned)(of_year - (153 * month + 2) / 5 + 1);
	unsigned of_day = (unsigned)(s % DAY_S);

	month = month < 10 ? month + 3 : month - 9;
	snprintf(out, SIGV4_DATE_LEN + 1, "%04u%02u%02uT%02u%02u%02uZ",
	    (unsigned)(year + era * 400 + (month <= 2)) % 10000, month % 100, day % 100,
	    of_day / 3600 % 100, of_day / 60 % 60, of_day % 60);
}

/* -1 = a character is not a digit. */
static int
number(const char *p, int digits)
{
	int n = 0;

	for (int i = 0; i < digits; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		n = n * 10 + (p[i] - '0');
	}
	return n;
}

static int
days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

int64_t
sigv4_parse_date(const char *text, size_t len)
{
	int year, month, day, hour, minute, second;

	if (len != SIGV4_DATE_LEN || text[8] != 'T' || text[15] != 'Z')
		return -1;
	year = number(text, 4);
	month = number(text + 4, 2);
	day = number(text + 6, 2);
	hour = number(text + 9, 2);
	minute = number(text + 11, 2);
	second = number(text + 13, 2);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) ||
	    hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
		return -1;
	return days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
}

/* ---- signing ---- */

static struct sigv4_text
text_of(const char *s)
{
	return (struct sigv4_text){ s, strlen(s) };
}

/* "AKID/DATE/REGION/SERVICE/aws4_request". */
static int
credential(char *out, size_t size, const struct sigv4_request *r, const struct sigv4_key *key,
    const char *date)
{
	char scope[SIGV4_SCOPE_SIZE];
	size_t len = strlen(key->access_key_id);
	int n;

	if (len == 0 || len > SIGV4_NAME_MAX)
		return -1;
	if (sigv4_scope(scope, date, text_of(r->region), text_of(r->service)) == -1)
		return -1;
	n = snprintf(out, size, "%s/%s", key->access_key_id, scope);
	return n < 0 || (size_t)n >= size ? -1 : n;
}

static int
sign(char hex[SIGV4_HEX_LEN + 1], const struct sigv4_request *r, const struct sigv4_key *key,
    const char *date, const struct sigv4_query *q, const struct sigv4_headers *h)
{
	char hash[SIGV4_HEX_LEN + 1];

	if (sigv4_parse_date(date, strlen(date)) == -1 || sigv4_canonical_hash(hash, r, q, h) == -1)
		return -1;
	return sigv4_signature(hex, key->secret_access_key, date, text_of(r->region),
	    text_of(r->service), hash);
}

int
sigv4_authorization(char *out, size_t size, const struct sigv4_request *r,
    const struct sigv4_key *key, const char date[SIGV4_DATE_LEN + 1])
{
	char id[SIGV4_NAME_MAX + 1 + SIGV4_SCOPE_SIZE], hex[SIGV4_HEX_LEN + 1];
	struct sigv4_headers h;
	struct sigv4_query q;
	struct sigv4_buffer b;

	if (sigv4_headers_all(&h, r) == -1 || h.n == 0 || sigv4_query_split(&q, r->query) == -1)
		return -1;
	sigv4_query_sort(&q);
	if (sign(hex, r, key, date, &q, &h) == -1 || credential(id, sizeof(id), r, key, date) == -1)
		return -1;
	sigv4_buffer_init(&b, out, size);
	sigv4_buffer_text(&b, SIGV4_ALGORITHM " Credential=");
	sigv4_buffer_text(&b, id);
	sigv4_buffer_text(&b, ", SignedHeaders=");
	sigv4_headers_write_names(&h, &b.sink);
	sigv4_buffer_text(&b, ", Signature=");
	sigv4_buffer_text(&b, hex);
	return sigv4_buffer_end(&b);
}

/* What a presigned request signs: its only header is host. */
static int
host_only(struct sigv4_headers *h, const struct sigv4_request *r)
{
	return sigv4_headers_listed(h, r, text_of("host"), false) != 0 || h->n != 1 ? -1 : 0;
}

int
sigv4_presign(char *out, size_t size, const struct sigv4_request *r, const struct sigv4_key *key,
    const char date[SIGV4_DATE_LEN + 1], int expires_s)
{
	char id[SIGV4_NAME_MAX + 1 + SIGV4_SCOPE_SIZE], hex[SIGV4_HEX_LEN + 1], expires[16];
	struct sigv4_headers h;
	struct sigv4_query q;
	struct sigv4_buffer b;

	if (expires_s < 1 || expires_s > EXPIRES_MAX_S || host_only(&h, r) == -1 ||
	    sigv4_query_split(&q, r->query) == -1 || credential(id, sizeof(id), r, key, date) == -1)
		return -1;
	snprintf(expires, sizeof(expires), "%d", expires_s);
	sigv4_query_add(&q, "X-Amz-Algorithm", SIGV4_ALGORITHM);
	sigv4_query_add(&q, "X-Amz-Credential", id);
	sigv4_query_add(&q, "X-Amz-Date", date);
	sigv4_query_add(&q, "X-Amz-Expires", expires);
	if (key->session_token != NULL)
		sigv4_query_add(&q, "X-Amz-Security-Token", key->session_token);
	sigv4_query_add(&q, "X-Amz-SignedHeaders", "host");
	sigv4_query_sort(&q);
	if (sign(hex, r, key, date, &q, &h) == -1)
		return -1;
	sigv4_buffer_init(&b, out, size);
	sigv4_query_write(&q, &b.sink);
	sigv4_buffer_text(&b, "&X-Amz-Signature=");
	sigv4_buffer_text(&b, hex);
	return sigv4_buffer_end(&b);
}
