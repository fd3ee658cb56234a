/* aws_making.h -- what aws_plan.c and aws_plan_profile.c share while a plan is made. For them only. */
#ifndef AUTH_SOURCE_AWS_MAKING_H
#define AUTH_SOURCE_AWS_MAKING_H

#include "auth/source/aws_plan.h"
#include "auth/source/aws_profile.h"

#define AWS_VALUE_MAX 8192 /* bytes of a value in the shared files */

struct aws_making {
	struct aws_plan *plan;
	struct aws_profiles files;
	char files_err[256]; /* "" = they could be read */
	int depth;	     /* of source_profile */
	char *err;
	size_t errlen;
};

/* These: 1 = the keys come from here, 0 = nothing of the kind is configured, -1 with a line in err. */
int aws_making_from_environment(struct aws_making *);
int aws_making_from_container(struct aws_making *);
int aws_making_from_imds(struct aws_making *);
int aws_making_from_profile(struct aws_making *, const char *profile);

/* -1, with that line. */
int aws_making_no_memory(struct aws_making *);
/* *to is freed and becomes a copy, NULL for NULL and "". */
int aws_making_copy(char **to, const char *from);
/* aws_profiles_get() into AWS_VALUE_MAX bytes. */
size_t aws_making_get(struct aws_making *, const char *profile, const char *key, char *out);

#endif
