/* Part of aws_plan.h: what a profile of the shared files says about its credentials. */
#include "auth/source/aws_making.h"

#include "proxy/base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t
aws_making_get(struct aws_making *m, const char *profile, const char *key, char *out)
{
	return aws_profiles_get(&m->files, profile, key, out, AWS_VALUE_MAX);
}

static int
profile_keys(struct aws_making *m, const char *profile, char *value)
{
	char *secret = value + AWS_VALUE_MAX, *token = value + 2 * AWS_VALUE_MAX;
	size_t id_len = aws_making_get(m, profile, "aws_access_key_id", value);
	size_t secret_len = aws_making_get(m, profile, "aws_secret_access_key", secret);

	if (id_len == 0 && secret_len == 0)
		return 0;
	if (id_len == 0 || secret_len == 0) {
		snprintf(m->err, m->errlen,
		    "profile %s: aws_access_key_id and aws_secret_access_key must both be there",
		    profile);
		return -1;
	}
	aws_making_get(m, profile, "aws_session_token", token);
	if (aws_keys_set(&m->plan->keys, value, secret, token, 0) == -1) {
		snprintf(m->err, m->errlen,
		    "profile %s: its keys have blanks in them, or no memory", profile);
		return -1;
	}
	m->plan->origin = AWS_FROM_KEYS;
	m->plan->from_files = true;
	return 1;
}

static int
profile_role(struct aws_making *m, struct aws_role *role, const char *profile, const char *arn,
    char *value)
{
	if (aws_making_copy(&role->arn, arn) == -1)
		return aws_making_no_memory(m);
	aws_making_get(m, profile, "external_id", value);
	if (aws_making_copy(&role->external_id, value) == -1)
		return aws_making_no_memory(m);
	aws_making_get(m, profile, "role_session_name", value);
	if (aws_making_copy(&role->session_name, value) == -1)
		return aws_making_no_memory(m);
	if (aws_making_get(m, profile, "duration_seconds", value) != 0)
		role->duration_s = (int)strtol(value, NULL, 10);
	if (role->duration_s < 0 || role->duration_s > 43200)
		role->duration_s = 0;
	if (aws_making_get(m, profile, "mfa_serial", value) != 0) {
		snprintf(m->err, m->errlen,
		    "profile %s: mfa_serial needs a person, it cannot be used here", profile);
		return -1;
	}
	return 0;
}

static int
credential_source(struct aws_making *m, const char *profile, const char *from)
{
	int got;

	if (strcmp(from, "EcsContainer") == 0)
		got = aws_making_from_container(m);
	else if (strcmp(from, "Ec2InstanceMetadata") == 0)
		got = aws_making_from_imds(m);
	else if (strcmp(from, "Environment") == 0)
		got = aws_making_from_environment(m);
	else {
		snprintf(m->err, m->errlen,
		    "profile %s: credential_source must be Environment, EcsContainer or Ec2InstanceMetadata",
		    profile);
		return -1;
	}
	if (got == 0)
		snprintf(m->err, m->errlen,
		    "profile %s: the environment has nothing for credential_source=%s", profile,
		    from);
	return got == 1 ? 1 : -1;
}

/* role_arn with source_profile or credential_source. */
static int
profile_assumes(struct aws_making *m, const char *profile, const char *arn, char *value)
{
	struct aws_plan *p = m->plan;
	char *source = value + AWS_VALUE_MAX;

	if (p->n_roles == AWS_ROLES_MAX) {
		snprintf(m->err, m->errlen,
		    "profile %s: source_profile goes round in a circle, or through more than %d roles",
		    profile, AWS_ROLES_MAX);
		return -1;
	}
	p->n_roles++;
	m->depth++;
	if (profile_role(m, &p->roles[p->n_roles - 1], profile, arn, source) == -1)
		return -1;
	if (aws_making_get(m, profile, "credential_source", source) != 0)
		return credential_source(m, profile, source);
	if (aws_making_get(m, profile, "source_profile", source) == 0) {
		snprintf(m->err, m->errlen,
		    "profile %s: role_arn needs source_profile, credential_source or web_identity_token_file",
		    profile);
		return -1;
	}
	if (strcmp(source, profile) == 0) {
		int got = profile_keys(m, profile, value);

		if (got == 0)
			snprintf(m->err, m->errlen,
			    "profile %s is its own source_profile, but has no keys", profile);
		return got == 1 ? 1 : -1;
	}
	return aws_making_from_profile(m, source);
}

/* Of a profile with a role_arn, which lies in value. */
static int
profile_role_kind(struct aws_making *m, const char *profile, char *value)
{
	struct aws_plan *p = m->plan;
	char *file = value + AWS_VALUE_MAX;

	if (aws_making_get(m, profile, "web_identity_token_file", file) == 0)
		return profile_assumes(m, profile, value, value);
	p->origin = AWS_FROM_WEB_IDENTITY;
	if (aws_making_copy(&p->token_file, file) == -1)
		return aws_making_no_memory(m);
	return profile_role(m, &p->web_role, profile, value, file) == -1 ? -1 : 1;
}

static int
profile_other(struct aws_making *m, const char *profile, char *value)
{
	static const char *const unserved[] = { "sso_session", "sso_start_url", "login_session" };

	if (aws_making_get(m, profile, "credential_process", value) != 0) {
		m->plan->origin = AWS_FROM_PROCESS;
		return aws_making_copy(&m->plan->command, value) == -1 ? aws_making_no_memory(m)
								       : 1;
	}
	for (size_t i = 0; i < sizeof(unserved) / sizeof(unserved[0]); i++)
		if (aws_making_get(m, profile, unserved[i], value) != 0) {
			snprintf(m->err, m->errlen,
			    "profile %s: %s needs a person to log in, it cannot be used here",
			    profile, unserved[i]);
			return -1;
		}
	return 0;
}

int
aws_making_from_profile(struct aws_making *m, const char *profile)
{
	struct aws_plan *p = m->plan;
	char name[128], *room;
	int got = -1;

	if (snprintf(name, sizeof(name), "%s", profile) >= (int)sizeof(name) ||
	    !aws_profiles_has(&m->files, name)) {
		snprintf(m->err, m->errlen, "profile %.100s: not in the shared AWS files", name);
		return -1;
	}
	room = calloc(3, AWS_VALUE_MAX);
	if (room == NULL)
		return aws_making_no_memory(m);
	if (p->where[0] == '\0')
		snprintf(p->where, sizeof(p->where), "profile %.100s", name);
	if (aws_making_get(m, name, "role_arn", room) == 0)
		got = profile_keys(m, name, room);
	else
		got = profile_role_kind(m, name, room);
	if (got == 0)
		got = profile_other(m, name, room);
	if (got == 0 && m->depth != 0) {
		snprintf(m->err, m->errlen, "profile %s: has no credentials", name);
		got = -1;
	}
	secret_free(room, 3 * (size_t)AWS_VALUE_MAX);
	return got;
}
