/* https_call.h -- outgoing HTTP calls of the main thread, by libcurl's multi interface on a loop.
 * TLS is always verified, redirects are not followed, proxies are used only when the caller says so.
 * A body is bounded, and wiped after `done` returns, as are all copies made here. One https_calls
 * belongs to one thread. Must not know providers. The only file that includes curl. */
#ifndef AUTH_HTTPS_CALL_H
#define AUTH_HTTPS_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;
struct https_calls;
struct https_call;

#define HTTPS_HEADERS_MAX  16
#define HTTPS_RESPONSE_MAX (1024 * 1024)

struct https_request {
	const char *method; /* GET, POST, PUT */
	const char *url;
	/* "Name: value", as they are sent; Host, Content-Length and Connection are libcurl's, Accept and
	 * Expect are sent only if listed. */
	const char *headers[HTTPS_HEADERS_MAX];
	size_t n_headers;
	const char *body; /* NULL = none */
	size_t body_len;
	const char *ca_file;			/* NULL: the system's */
	const char *cert_file, *key_file;	/* client certificate, NULL = none */
	int64_t connect_timeout_ms, timeout_ms; /* 0: 3000 and 8000 */
	/* http:// is refused unless the host is a loopback or link-local address, or this is set. */
	bool plain_http;
	bool proxy; /* honour https_proxy and no_proxy of the environment; never for metadata */
};

struct https_response {
	int status;	   /* 0: no answer; error says why */
	const char *error; /* one line without secrets, NULL with a status */
	const char *body;  /* with a NUL behind it */
	size_t len;
	struct https_call *call; /* for https_header() */
};

/* The response and its texts are valid during the call only. It may start other calls, not free the
 * https_calls. */
typedef void https_done(void *arg, const struct https_response *);

/* NULL = no memory. */
struct https_calls *https_calls_new(struct loop *);
/* Calls under way end without a word. NULL is harmless. */
void https_calls_free(struct https_calls *);

/* Copies the request. `done` runs once, from the loop, never from inside this call. NULL = no memory
 * (done will not run). */
struct https_call *https_call(struct https_calls *, const struct https_request *, https_done *,
    void *arg);
/* done will not run. Only before it did. */
void https_cancel(struct https_call *);

/* A header of the response by its name (any case), trimmed, or NULL. Valid like the response. */
const char *https_header(const struct https_response *, const char *name);
/* Its Date as seconds since 1970, or 0. */
int64_t https_date(const struct https_response *);
/* Its Retry-After (seconds or a date) in ms, 0 = none; one hour at most. */
int64_t https_retry_after_ms(const struct https_response *);

#endif
