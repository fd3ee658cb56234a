/* aws_post.h -- sends one POST to an AWS service, signed or not. Must not know services, nor where
 * keys come from. */
#ifndef AUTH_SOURCE_AWS_POST_H
#define AUTH_SOURCE_AWS_POST_H

#include "auth/https_call.h"
#include "auth/source/aws_keys.h"

struct aws_post {
	const char *endpoint; /* "https://HOST[:PORT][/PATH]" */
	const char *content_type;
	const char *target; /* X-Amz-Target, NULL = none */
	const char *body;
	size_t body_len;
	const char *region, *service;
	const struct aws_keys *keys; /* NULL: unsigned */
	const char *ca_file;	     /* NULL: AWS_CA_BUNDLE, else the system's */
	int64_t timeout_ms;
};

/* As https_call(). Copies. NULL: no memory, or a request that is too long to be signed. */
struct https_call *aws_post(const struct secret_source_env *, const struct aws_post *, https_done *,
    void *arg);

/* Is that a URL for `endpoint`, with http:// for loopback addresses in mind? */
bool aws_endpoint_ok(const char *);
/* The address of a service: its own variable (AWS_ENDPOINT_URL_...), AWS_ENDPOINT_URL, the profile's
 * (NULL = none), else Amazon's for that region ("" = the one without). -1: too long, or no URL. */
int aws_endpoint(char *out, size_t size, const char *variable, const char *profile_url,
    const char *service, const char *region);

#endif
