/* The block functions of OpenSSL are deprecated; the ones that replace them allocate (see hmac.c). */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "auth/sigv4_canonical.h"

#include "auth/hmac.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

/* Of a path; a service that has more is unknown to us. */
#define SEGMENTS_MAX 64

struct hash {
	struct sigv4_sink sink;
	SHA256_CTX sha;
};

static void
put_hash(struct sigv4_sink *s, const char *bytes, size_t len)
{
	SHA256_Update(&((struct hash *)s)->sha, bytes, len);
}

static void
put_buffer(struct sigv4_sink *s, const char *bytes, size_t len)
{
	struct sigv4_buffer *b = (struct sigv4_buffer *)s;

	/* one byte is for the NUL; `size` says from now on that there was no room */
	if (b->size <= b->len || len > b->size - b->len - 1) {
		b->size = 0;
		return;
	}
	memcpy(b->out + b->len, bytes, len);
	b->len += len;
}

void
sigv4_buffer_init(struct sigv4_buffer *b, char *out, size_t size)
{
	*b = (struct sigv4_buffer){ .sink.put = put_buffer, .out = out, .size = size };
}

void
sigv4_buffer_text(struct sigv4_buffer *b, const char *text)
{
	put_buffer(&b->sink, text, strlen(text));
}

int
sigv4_buffer_end(struct sigv4_buffer *b)
{
	if (b->size == 0)
		return -1;
	b->out[b->len] = '\0';
	return (int)b->len;
}

static void
hexadecimal(char out[SIGV4_HEX_LEN + 1], const uint8_t bytes[SHA256_DIGEST_LENGTH])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[SIGV4_HEX_LEN] = '\0';
}

static void
put_line(struct sigv4_sink *s, const char *text)
{
	s->put(s, text, strlen(text));
	s->put(s, "\n", 1);
}

/* ---- the path ---- */

static bool
is(struct sigv4_text t, const char *text)
{
	return t.len == strlen(text) && memcmp(t.p, text, t.len) == 0;
}

/* The segments that are left when "//", "." and ".." are resolved. */
static int
resolve(struct sigv4_text seg[SEGMENTS_MAX], const char *path)
{
	int n = 0;
	size_t len;

	for (const char *p = path; *p != '\0'; p += len + (p[len] == '/')) {
		struct sigv4_text t;

		len = strcspn(p, "/");
		t = (struct sigv4_text){ p, len };
		if (len == 0 || is(t, "."))
			continue;
		if (is(t, ".."))
			n -= n > 0;
		else if (n == SEGMENTS_MAX)
			return -1;
		else
			seg[n++] = t;
	}
	return n;
}

static int
put_path(struct sigv4_sink *s, const struct sigv4_request *r)
{
	struct sigv4_text seg[SEGMENTS_MAX];
	size_t len = strlen(r->path);
	int n;

	if (r->path[0] != '/')
		return -1;
	if (!r->double_encode_path) {
		for (size_t i = 0; i < len; i++) {
			/* as it is, so that it must not hold the end of its line */
			if ((unsigned char)r->path[i] <= ' ' || r->path[i] == 0x7f)
				return -1;
		}
		put_line(s, r->path);
		return 0;
	}
	n = resolve(seg, r->path);
	if (n == -1)
		return -1;
	for (int i = 0; i < n; i++) {
		s->put(s, "/", 1);
		sigv4_encode(seg[i], s);
	}
	if (n == 0 || r->path[len - 1] == '/')
		s->put(s, "/", 1);
	s->put(s, "\n", 1);
	return 0;
}

/* ---- the request ---- */

static bool
is_method(const char *m)
{
	size_t n = strspn(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return n > 0 && m[n] == '\0';
}

int
sigv4_canonical_hash(char hex[SIGV4_HEX_LEN + 1], const struct sigv4_request *r,
    const struct sigv4_query *q, const struct sigv4_headers *h)
{
	struct hash x = { .sink.put = put_hash };
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (!is_method(r->method))
		return -1;
	SHA256_Init(&x.sha);
	put_line(&x.sink, r->method);
	if (put_path(&x.sink, r) == -1)
		return -1;
	sigv4_query_write(q, &x.sink);
	put_line(&x.sink, "");
	sigv4_headers_write(h, &x.sink);
	put_line(&x.sink, "");
	sigv4_headers_write_names(h, &x.sink);
	put_line(&x.sink, "");
	hmac_digest(r->body == NULL ? "" : r->body, r->body == NULL ? 0 : r->body_len, digest);
	hexadecimal(hex, digest);
	x.sink.put(&x.sink, hex, SIGV4_HEX_LEN);
	SHA256_Final(digest, &x.sha);
	hexadecimal(hex, digest);
	explicit_bzero(&x, sizeof(x)); /* of a token */
	return 0;
}

/* ---- the signature ---- */

int
sigv4_scope(char out[SIGV4_SCOPE_SIZE], const char *date, struct sigv4_text region,
    struct sigv4_text service)
{
	if (region.len == 0 || region.len > SIGV4_NAME_MAX || service.len == 0 ||
	    service.len > SIGV4_NAME_MAX)
		return -1;
	return snprintf(out, SIGV4_SCOPE_SIZE, "%.*s/%.*s/%.*s/" SIGV4_TERMINATOR, SIGV4_DAY_LEN,
	    date, (int)region.len, region.p, (int)service.len, service.p);
}

static void
derive(uint8_t key[HMAC_LEN], const void *from, size_t from_len, const void *text, size_t len)
{
	struct hmac_key k;

	hmac_key_init(&k, from, from_len);
	hmac_sign(&k, text, len, key);
	explicit_bzero(&k, sizeof(k));
}

int
sigv4_signature(char hex[SIGV4_HEX_LEN + 1], const char *secret, const char *date,
    struct sigv4_text region, struct sigv4_text service, const char hash[SIGV4_HEX_LEN + 1])
{
	char scope[SIGV4_SCOPE_SIZE], first[4 + SIGV4_SECRET_MAX + 1];
	char text[sizeof(SIGV4_ALGORITHM) + SIGV4_DATE_LEN + 1 + sizeof(scope) + SIGV4_HEX_LEN];
	size_t secret_len = strnlen(secret, SIGV4_SECRET_MAX + 1);
	uint8_t key[HMAC_LEN];
	int len;

	if (secret_len > SIGV4_SECRET_MAX || sigv4_scope(scope, date, region, service) == -1)
		return -1;
	len = snprintf(text, sizeof(text), SIGV4_ALGORITHM "\n%.*s\n%s\n%s", SIGV4_DATE_LEN, date,
	    scope, hash);
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret, secret_len);
	derive(key, first, 4 + secret_len, date, SIGV4_DAY_LEN);
	derive(key, key, HMAC_LEN, region.p, region.len);
	derive(key, key, HMAC_LEN, service.p, service.len);
	derive(key, key, HMAC_LEN, SIGV4_TERMINATOR, strlen(SIGV4_TERMINATOR));
	derive(key, key, HMAC_LEN, text, (size_t)len);
	hexadecimal(hex, key);
	explicit_bzero(first, sizeof(first));
	explicit_bzero(key, sizeof(key));
	return 0;
}
