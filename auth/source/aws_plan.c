#include "auth/source/aws_making.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *
aws_env(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || *value == '\0' ? NULL : value;
}

bool
aws_region_ok(const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return len != 0 && len < AWS_REGION_MAX;
}

int
aws_making_no_memory(struct aws_making *m)
{
	snprintf(m->err, m->errlen, "out of memory");
	return -1;
}

int
aws_making_copy(char **to, const char *from)
{
	free(*to);
	*to = NULL;
	if (from == NULL || *from == '\0')
		return 0;
	*to = strdup(from);
	return *to == NULL ? -1 : 0;
}

/* ---- environment ---- */

/* 1: these are our keys, 0: there are none. */
int
aws_making_from_environment(struct aws_making *m)
{
	const char *id = aws_env("AWS_ACCESS_KEY_ID"), *secret = aws_env("AWS_SECRET_ACCESS_KEY");
	const char *token = aws_env("AWS_SESSION_TOKEN"),
		   *date = aws_env("AWS_CREDENTIAL_EXPIRATION");
	int64_t expires = 0;

	if (id == NULL && secret == NULL)
		return 0;
	if (id == NULL || secret == NULL) {
		snprintf(m->err, m->errlen, "%s is set, but %s is not",
		    id == NULL ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID",
		    id == NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY");
		return -1;
	}
	if (token == NULL)
		token = aws_env("AWS_SECURITY_TOKEN");
	if (date != NULL && (expires = aws_keys_time(date)) == -1) {
		snprintf(m->err, m->errlen,
		    "AWS_CREDENTIAL_EXPIRATION: must be like 2026-03-14T02:59:26Z");
		return -1;
	}
	if (aws_keys_set(&m->plan->keys, id, secret, token, expires) == -1) {
		snprintf(m->err, m->errlen,
		    "the AWS keys of the environment have blanks in them, or no memory");
		return -1;
	}
	m->plan->origin = AWS_FROM_KEYS;
	snprintf(m->plan->where, sizeof(m->plan->where), "the environment");
	return 1;
}

static int
from_web_identity(struct aws_making *m)
{
	const char *file = aws_env("AWS_WEB_IDENTITY_TOKEN_FILE"), *arn = aws_env("AWS_ROLE_ARN");
	struct aws_plan *p = m->plan;

	if (file == NULL)
		return 0;
	if (arn == NULL) {
		snprintf(m->err, m->errlen,
		    "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
		return -1;
	}
	if (aws_making_copy(&p->token_file, file) == -1 ||
	    aws_making_copy(&p->web_role.arn, arn) == -1 ||
	    aws_making_copy(&p->web_role.session_name, aws_env("AWS_ROLE_SESSION_NAME")) == -1)
		return aws_making_no_memory(m);
	p->origin = AWS_FROM_WEB_IDENTITY;
	snprintf(p->where, sizeof(p->where), "web identity");
	return 1;
}

int
aws_making_from_container(struct aws_making *m)
{
	if (aws_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") == NULL &&
	    aws_env("AWS_CONTAINER_CREDENTIALS_FULL_URI") == NULL)
		return 0;
	m->plan->origin = AWS_FROM_CONTAINER;
	snprintf(m->plan->where, sizeof(m->plan->where), "the container's endpoint");
	return 1;
}

int
aws_making_from_imds(struct aws_making *m)
{
	const char *off = aws_env("AWS_EC2_METADATA_DISABLED");

	if (off != NULL && strcasecmp(off, "true") == 0) {
		snprintf(m->err, m->errlen,
		    "no AWS credentials: neither in the environment, the shared files, nor of a container, and AWS_EC2_METADATA_DISABLED is set");
		return -1;
	}
	m->plan->origin = AWS_FROM_IMDS;
	snprintf(m->plan->where, sizeof(m->plan->where), "the instance's metadata (IMDSv2)");
	return 1;
}

/* ---- the order ---- */

/* The profile that AWS_PROFILE or the entry names must be there; the default one need not. */
static int
from_files(struct aws_making *m, const char *profile, bool named)
{
	int got;

	if (m->files_err[0] != '\0') {
		snprintf(m->err, m->errlen, "%s", m->files_err);
		return -1;
	}
	if (!named && !aws_profiles_has(&m->files, profile))
		return 0;
	got = aws_making_from_profile(m, profile);
	if (got == 0)
		m->plan->where[0] = '\0';
	return got;
}

static int
find_origin(struct aws_making *m, const char *entry_profile, const char *profile)
{
	int got = 0;

	if (entry_profile != NULL) {
		got = from_files(m, entry_profile, true);
		if (got == 0)
			snprintf(m->err, m->errlen, "profile %s: has no credentials",
			    entry_profile);
		return got == 1 ? 0 : -1;
	}
	got = aws_making_from_environment(m);
	if (got == 0)
		got = from_web_identity(m);
	if (got == 0)
		got = from_files(m, profile, aws_env("AWS_PROFILE") != NULL);
	if (got == 0)
		got = aws_making_from_container(m);
	if (got == 0)
		got = aws_making_from_imds(m);
	return got == 1 ? 0 : -1;
}

static int
find_surroundings(struct aws_making *m, const char *profile, char *value)
{
	const char *region = aws_env("AWS_REGION");

	if (region == NULL)
		region = aws_env("AWS_DEFAULT_REGION");
	if (region == NULL && aws_making_get(m, profile, "region", value) != 0)
		region = value;
	if (region != NULL && !aws_region_ok(region)) {
		snprintf(m->err, m->errlen, "the region of the environment or profile %s is none",
		    profile);
		return -1;
	}
	if (region != NULL)
		snprintf(m->plan->region, sizeof(m->plan->region), "%.*s", AWS_REGION_MAX - 1,
		    region);
	aws_making_get(m, profile, "endpoint_url", value);
	return aws_making_copy(&m->plan->endpoint_url, value) == -1 ? aws_making_no_memory(m) : 0;
}

int
aws_plan_make(struct aws_plan *p, const char *entry_profile, const char *role_arn, char *err,
    size_t errlen)
{
	struct aws_making m = { .plan = p, .err = err, .errlen = errlen };
	const char *profile = entry_profile == NULL ? aws_env("AWS_PROFILE") : entry_profile;
	char value[AWS_VALUE_MAX];
	int result = -1;

	memset(p, 0, sizeof(*p));
	if (profile == NULL)
		profile = "default";
	if (aws_profiles_load(&m.files, m.files_err, sizeof(m.files_err)) == -1 &&
	    m.files_err[0] == '\0')
		snprintf(m.files_err, sizeof(m.files_err), "the shared AWS files cannot be read");
	if (role_arn != NULL) {
		p->n_roles = 1;
		if (aws_making_copy(&p->roles[0].arn, role_arn) == -1) {
			aws_making_no_memory(&m);
			goto out;
		}
	}
	if (find_surroundings(&m, profile, value) == -1)
		goto out;
	result = find_origin(&m, entry_profile, profile);
out:
	explicit_bzero(value, sizeof(value));
	aws_profiles_release(&m.files);
	return result;
}

static void
role_release(struct aws_role *r)
{
	free(r->arn);
	free(r->external_id);
	free(r->session_name);
}

void
aws_plan_release(struct aws_plan *p)
{
	aws_keys_wipe(&p->keys);
	free(p->command);
	free(p->token_file);
	free(p->endpoint_url);
	role_release(&p->web_role);
	for (size_t i = 0; i < p->n_roles; i++)
		role_release(&p->roles[i]);
	memset(p, 0, sizeof(*p));
}
