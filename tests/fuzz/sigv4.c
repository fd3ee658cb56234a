/* sigv4.c -- fuzz harness: requests that claim to be signed.
 * Input: method, path, query, then "name: value" lines, an empty line, the body. Whatever it is, the
 * parser must not read beyond its texts and no signature but ours may be good; a request that the
 * harness signs itself must verify, and must not once a byte of its body was changed. */
#include "auth/sigv4.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 16384
#define NOW	  INT64_C(1773453566)
#define SKEW_S	  300

static const struct sigv4_key key = { "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	"token" };

struct input {
	struct sigv4_request r;
	struct sigv4_header headers[SIGV4_HEADERS_MAX + 4];
};

static char *
line(char **at)
{
	char *text = *at, *nl = strchr(text, '\n');

	if (nl == NULL)
		*at = text + strlen(text);
	else {
		*nl = '\0';
		*at = nl + 1;
	}
	return text;
}

static void
read_input(struct input *in, char *text, size_t size)
{
	char *end = text + size, *at = text, *h, *colon;

	memset(in, 0, sizeof(*in));
	in->r.method = line(&at);
	in->r.path = line(&at);
	in->r.query = line(&at);
	in->r.headers = in->headers;
	in->r.double_encode_path = size % 2 == 0;
	while (at < end && *(h = line(&at)) != '\0' && in->r.n_headers <= SIGV4_HEADERS_MAX) {
		colon = strchr(h, ':');
		if (colon == NULL)
			continue;
		*colon = '\0';
		in->headers[in->r.n_headers++] = (struct sigv4_header){ h, colon + 1 };
	}
	in->r.body = at;
	in->r.body_len = (size_t)(end - at);
}

/* A claim's texts lie within the request: touch them all. */
static void
check_claim(const struct sigv4_claim *c)
{
	size_t sum = 0;

	for (size_t i = 0; i < c->access_key_id_len; i++)
		sum += c->access_key_id[i] == '/';
	for (size_t i = 0; i < c->region_len; i++)
		sum += c->region[i] == '/';
	for (size_t i = 0; i < c->service_len; i++)
		sum += c->service[i] == '/';
	if (sum != 0 || c->access_key_id_len == 0 || c->region_len == 0 || c->service_len == 0 ||
	    c->signed_headers_len == 0 || memcmp(c->date, c->amz_date, 8) != 0 ||
	    sigv4_parse_date(c->amz_date, SIGV4_DATE_LEN) == -1 ||
	    c->presigned != (c->expires_s != 0))
		abort();
}

static enum sigv4_verdict
verdict(const struct sigv4_request *r, const char *secret)
{
	struct sigv4_claim c;
	enum sigv4_verdict v = sigv4_claim(r, &c);

	if (v != SIGV4_OK)
		return v;
	check_claim(&c);
	return sigv4_verify(r, &c, secret, NOW, SKEW_S);
}

static int
count(const struct sigv4_request *r, const char *name)
{
	int n = 0;

	for (size_t i = 0; i < r->n_headers; i++)
		n += strcasecmp(r->headers[i].name, name) == 0;
	return n;
}

/* Header names that do not survive the list of names, or that we must add ourselves. */
static bool
may_sign(const struct sigv4_request *r)
{
	if (r->n_headers > SIGV4_HEADERS_MAX - 3 || count(r, "authorization") > 0 ||
	    count(r, "x-amz-date") > 0 || count(r, "host") > 1 ||
	    strstr(r->query, "X-Amz-Signature") != NULL || strchr(r->query, '%') != NULL)
		return false;
	for (size_t i = 0; i < r->n_headers; i++) {
		const char *name = r->headers[i].name;

		if (*name == '\0' || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
						  "VWXYZ0123456789-") != strlen(name))
			return false;
	}
	return true;
}

static void
round_trip(struct input *in, char *text, size_t size)
{
	char out[16384], date[SIGV4_DATE_LEN + 1], *last;

	if (!may_sign(&in->r))
		return;
	sigv4_date(date, NOW);
	if (count(&in->r, "host") == 0)
		in->headers[in->r.n_headers++] = (struct sigv4_header){ "Host", "h" };
	in->headers[in->r.n_headers++] = (struct sigv4_header){ "X-Amz-Date", date };
	in->r.region = "us-east-1";
	in->r.service = "sts";
	if (sigv4_authorization(out, sizeof(out), &in->r, &key, date) == -1)
		return;
	in->headers[in->r.n_headers++] = (struct sigv4_header){ "Authorization", out };
	if (verdict(&in->r, key.secret_access_key) != SIGV4_OK)
		abort();
	if (in->r.body_len == 0)
		return;
	last = &text[size - 1];
	*last = *last == 'x' ? 'y' : 'x';
	if (verdict(&in->r, key.secret_access_key) != SIGV4_MISMATCH)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in;
	char *text;

	if (size > INPUT_MAX || (text = malloc(size + 1)) == NULL)
		return 0;
	if (size != 0)
		memcpy(text, data, size);
	text[size] = '\0';
	read_input(&in, text, size);
	/* nobody can have signed with this key */
	if (verdict(&in.r, "a secret of nobody") == SIGV4_OK)
		abort();
	round_trip(&in, text, size);
	free(text);
	return 0;
}
