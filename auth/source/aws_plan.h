/* aws_plan.h -- where an identity's AWS keys come from: the first that is configured of the entry's
 * own profile, AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, the shared files, a container's
 * endpoint and the instance's metadata; and the roles to assume with them. Reads environment and
 * files, does no network. Must not know how keys are fetched.
 * Order: reference/secrets-and-metrics.md section 7. */
#ifndef AUTH_SOURCE_AWS_PLAN_H
#define AUTH_SOURCE_AWS_PLAN_H

#include "auth/source/aws_keys.h"

#define AWS_ROLES_MAX  6
#define AWS_REGION_MAX 32

enum aws_origin {
	AWS_FROM_KEYS, /* they are in the plan */
	AWS_FROM_WEB_IDENTITY,
	AWS_FROM_PROCESS,
	AWS_FROM_CONTAINER,
	AWS_FROM_IMDS
};

struct aws_role {
	char *arn, *external_id, *session_name; /* the latter two: NULL = none */
	int duration_s;				/* 0 = as the service likes */
};

struct aws_plan {
	enum aws_origin origin;
	char where[128]; /* for messages: "the environment", "profile x" */
	bool from_files; /* the keys may change when the shared files do */
	struct aws_keys keys;
	char *command;	  /* credential_process */
	char *token_file; /* web identity, with web_role */
	struct aws_role web_role;
	struct aws_role roles[AWS_ROLES_MAX]; /* to be assumed from the last one to the first */
	size_t n_roles;
	char region[AWS_REGION_MAX]; /* "" = nothing says */
	char *endpoint_url;	     /* the profile's, NULL = none */
};

/* profile and role_arn of the entry, NULL = none. -1 with one line in err: what is configured, and
 * what is wrong with it. Release in any case. */
int aws_plan_make(struct aws_plan *, const char *profile, const char *role_arn, char *err,
    size_t errlen);
void aws_plan_release(struct aws_plan *);

/* NULL when the variable is unset or empty. */
const char *aws_env(const char *name);
/* May this be part of a host name: letters, digits and '-', short enough? */
bool aws_region_ok(const char *text);

#endif
