/* aws_error.h -- what an AWS service said instead of an answer, from the JSON or XML of its errors,
 * and what can be done about it. Format: reference/secrets-and-metrics.md section 4. Pure. */
#ifndef AUTH_SOURCE_AWS_ERROR_H
#define AUTH_SOURCE_AWS_ERROR_H

#include "auth/secret_source.h"

struct https_response;

enum aws_remedy {
	AWS_WAIT,   /* transient */
	AWS_SLOWER, /* throttled */
	AWS_KEYS,   /* our keys are no good (any more) */
	AWS_CLOCK,  /* the time in our signature is not theirs */
	AWS_REPAIR  /* only people can */
};

struct aws_error {
	enum aws_remedy remedy;
	char code[64];	   /* "" = none */
	char message[256]; /* service, code and what it said: one line, no secrets */
};

/* Of any response but the wanted 200; `service` is for the message. A 200 counts as unreadable. */
void aws_error_read(struct aws_error *, const char *service, const struct https_response *);
/* How the cache calls it, when the remedy did not help. */
enum secret_error aws_error_class(enum aws_remedy);

#endif
