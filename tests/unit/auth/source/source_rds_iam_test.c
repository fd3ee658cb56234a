/* RDS IAM tokens, verified by tests/fake/fake_aws.py. */
#include "tests/unit/auth/source/aws_fixture.h"

#include "auth/secret_value.h"
#include "proxy/base/log.h"

#define HOST "shop.abc123.eu-central-7.rds.amazonaws.com"

struct token {
	struct got got; /* its password is cut */
	struct secret_value value;
};

static void
on_token(void *arg, const struct secret_answer *a)
{
	struct token *t = arg;

	if (a->value != NULL)
		t->value = *a->value;
	fake_fetched(&t->got, a);
}

static struct token
fetch(struct secret_source *s)
{
	struct token t = { .got = { .fake = &fake } };

	s->ops->fetch(s, SECRET_CURRENT, on_token, &t);
	assert_false(t.got.done);
	fake_wait(&fake, &t.got);
	return t;
}

static struct config_secret
entry(void)
{
	return (struct config_secret){ .name = "s",
		.provider = "rds-iam",
		.user = "app user",
		.host = HOST,
		.timeout = 400 };
}

/* What the fake says of the token. */
static const char *
verify(const struct token *t)
{
	char ask[SECRET_PASSWORD_MAX + 64];

	snprintf(ask, sizeof(ask), "{\"op\":\"rds_verify\",\"token\":\"%s\"}", t->value.password);
	return fake_control(&fake, ask);
}

static void
entries(void **state)
{
	/* goal: what the signature needs must be there, and be a name */
	struct config_secret c = entry();

	(void)state;
	c.host = NULL;
	fake_refused(&fake, &source_rds_iam, &c, "host: missing");
	c = entry();
	c.user = NULL;
	fake_refused(&fake, &source_rds_iam, &c, "user: missing");
	c = entry();
	c.host = "a,b";
	fake_refused(&fake, &source_rds_iam, &c, "host=a,b: must be one host name");
	c = entry();
	c.region = "EU!";
	fake_refused(&fake, &source_rds_iam, &c, "region=EU!");
	c = entry();
	c.secret_id = "x";
	fake_refused(&fake, &source_rds_iam, &c, "secret_id: not a key of provider rds-iam");
}

static void
tokens(void **state)
{
	/* goal: a token says what the entry says, is signed well with keys of either kind, and lasts as
	 * long as it and the keys do */
	struct config_secret c = entry();
	struct secret_source *s;
	struct token t;
	const char *said;

	(void)state;
	aws_fixture_keys("AKIDGOOD", "good/+=secret", NULL);
	s = fake_open(&fake, &source_rds_iam, &c);
	t = fetch(s);
	assert_int_equal(t.got.error, SECRET_OK);
	assert_string_equal(t.value.user, "app user");
	assert_string_equal(t.value.host, HOST);
	assert_int_equal(t.value.port, 5432);
	assert_int_equal(strlen(t.got.version), 16);
	assert_int_equal(t.value.password_len, strlen(t.value.password));
	assert_in_range(t.got.expires_unix_ms - fake_unix_ms(), 890000, 900000);
	assert_in_range(t.got.refresh_unix_ms - fake_unix_ms(), 590000, 600000);
	said = verify(&t);
	assert_non_null(strstr(said, "\"host\": \"" HOST "\""));
	assert_non_null(strstr(said, "\"port\": 5432"));
	assert_non_null(strstr(said, "\"user\": \"app user\""));
	assert_non_null(strstr(said, "\"region\": \"eu-central-7\""));
	t.value.password[20] ^= 1;
	assert_non_null(strstr(verify(&t), "error"));
	assert_int_equal(fake_fetch(&fake, s, SECRET_PENDING).error, SECRET_NOT_SERVED);
	assert_int_equal(fake_fetch(&fake, s, SECRET_PREVIOUS).error, SECRET_NOT_SERVED);
	s->ops->close(s);

	aws_fixture_environment();
	fake_control(&fake, "{\"op\":\"life\",\"seconds\":600}");
	c.region = "us-east-1";
	c.port = 6000;
	s = fake_open(&fake, &source_rds_iam, &c);
	t = fetch(s);
	if (t.got.error != SECRET_OK)
		fail_msg("%s", t.got.message);
	said = verify(&t);
	assert_non_null(strstr(said, "\"region\": \"us-east-1\""));
	assert_non_null(strstr(said, "\"port\": 6000"));
	assert_non_null(strstr(t.value.password, "X-Amz-Security-Token="));
	assert_in_range(t.got.expires_unix_ms - fake_unix_ms(), 580000, 600000);
	assert_in_range(t.got.refresh_unix_ms - fake_unix_ms(), 380000, 400000);
	s->ops->close(s);
}

static void
troubles(void **state)
{
	/* goal: without keys or region there is no token, and the message says what is missing */
	struct config_secret c = entry();
	struct secret_source *s = fake_open(&fake, &source_rds_iam, &c);
	struct token t;

	(void)state;
	fake_control(&fake, "{\"op\":\"role\",\"name\":null}");
	t = fetch(s);
	assert_int_equal(t.got.error, SECRET_DENIED);
	assert_non_null(strstr(t.got.message, "the instance has no role"));
	s->ops->close(s);
	aws_fixture_keys("AKIDGOOD", "good/+=secret", NULL);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	c.host = "db.example";
	s = fake_open(&fake, &source_rds_iam, &c);
	t = fetch(s);
	assert_int_equal(t.got.error, SECRET_DENIED);
	assert_non_null(strstr(t.got.message, "no AWS region"));
	s->ops->close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries, aws_fixture_quiet),
		cmocka_unit_test_setup(tokens, aws_fixture_quiet),
		cmocka_unit_test_setup(troubles, aws_fixture_quiet),
	};
	struct log_settings none = { .ident = "test" };

	log_setup(&none);
	return cmocka_run_group_tests(tests, aws_fixture_begin, aws_fixture_end);
}
