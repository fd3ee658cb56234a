/* aws_credentials_fixture.h -- one question for keys, asked on the loop of aws_fixture.h. */
#ifndef TESTS_AWS_CREDENTIALS_FIXTURE_H
#define TESTS_AWS_CREDENTIALS_FIXTURE_H

#include "tests/unit/auth/source/aws_fixture.h"

#include "auth/source/aws_credentials.h"
#include "auth/source/aws_plan.h"
#include "auth/source/aws_xml.h"
#include "proxy/base/log.h"

#include <sys/stat.h>

#define IMDS_KEYS "imds GET /latest/meta-data/iam/security-credentials/fake-role"
#define ROLE	  "arn:aws:iam::123456789012:role/"

struct asked {
	struct aws_want want;
	bool done;
	char id[64], token[256], message[256];
	uint64_t serial;
	enum secret_error error; /* of the last attempt */
	bool has_keys;
	int64_t expires_unix_ms;
};

static inline void
on_ready(struct aws_want *w, const struct aws_given *given)
{
	struct asked *a = list_entry(w, struct asked, want);

	assert_false(a->done);
	a->done = true;
	a->has_keys = given->keys != NULL;
	a->serial = given->serial;
	a->error = given->failure->error;
	fake_copy(a->message, sizeof(a->message), given->failure->message);
	if (given->keys != NULL) {
		fake_copy(a->id, sizeof(a->id), given->keys->access_key_id);
		fake_copy(a->token, sizeof(a->token), given->keys->session_token);
		a->expires_unix_ms = given->keys->expires_unix_ms;
	}
	loop_stop(&fake.loop);
}

static inline struct asked
ask(struct aws_credentials *c)
{
	struct asked a = { .want = { .ready = on_ready } };

	list_init(&a.want.node);
	aws_credentials_want(c, &a.want);
	assert_false(a.done);
	while (!a.done) {
		fake_run(&fake, 10000);
		assert_false(fake.impatient);
	}
	return a;
}

static inline struct aws_credentials *
open_for(const char *profile, const char *role_arn)
{
	struct aws_credentials *c = aws_credentials_open(profile, role_arn, "eu-west-9", &fake.env);

	assert_non_null(c);
	return c;
}

static inline struct asked
ask_once(const char *profile, const char *role_arn)
{
	struct aws_credentials *c = open_for(profile, role_arn);
	struct asked a = ask(c);

	aws_credentials_release(c);
	return a;
}

static inline void
set_url(const char *name, const char *path)
{
	char url[128];

	snprintf(url, sizeof(url), "%s%s", fake.url, path);
	setenv(name, url, 1);
}

#endif
