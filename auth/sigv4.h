/* sigv4.h -- AWS Signature Version 4: one canonicaliser that signs, presigns and verifies.
 * Format: "Signing AWS API requests" (reference/secrets-and-metrics.md section 5). Pure but for
 * OpenSSL's digests; no clock, no I/O. Keys are wiped by their owners. Must not know services. */
#ifndef AUTH_SIGV4_H
#define AUTH_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGV4_HEADERS_MAX 64
#define SIGV4_QUERY_MAX	  64 /* parameters */

struct sigv4_key {
	const char *access_key_id, *secret_access_key;
	const char *session_token; /* NULL = none */
};

struct sigv4_header {
	const char *name, *value; /* any case, untrimmed */
};

struct sigv4_request {
	const char *method;
	const char *path;  /* as sent, "/" at least; encoded once already */
	const char *query; /* as sent, without '?', encoded; NULL or "" = none */
	const struct sigv4_header *headers;
	size_t n_headers;
	const void *body; /* its hash is signed */
	size_t body_len;
	const char *region, *service;
	bool double_encode_path; /* every service but s3 */
};

/* "20260314T015926Z" and a NUL. */
#define SIGV4_DATE_LEN 16
void sigv4_date(char out[SIGV4_DATE_LEN + 1], int64_t unix_seconds);
/* Seconds since 1970, -1 = not in that form. */
int64_t sigv4_parse_date(const char *text, size_t len);

/* The value of the Authorization header for a request whose headers (all of them signed) include
 * host, x-amz-date and, with temporary keys, x-amz-security-token. Length, or -1: no room or no
 * digest. */
int sigv4_authorization(char *out, size_t size, const struct sigv4_request *,
    const struct sigv4_key *, const char date[SIGV4_DATE_LEN + 1]);

/* The query of a presigned GET: the request's own query plus X-Amz-*, sorted, ending in the
 * signature. Only `host` is signed. Length, or -1. */
int sigv4_presign(char *out, size_t size, const struct sigv4_request *, const struct sigv4_key *,
    const char date[SIGV4_DATE_LEN + 1], int expires_s);

/* What a signed request claims, before anything is known to be true. Points into its texts. */
struct sigv4_claim {
	const char *access_key_id, *date, *region, *service, *signed_headers, *signature;
	size_t access_key_id_len, region_len, service_len, signed_headers_len;
	const char *amz_date; /* SIGV4_DATE_LEN characters */
	int expires_s;	      /* of a presigned one, else 0 */
	bool presigned;
};

enum sigv4_verdict {
	SIGV4_OK,
	SIGV4_MALFORMED,
	SIGV4_SKEWED,	/* not yet, or no longer, valid */
	SIGV4_UNSIGNED, /* a header that must be signed is not: host, x-amz-* */
	SIGV4_MISMATCH,
};

/* Finds the claim in the Authorization header or (presigned) in the query. */
enum sigv4_verdict sigv4_claim(const struct sigv4_request *, struct sigv4_claim *);
/* Recomputes the signature with the secret key of the claim's access key and compares in constant
 * time. `now` in seconds since 1970; skew_s is allowed either way. */
enum sigv4_verdict sigv4_verify(const struct sigv4_request *, const struct sigv4_claim *,
    const char *secret_access_key, int64_t now, int skew_s);

#endif
