#include "auth/source/aws_entry.h"

#include "auth/source/aws_plan.h"
#include "auth/source/aws_post.h"
#include "auth/source/source_text.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <string.h>

int
aws_entry_check(const struct config_secret *c, char *err, size_t errlen)
{
	if (c->region != NULL && !aws_region_ok(c->region))
		snprintf(err, errlen, "region=%.64s: must be like eu-central-1", c->region);
	else if (c->endpoint != NULL && !aws_endpoint_ok(c->endpoint))
		snprintf(err, errlen,
		    "endpoint: must be https://HOST[:PORT][/PATH] (http:// for a loopback address)");
	else if (c->role_arn != NULL &&
		 (strncmp(c->role_arn, "arn:", 4) != 0 || !source_text_plain(c->role_arn)))
		snprintf(err, errlen,
		    "role_arn=%.100s: must be like arn:aws:iam::123456789012:role/NAME",
		    c->role_arn);
	else if (c->profile != NULL && (*c->profile == '\0' || strlen(c->profile) > 100))
		snprintf(err, errlen, "profile: must be the name of a profile in ~/.aws/config");
	else
		return 0;
	return -1;
}

const char *
aws_entry_arn_region(const char *arn, const char *service, size_t *len)
{
	const char *at;

	if (strncmp(arn, "arn:", 4) != 0 || (at = strchr(arn + 4, ':')) == NULL)
		return NULL;
	at++;
	if (strncmp(at, service, strlen(service)) != 0 || at[strlen(service)] != ':')
		return NULL;
	at += strlen(service) + 1;
	*len = strcspn(at, ":");
	return *len == 0 || *len >= AWS_REGION_MAX || at[*len] != ':' ? NULL : at;
}
