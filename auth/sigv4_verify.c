#include "auth/sigv4.h"

#include "auth/sigv4_canonical.h"
#include "proxy/base/secret.h"

#include <string.h>

#define EXPIRES_MAX_S 604800

static bool
is(struct sigv4_text t, const char *text)
{
	return t.len == strlen(text) && memcmp(t.p, text, t.len) == 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The only header of this name, trimmed. 0: there is none, -1: more than one. */
static int
find_header(const struct sigv4_request *r, const char *name, struct sigv4_text *value)
{
	int found = 0;

	for (size_t i = 0; i < r->n_headers; i++) {
		const char *v = r->headers[i].value;

		if (strcasecmp(r->headers[i].name, name) != 0)
			continue;
		if (found++ > 0)
			return -1;
		while (is_blank(*v))
			v++;
		*value = (struct sigv4_text){ v, strlen(v) };
		while (value->len > 0 && is_blank(v[value->len - 1]))
			value->len--;
	}
	return found;
}

/* ---- the claim ---- */

/* Length of the '/' that t begins with, which a query may encode; 0 = none. */
static size_t
slash(struct sigv4_text t, bool encoded)
{
	if (t.len >= 1 && t.p[0] == '/')
		return 1;
	return encoded && t.len >= 3 && strncasecmp(t.p, "%2f", 3) == 0 ? 3 : 0;
}

static bool
is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_' || c == '.';
}

/* Takes a part of the credential and the slash behind it; false = it is not followed by one, or is
 * not a name of at most SIGV4_NAME_MAX plain characters. */
static bool
take_part(struct sigv4_text *t, bool encoded, const char **part, size_t *len)
{
	size_t n = 0, sep;

	while (n < t->len && is_plain(t->p[n]))
		n++;
	sep = slash((struct sigv4_text){ t->p + n, t->len - n }, encoded);
	if (n == 0 || n > SIGV4_NAME_MAX || sep == 0)
		return false;
	*part = t->p;
	*len = n;
	t->p += n + sep;
	t->len -= n + sep;
	return true;
}

static bool
read_credential(struct sigv4_claim *c, struct sigv4_text t)
{
	size_t day_len;

	/* the day must be that of the full date, which is checked as a date */
	return take_part(&t, c->presigned, &c->access_key_id, &c->access_key_id_len) &&
	       take_part(&t, c->presigned, &c->date, &day_len) && day_len == SIGV4_DAY_LEN &&
	       memcmp(c->date, c->amz_date, SIGV4_DAY_LEN) == 0 &&
	       take_part(&t, c->presigned, &c->region, &c->region_len) &&
	       take_part(&t, c->presigned, &c->service, &c->service_len) && is(t, SIGV4_TERMINATOR);
}

static bool
read_date(struct sigv4_claim *c, struct sigv4_text t)
{
	c->amz_date = t.p;
	return sigv4_parse_date(t.p, t.len) != -1;
}

static bool
read_signature(struct sigv4_claim *c, struct sigv4_text t)
{
	for (size_t i = 0; i < t.len; i++) {
		if (!((t.p[i] >= '0' && t.p[i] <= '9') || (t.p[i] >= 'a' && t.p[i] <= 'f')))
			return false;
	}
	c->signature = t.p;
	return t.len == SIGV4_HEX_LEN;
}

static bool
read_expires(struct sigv4_claim *c, struct sigv4_text t)
{
	c->expires_s = 0;
	for (size_t i = 0; i < t.len; i++) {
		if (t.p[i] < '0' || t.p[i] > '9' || i == 6)
			return false;
		c->expires_s = c->expires_s * 10 + (t.p[i] - '0');
	}
	return c->expires_s >= 1 && c->expires_s <= EXPIRES_MAX_S;
}

/* The three members of an Authorization header. */
enum { CREDENTIAL, SIGNED_HEADERS, SIGNATURE, N_MEMBERS };

/* Splits "AWS4-HMAC-SHA256 Name=value, Name=value, Name=value": each once, in any order. */
static bool
split_authorization(struct sigv4_text t, struct sigv4_text member[N_MEMBERS])
{
	static const char *const names[] = { "Credential=", "SignedHeaders=", "Signature=" };
	const size_t scheme = strlen(SIGV4_ALGORITHM);
	const char *p, *end = t.p + t.len;

	if (t.len <= scheme || memcmp(t.p, SIGV4_ALGORITHM, scheme) != 0 || !is_blank(t.p[scheme]))
		return false;
	p = t.p + scheme;
	for (int found = 0; found < N_MEMBERS; found++) {
		int which = 0;
		size_t n = 0;

		while (p < end && is_blank(*p))
			p++;
		while (which < N_MEMBERS && ((size_t)(end - p) < strlen(names[which]) ||
						memcmp(p, names[which], strlen(names[which])) != 0))
			which++;
		if (which == N_MEMBERS || member[which].p != NULL)
			return false;
		p += strlen(names[which]);
		while (p + n < end && p[n] != ',' && !is_blank(p[n]))
			n++;
		member[which] = (struct sigv4_text){ p, n };
		p += n;
		while (p < end && is_blank(*p))
			p++;
		if (found < N_MEMBERS - 1 && (p == end || *p++ != ','))
			return false;
	}
	return p == end;
}

static bool
claim_of_header(const struct sigv4_request *r, struct sigv4_text authorization,
    struct sigv4_claim *c)
{
	struct sigv4_text member[N_MEMBERS] = { { NULL, 0 } }, date;

	if (!split_authorization(authorization, member) ||
	    find_header(r, "x-amz-date", &date) != 1 || !read_date(c, date))
		return false;
	c->signed_headers = member[SIGNED_HEADERS].p;
	c->signed_headers_len = member[SIGNED_HEADERS].len;
	return read_credential(c, member[CREDENTIAL]) && read_signature(c, member[SIGNATURE]);
}

static bool
claim_of_query(const struct sigv4_query *q, struct sigv4_claim *c)
{
	struct sigv4_text algorithm, credential, date, expires, headers, signature;

	c->presigned = true;
	if (sigv4_query_find(q, "X-Amz-Algorithm", &algorithm) != 1 ||
	    sigv4_query_find(q, "X-Amz-Credential", &credential) != 1 ||
	    sigv4_query_find(q, "X-Amz-Date", &date) != 1 ||
	    sigv4_query_find(q, "X-Amz-Expires", &expires) != 1 ||
	    sigv4_query_find(q, "X-Amz-SignedHeaders", &headers) != 1 ||
	    sigv4_query_find(q, "X-Amz-Signature", &signature) != 1)
		return false;
	c->signed_headers = headers.p;
	c->signed_headers_len = headers.len;
	return is(algorithm, SIGV4_ALGORITHM) && read_date(c, date) &&
	       read_credential(c, credential) && read_expires(c, expires) &&
	       read_signature(c, signature);
}

enum sigv4_verdict
sigv4_claim(const struct sigv4_request *r, struct sigv4_claim *c)
{
	struct sigv4_text authorization, signature;
	struct sigv4_headers h;
	struct sigv4_query q;
	int in_header, in_query;
	bool good;

	memset(c, 0, sizeof(*c));
	if (r->n_headers > SIGV4_HEADERS_MAX || sigv4_query_split(&q, r->query) == -1)
		return SIGV4_MALFORMED;
	in_header = find_header(r, "authorization", &authorization);
	in_query = sigv4_query_find(&q, "X-Amz-Signature", &signature);
	/* one signature: with two, somebody would look at the other one */
	if ((in_header == 1) == (in_query == 1) || in_header == -1 || in_query == -1)
		return SIGV4_MALFORMED;
	good = in_header == 1 ? claim_of_header(r, authorization, c) : claim_of_query(&q, c);
	if (!good || sigv4_headers_listed(&h, r,
			 (struct sigv4_text){ c->signed_headers, c->signed_headers_len },
			 c->presigned) == -1) {
		memset(c, 0, sizeof(*c));
		return SIGV4_MALFORMED;
	}
	return SIGV4_OK;
}

/* ---- the proof ---- */

static bool
is_amz(const char *name)
{
	return strncasecmp(name, "x-amz-", strlen("x-amz-")) == 0;
}

/* Whether all headers are signed that mean something to us. */
static bool
is_covered(const struct sigv4_request *r, const struct sigv4_headers *h)
{
	for (size_t i = 0; i < r->n_headers; i++) {
		if (is_amz(r->headers[i].name) && !sigv4_headers_have(h, r->headers[i].name))
			return false;
	}
	return sigv4_headers_have(h, "host");
}

static bool
is_in_time(const struct sigv4_claim *c, int64_t now, int skew_s)
{
	int64_t date = sigv4_parse_date(c->amz_date, SIGV4_DATE_LEN);

	return now >= date - skew_s && now <= date + (c->presigned ? c->expires_s : 0) + skew_s;
}

enum sigv4_verdict
sigv4_verify(const struct sigv4_request *r, const struct sigv4_claim *c, const char *secret,
    int64_t now, int skew_s)
{
	struct sigv4_text region = { c->region, c->region_len },
			  service = { c->service, c->service_len },
			  list = { c->signed_headers, c->signed_headers_len }, host;
	char hash[SIGV4_HEX_LEN + 1], hex[SIGV4_HEX_LEN + 1];
	struct sigv4_headers h;
	struct sigv4_query q;
	int listed = sigv4_headers_listed(&h, r, list, c->presigned);
	bool same;

	/* two hosts: who else reads the request may take the other one */
	if (listed == -1 || find_header(r, "host", &host) != 1 ||
	    sigv4_query_split(&q, r->query) == -1)
		return SIGV4_MALFORMED;
	if (!is_covered(r, &h))
		return SIGV4_UNSIGNED;
	if (!is_in_time(c, now, skew_s))
		return SIGV4_SKEWED;
	/* a signature for another service would serve here, were its scope not ours */
	if (listed != 0 || (r->region != NULL && !is(region, r->region)) ||
	    (r->service != NULL && !is(service, r->service)))
		return SIGV4_MISMATCH;
	if (c->presigned)
		sigv4_query_drop(&q, "X-Amz-Signature");
	sigv4_query_sort(&q);
	if (sigv4_canonical_hash(hash, r, &q, &h) == -1)
		return SIGV4_MALFORMED;
	if (sigv4_signature(hex, secret, c->amz_date, region, service, hash) == -1)
		return SIGV4_MISMATCH;
	same = secret_equal(hex, c->signature, SIGV4_HEX_LEN);
	explicit_bzero(hex, sizeof(hex));
	return same ? SIGV4_OK : SIGV4_MISMATCH;
}
