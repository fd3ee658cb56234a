/* aws_exchange.h -- one fetch of AWS keys (or of the region) by whatever way a plan names: the
 * instance's metadata, a container's endpoint, the security token service, a program. With its own
 * tries; never blocks. Must not know plans' order, caching, or who wants the keys. */
#ifndef AUTH_SOURCE_AWS_EXCHANGE_H
#define AUTH_SOURCE_AWS_EXCHANGE_H

#include "auth/source/aws_plan.h"
#include "proxy/base/loop.h"

#include <stdarg.h>

struct child;
struct https_call;
struct https_response;

/* Lives inside its owner. One thing at a time. */
struct aws_exchange {
	/* From the loop, once for each start: NULL and the result in `keys` or `region`, or why not. */
	void (*done)(struct aws_exchange *, const struct aws_failure *);
	const struct secret_source_env *env; /* borrowed */
	struct aws_keys keys;		     /* the result: take it with aws_keys_move() */
	char region[AWS_REGION_MAX];

	/* for the ways (aws_imds.c, aws_container.c, aws_sts.c, aws_process.c): */
	void (*send)(struct aws_exchange *); /* the current step's request, first or again */
	const struct aws_plan *plan;	     /* borrowed until done() */
	const struct aws_role *role;	     /* of them */
	const struct aws_keys *signer;	     /* borrowed until done(); NULL: unsigned */
	const char *sts_region;		     /* "" = none */
	char *room;			     /* IMDS: session token, then role name */
	int tries;			     /* left */
	bool anew;			     /* corrected once already */
	bool want_region;		     /* IMDS */
	struct https_call *http;
	struct child *child;
	struct deadline later; /* sends, or tells the failure */
	struct aws_failure failure;
};

/* After done and env were set. */
void aws_exchange_init(struct aws_exchange *);
/* Ends what is under way without a word, wipes. */
void aws_exchange_cancel(struct aws_exchange *);

void aws_imds_keys(struct aws_exchange *);
void aws_imds_region(struct aws_exchange *);
void aws_container_keys(struct aws_exchange *);
void aws_process_keys(struct aws_exchange *, const struct aws_plan *);
void aws_sts_web_identity(struct aws_exchange *, const struct aws_plan *, const char *region);
void aws_sts_assume(struct aws_exchange *, const struct aws_plan *, const struct aws_role *,
    const struct aws_keys *signer, const char *region);

/* ---- for the ways ---- */

/* done() comes from the loop, with this. */
void aws_exchange_fail(struct aws_exchange *, enum secret_error, int64_t retry_after_ms,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same when no more tries are left; else send() after after_ms. */
void aws_exchange_retry(struct aws_exchange *, int64_t after_ms, enum secret_error,
    int64_t retry_after_ms, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* `keys` or `region` is there. From the loop only. */
void aws_exchange_succeed(struct aws_exchange *);
/* Sends, and from now on this is what is sent again. */
void aws_exchange_step(struct aws_exchange *, void (*send)(struct aws_exchange *), int tries);

#endif
