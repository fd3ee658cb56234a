/* bearer_call.h -- one GET at a cloud's API with the identity's token; a 401 gets one new token and
 * one more try. Must not know which cloud, nor read the answer. */
#ifndef AUTH_SOURCE_BEARER_CALL_H
#define AUTH_SOURCE_BEARER_CALL_H

#include "auth/source/bearer_token.h"
#include "proxy/base/loop.h"

/* Lives inside its owner. */
struct bearer_call {
	/* From the loop, once for each start: the response, or NULL and why there is none. Valid during
	 * the call, which may start the next. */
	void (*done)(struct bearer_call *, const struct https_response *,
	    const struct bearer_failure *);
	struct bearer *bearer; /* borrowed, like the texts */
	const struct secret_source_env *env;
	const char *ca_file;
	int64_t timeout_ms;
	struct bearer_want want; /* the rest is its own */
	struct https_call *http;
	struct deadline later;
	struct bearer_failure failure;
	char *url;
	uint64_t serial;
	bool sent_anew;
};

/* After the public members were set. */
void bearer_call_init(struct bearer_call *);
void bearer_call_get(struct bearer_call *, const char *url);
/* done() will say this. */
void bearer_call_fail(struct bearer_call *, enum secret_error, const char *message);
/* done will not run. Harmless when nothing is under way. */
void bearer_call_cancel(struct bearer_call *);

#endif
