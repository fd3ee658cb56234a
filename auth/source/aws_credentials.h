/* aws_credentials.h -- the AWS keys of one identity (profile and role): fetched once for all who ask
 * meanwhile, kept, renewed ahead of their end, and kept in use while that fails. Shared by all entries
 * with the same identity. Main thread only. Must not know what the keys are used for. */
#ifndef AUTH_SOURCE_AWS_CREDENTIALS_H
#define AUTH_SOURCE_AWS_CREDENTIALS_H

#include "auth/source/aws_keys.h"
#include "proxy/base/list.h"

struct aws_credentials;

/* Finds the one of this identity, or makes it. NULL for profile and role_arn: the chain of
 * aws_plan.h. region: the entry's, for STS when environment and profile name none; NULL = none.
 * Release each. NULL = no memory. */
struct aws_credentials *aws_credentials_open(const char *profile, const char *role_arn,
    const char *region, const struct secret_source_env *);
/* NULL is harmless. Harmless inside ready(). */
void aws_credentials_release(struct aws_credentials *);

struct aws_given {
	const struct aws_keys *keys; /* NULL: none, and failure says why */
	/* Other keys have another number. The same again after aws_credentials_refused(): there are no
	 * better ones; failure says why when the attempt failed. */
	uint64_t serial;
	const char *region;	  /* of environment, profile or instance; "" = nothing says */
	const char *endpoint_url; /* of the profile, NULL = none */
	const struct aws_failure *failure; /* of the last attempt, error SECRET_OK = it worked */
};

struct aws_want {
	struct list_node node; /* list_init() it */
	bool region;	       /* ask the instance for its region if nothing else says */
	/* From the loop. All is valid during the call. */
	void (*ready)(struct aws_want *, const struct aws_given *);
};

/* Exactly one ready() follows, from the loop, unless aws_credentials_unwant() comes first. */
void aws_credentials_want(struct aws_credentials *, struct aws_want *);
/* Harmless when it waits for nothing. */
void aws_credentials_unwant(struct aws_want *);
/* A service refused the keys of that serial: they are replaced before anybody gets keys again. */
void aws_credentials_refused(struct aws_credentials *, uint64_t serial);

#endif
