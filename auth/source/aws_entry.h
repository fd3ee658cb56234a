/* aws_entry.h -- what the two AWS providers check and prepare alike in their lines of [secrets]. */
#ifndef AUTH_SOURCE_AWS_ENTRY_H
#define AUTH_SOURCE_AWS_ENTRY_H

#include <stddef.h>

struct config_secret;

/* 0, or -1 with one line in err: region=, endpoint=, role_arn=, profile=. */
int aws_entry_check(const struct config_secret *, char *err, size_t errlen);
/* Of "arn:PARTITION:SERVICE:REGION:ACCOUNT:...": its region, with *len; NULL when it is no such ARN. */
const char *aws_entry_arn_region(const char *arn, const char *service, size_t *len);

#endif
