/* sigv4_canonical.h -- a request in the one spelling that both ends hash. For sigv4*.c only.
 * Nothing is copied: pieces of the request are sorted by reference and written out one by one.
 * What is not as it should be makes the result fail; it never becomes another spelling. */
#ifndef AUTH_SIGV4_CANONICAL_H
#define AUTH_SIGV4_CANONICAL_H

#include "auth/sigv4.h"

#define SIGV4_HEX_LEN	 64 /* of a SHA-256 */
#define SIGV4_DAY_LEN	 8  /* "20260314" */
#define SIGV4_ALGORITHM	 "AWS4-HMAC-SHA256"
#define SIGV4_TERMINATOR "aws4_request"

/* Limits of what is put together here; AWS's own are shorter. */
#define SIGV4_SECRET_MAX 256
#define SIGV4_NAME_MAX	 128 /* access key id, region, service: each */
#define SIGV4_SCOPE_SIZE (SIGV4_DAY_LEN + 2 * SIGV4_NAME_MAX + sizeof("///" SIGV4_TERMINATOR))

/* A text that need not be ended by a NUL. */
struct sigv4_text {
	const char *p;
	size_t len;
};

/* Where a canonical text goes: into a hash or a buffer. */
struct sigv4_sink {
	void (*put)(struct sigv4_sink *, const char *bytes, size_t len);
};

/* ---- the query: sigv4_query.c ---- */

/* One parameter. */
struct sigv4_param {
	struct sigv4_text name, value;
	bool raw; /* not encoded yet */
};

struct sigv4_query {
	/* room for X-Amz-* beside a full query of the caller's */
	struct sigv4_param params[SIGV4_QUERY_MAX + 8];
	size_t n;
};

/* Splits a query, NULL = none. -1: too many parameters, or a '%' without two hexadecimal digits. */
int sigv4_query_split(struct sigv4_query *, const char *query);
/* Adds one that is not encoded. */
void sigv4_query_add(struct sigv4_query *, const char *name, const char *value);
/* By encoded name, then by encoded value. */
void sigv4_query_sort(struct sigv4_query *);
/* The value (as sent) of the only parameter of this name. 0: there is none, -1: more than one. */
int sigv4_query_find(const struct sigv4_query *, const char *name, struct sigv4_text *value);
/* Drops all parameters of this name. */
void sigv4_query_drop(struct sigv4_query *, const char *name);
void sigv4_query_write(const struct sigv4_query *, struct sigv4_sink *);
/* A text that is not encoded yet. */
void sigv4_encode(struct sigv4_text, struct sigv4_sink *);

/* ---- the headers: sigv4_headers.c ---- */

/* Headers sorted by name; those of the same name stand together, in the order of the request. */
struct sigv4_headers {
	const struct sigv4_header *at[SIGV4_HEADERS_MAX];
	size_t n;
};

/* All headers of the request. -1: too many, or a name that is not one. */
int sigv4_headers_all(struct sigv4_headers *, const struct sigv4_request *);
/* Those that a list of names holds: ';' between them, or "%3B" in an encoded one. -1: too many, or a list that is not
 * of lower-case names, each once and in order. 1: a name that no header has. */
int sigv4_headers_listed(struct sigv4_headers *, const struct sigv4_request *,
    struct sigv4_text list, bool encoded);
bool sigv4_headers_have(const struct sigv4_headers *, const char *name);
/* "a;b;c", each name once. */
void sigv4_headers_write_names(const struct sigv4_headers *, struct sigv4_sink *);
/* "a:value\n" for each name. */
void sigv4_headers_write(const struct sigv4_headers *, struct sigv4_sink *);

/* ---- hash and signature: sigv4_canonical.c ---- */

/* A sink that is a buffer; sigv4_buffer_end() gives the length, or -1 = no room. */
struct sigv4_buffer {
	struct sigv4_sink sink;
	char *out;
	size_t size, len;
};

void sigv4_buffer_init(struct sigv4_buffer *, char *out, size_t size);
void sigv4_buffer_text(struct sigv4_buffer *, const char *);
/* Ends it with a NUL. */
int sigv4_buffer_end(struct sigv4_buffer *);

/* Hash of the canonical request in hexadecimal, with a NUL. The query is sorted. -1: the path is
 * none, or has too many segments. */
int sigv4_canonical_hash(char hex[SIGV4_HEX_LEN + 1], const struct sigv4_request *,
    const struct sigv4_query *, const struct sigv4_headers *);

/* "DATE/REGION/SERVICE/aws4_request" with a NUL. -1 = a part is too long, or empty. */
int sigv4_scope(char out[SIGV4_SCOPE_SIZE], const char *date, struct sigv4_text region,
    struct sigv4_text service);
/* The signature, in hexadecimal with a NUL. `date` has SIGV4_DATE_LEN characters. -1: the secret or
 * a part of the scope is too long. */
int sigv4_signature(char hex[SIGV4_HEX_LEN + 1], const char *secret_access_key, const char *date,
    struct sigv4_text region, struct sigv4_text service, const char hash[SIGV4_HEX_LEN + 1]);

#endif
