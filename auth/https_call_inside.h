/* https_call_inside.h -- what the files https_call*.c share; nobody else may include it.
 * A call owns its easy handle and all that the handle only borrows. */
#ifndef AUTH_HTTPS_CALL_INSIDE_H
#define AUTH_HTTPS_CALL_INSIDE_H

#include "auth/https_call.h"
#include "proxy/base/buf.h"
#include "proxy/base/loop.h"

#include <curl/curl.h>

#define HTTPS_CALL_MAGIC 0x48545053u

struct https_call {
	uint32_t magic;
	struct https_calls *owner;
	struct list_node node; /* among the owner's */
	CURL *easy;
	struct curl_slist *headers;
	char *body; /* our copy, libcurl reads it in place */
	size_t body_len;
	struct buf in; /* the response's body */
	size_t head_len;
	const char *refusal; /* why it is not even tried, or why we broke it off */
	bool attached;	     /* the multi handle knows the easy handle */
	/* Says the refusal; of an attached one, the end if libcurl should not find it. */
	struct deadline limit;
	char error[CURL_ERROR_SIZE];
	https_done *done;
	void *arg;
};

/* Gives the handle all that the request asks for. -1 = no memory; a request that may not be sent
 * gets a `refusal`. */
int https_call_set_up(struct https_call *, const struct https_request *);
/* How long the whole call may take. */
int64_t https_call_timeout_ms(const struct https_request *);
/* libcurl starts, with memory that is wiped when it lets go of it. Any thread, any number of times;
 * -1 = it could not. */
int https_call_memory_init(void);

#endif
