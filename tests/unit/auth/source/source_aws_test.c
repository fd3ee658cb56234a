/* AWS Secrets Manager against tests/fake/fake_aws.py, on a real loop. */
#include "tests/unit/auth/source/aws_fixture.h"

#include "proxy/base/log.h"

#define CLOSE(s) (s)->ops->close(s)
#define FETCH(s) fake_fetch(&fake, (s), SECRET_CURRENT)
#define GET	 "secretsmanager GetSecretValue"
#define FIRST	 "11111111-1111-1111-1111-111111111111"

static struct config_secret
entry(const char *secret_id)
{
	return (struct config_secret){ .name = "s",
		.provider = "aws-secretsmanager",
		.secret_id = secret_id,
		.endpoint = fake.url,
		.region = "eu-west-9",
		.timeout = 400 };
}

static int
quiet(void **state)
{
	aws_fixture_quiet(state);
	aws_fixture_keys("AKIDGOOD", "good/+=secret", NULL);
	return 0;
}

static void
entries(void **state)
{
	/* goal: a wrong entry is refused with the key that is wrong and what is accepted */
	static const char *const bad_arns[] = { "arn:aws:ssm:eu-west-1:1:secret:x", "arn:aws",
		"arn:aws:secretsmanager::1:secret:x", "arn:aws:secretsmanager:e/x:1:secret:x" };
	struct config_secret c = entry(NULL);
	struct secret_source *s;

	(void)state;
	fake_refused(&fake, &source_aws, &c, "secret_id: missing");
	c = entry("two words");
	fake_refused(&fake, &source_aws, &c, "secret_id: must be");
	for (size_t i = 0; i < 3; i++) {
		c = entry(bad_arns[i]);
		fake_refused(&fake, &source_aws, &c, "must be like arn:aws:secretsmanager");
	}
	c = entry("x");
	c.region = "eu west";
	fake_refused(&fake, &source_aws, &c, "region=");
	c = entry("x");
	c.endpoint = "ftp://x";
	fake_refused(&fake, &source_aws, &c, "endpoint: must be https://");
	c = entry("x");
	c.role_arn = "admin";
	fake_refused(&fake, &source_aws, &c, "role_arn=admin");
	c = entry("x");
	c.mount = "kv";
	fake_refused(&fake, &source_aws, &c, "mount: not a key of provider aws-secretsmanager");
	c = entry("arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-AbCdEf");
	s = fake_open(&fake, &source_aws, &c);
	CLOSE(s);
}

static void
stages(void **state)
{
	/* goal: each stage gives the version that has it, through a whole rotation of either kind */
	struct config_secret c = entry("prod/db");
	struct secret_source *s = fake_open(&fake, &source_aws, &c);
	struct got g, pending;

	(void)state;
	g = FETCH(s);
	if (g.error != SECRET_OK)
		fail_msg("%d %s", g.error, g.message);
	assert_string_equal(g.version, FIRST);
	assert_string_equal(g.user, "u");
	assert_string_equal(g.password, "one");
	assert_int_equal(fake_fetch(&fake, s, SECRET_PENDING).error, SECRET_GONE);
	assert_int_equal(fake_fetch(&fake, s, SECRET_PREVIOUS).error, SECRET_GONE);
	fake_control(&fake,
	    "{\"op\":\"rotate\",\"name\":\"prod/db\",\"step\":\"create\",\"password\":\"two\",\"alternating\":true}");
	pending = fake_fetch(&fake, s, SECRET_PENDING);
	assert_int_equal(pending.error, SECRET_OK);
	assert_string_equal(pending.user, "u_clone");
	assert_string_equal(pending.password, "two");
	assert_string_equal(FETCH(s).version, FIRST);
	fake_control(&fake, "{\"op\":\"rotate\",\"name\":\"prod/db\",\"step\":\"leave\"}");
	assert_string_equal(FETCH(s).version, pending.version);
	/* left on the same version: the cache sees that no rotation goes on */
	assert_string_equal(fake_fetch(&fake, s, SECRET_PENDING).version, pending.version);
	assert_string_equal(fake_fetch(&fake, s, SECRET_PREVIOUS).password, "one");
	fake_control(&fake,
	    "{\"op\":\"stages\",\"name\":\"prod/db\",\"stages\":{\"" FIRST "\":[\"AWSCURRENT\"]}}");
	CLOSE(s);
}

static void
values(void **state)
{
	/* goal: binary secrets are decoded, and what cannot be used is a bad value */
	static const struct {
		const char *put, *password;
	} cases[] = {
		{ "\"binary\":\"eyJwYXNzd29yZCI6ImJpbiJ9\"", "bin" },
		{ "\"text\":\"plain\\n\"", "plain" },
		{ "\"text\":\"{\\\"password\\\":\\\"caf\\u00e9\\\\n\\\"}\"", "caf\xc3\xa9\n" },
		{ "\"binary\":\"!!!\"", NULL },
		{ "\"text\":\"{\\\"username\\\":\\\"u\\\"}\"", NULL },
		{ "\"text\":\"{\\\"password\\\":\\\"a\\\\u0000b\\\"}\"", NULL },
	};
	struct config_secret c = entry("value");
	struct secret_source *s = fake_open(&fake, &source_aws, &c);
	char put[256];
	struct got g;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(put, sizeof(put), "{\"op\":\"put\",\"name\":\"value\",%s}", cases[i].put);
		fake_control(&fake, put);
		g = FETCH(s);
		if (cases[i].password == NULL)
			assert_int_equal(g.error, SECRET_BAD_VALUE);
		else if (g.error != SECRET_OK || strcmp(g.password, cases[i].password) != 0)
			fail_msg("%s: %d %s", cases[i].put, g.error, g.message);
	}
	CLOSE(s);
}

static void
errors(void **state)
{
	/* goal: every kind of trouble has its class, and no message quotes the request */
	static const struct {
		const char *fault;
		enum secret_error error;
		long calls;
	} cases[] = {
		{ "\"kind\":\"throttle\"", SECRET_THROTTLED, 1 },
		{ "\"kind\":\"access_denied\"", SECRET_GONE, 1 },
		{ "\"kind\":\"expired_token\"", SECRET_DENIED, 1 },
		{ "\"kind\":\"unrecognized\"", SECRET_DENIED, 1 },
		{ "\"kind\":\"invalid_signature\"", SECRET_DENIED, 1 },
		{ "\"kind\":\"status\",\"status\":500", SECRET_TRANSIENT, 1 },
		{ "\"kind\":\"status\",\"status\":503,\"retry_after\":7", SECRET_TRANSIENT, 1 },
		{ "\"kind\":\"status\",\"status\":403", SECRET_TRANSIENT, 1 },
		{ "\"kind\":\"status\",\"status\":429", SECRET_THROTTLED, 1 },
		{ "\"kind\":\"xml_500\"", SECRET_TRANSIENT, 1 },
		{ "\"kind\":\"garbage\"", SECRET_TRANSIENT, 1 },
		{ "\"kind\":\"truncated\"", SECRET_TRANSIENT, 1 },
		{ "\"kind\":\"reset\",\"count\":-1", SECRET_TRANSIENT, 0 },
		{ "\"kind\":\"hang\",\"count\":-1", SECRET_TRANSIENT, 1 },
	};
	struct config_secret c = entry("prod/db"), none = entry("none");
	struct secret_source *s = fake_open(&fake, &source_aws, &c);
	struct secret_source *n = fake_open(&fake, &source_aws, &none);
	struct got g;
	char fault[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_control(&fake, "{\"op\":\"clear\"}");
		fake_control(&fake, "{\"op\":\"reset\"}");
		snprintf(fault, sizeof(fault), "{\"op\":\"fault\",\"path\":\"secretsmanager\",%s}",
		    cases[i].fault);
		fake_control(&fake, fault);
		g = FETCH(s);
		if (g.error != cases[i].error || strstr(g.message, "VERY-SECRET") != NULL)
			fail_msg("%s: class %d, %s", cases[i].fault, g.error, g.message);
		if (cases[i].calls != 0)
			assert_int_equal(fake_count(&fake, GET), cases[i].calls);
		if (strstr(cases[i].fault, "retry_after") != NULL)
			assert_int_equal(g.retry_after_ms, 7000);
	}
	fake_control(&fake, "{\"op\":\"clear\"}");
	g = FETCH(n);
	assert_int_equal(g.error, SECRET_GONE);
	assert_non_null(strstr(g.message, "ResourceNotFoundException: Secrets Manager can't find"));
	fake_control(&fake, "{\"op\":\"delete\",\"name\":\"prod/db\"}");
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_GONE);
	assert_non_null(strstr(g.message, "marked for deletion"));
	fake_control(&fake, "{\"op\":\"undelete\",\"name\":\"prod/db\"}");
	assert_int_equal(FETCH(s).error, SECRET_OK);
	CLOSE(s);
	CLOSE(n);
}

static void
other_keys(void **state)
{
	/* goal: refused keys are replaced once, for all secrets of the identity, and only then is the
	 * fetch given up */
	struct config_secret c = entry("prod/db");
	struct secret_source *s, *t;
	struct got g;

	(void)state;
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	s = fake_open(&fake, &source_aws, &c);
	t = fake_open(&fake, &source_aws, &c);
	g = FETCH(s);
	if (g.error != SECRET_OK)
		fail_msg("%d %s", g.error, g.message);
	assert_int_equal(FETCH(t).error, SECRET_OK);
	assert_int_equal(fake_count(&fake, "imds PUT /latest/api/token"), 1);
	fake_control(&fake, "{\"op\":\"revoke\"}");
	assert_int_equal(FETCH(s).error, SECRET_OK);
	assert_int_equal(FETCH(t).error, SECRET_OK);
	assert_int_equal(fake_count(&fake, "imds PUT /latest/api/token"), 2);
	assert_int_equal(fake_count(&fake, GET), 5);
	fake_control(&fake,
	    "{\"op\":\"fault\",\"path\":\"secretsmanager\",\"kind\":\"unrecognized\",\"count\":2}");
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_DENIED);
	assert_non_null(strstr(g.message, "UnrecognizedClientException"));
	assert_int_equal(fake_count(&fake, GET), 7);
	assert_int_equal(FETCH(s).error, SECRET_OK);
	CLOSE(s);
	CLOSE(t);
}

static void
temporary_keys(void **state)
{
	/* goal: the session token is sent and signed; without it the keys are no good */
	struct config_secret c = entry("prod/db");
	struct secret_source *s;
	struct got g;

	(void)state;
	fake_control(&fake,
	    "{\"op\":\"keys\",\"id\":\"ASIATEMP\",\"secret\":\"temp\",\"token\":\"to/ken+==\"}");
	aws_fixture_keys("ASIATEMP", "temp", NULL);
	s = fake_open(&fake, &source_aws, &c);
	assert_int_equal(FETCH(s).error, SECRET_DENIED);
	aws_fixture_keys("ASIATEMP", "temp", "to/ken+==");
	/* refused keys are looked for again: the environment has better ones now */
	g = FETCH(s);
	if (g.error != SECRET_OK)
		fail_msg("%d %s", g.error, g.message);
	CLOSE(s);
	aws_fixture_keys("ASIATEMP", "wrong", "to/ken+==");
	s = fake_open(&fake, &source_aws, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_DENIED);
	assert_non_null(strstr(g.message, "InvalidSignatureException"));
	assert_null(strstr(g.message, "to/ken"));
	CLOSE(s);
}

static void
clocks(void **state)
{
	/* goal: a clock that is wrong either way costs one more call, once, and corrects itself later */
	static const int64_t wrong_by_s[] = { 3600, -7200, 0, 86400 * 40 };
	struct config_secret c = entry("prod/db");
	struct secret_source *s = fake_open(&fake, &source_aws, &c);
	struct got g;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		ahead_ms = wrong_by_s[i] * 1000;
		fake_control(&fake, "{\"op\":\"reset\"}");
		g = FETCH(s);
		if (g.error != SECRET_OK)
			fail_msg("%lld s: %d %s", (long long)wrong_by_s[i], g.error, g.message);
		assert_int_equal(fake_count(&fake, GET), 2);
		assert_int_equal(FETCH(s).error, SECRET_OK);
		assert_int_equal(fake_count(&fake, GET), 3);
	}
	ahead_ms = 0;
	aws_clock_forget();
	fake_control(&fake, "{\"op\":\"skew\",\"seconds\":200}");
	fake_control(&fake, "{\"op\":\"reset\"}");
	assert_int_equal(FETCH(s).error, SECRET_OK);
	assert_int_equal(fake_count(&fake, GET), 1);
	CLOSE(s);
}

static void
places(void **state)
{
	/* goal: the region is the ARN's, the entry's, the environment's, the profile's or the
	 * instance's, and the endpoint the entry's or the environment's */
	struct config_secret c = entry(
	    "arn:aws:secretsmanager:ap-south-7:123456789012:secret:prod/db-AbCdEf");
	struct secret_source *s = fake_open(&fake, &source_aws, &c);
	static const char *const regions[] = { "\"ap-south-7\"", "\"eu-west-9\"", "\"us-env-1\"",
		"\"us-profile-1\"", "\"us-imds-1\"" };
	const char *log;

	(void)state;
	assert_int_equal(FETCH(s).error, SECRET_OK);
	CLOSE(s);
	c = entry("prod/db");
	c.endpoint = NULL;
	setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1", 1);
	setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", fake.url, 1);
	setenv("AWS_REGION", "us-env-1", 1);
	fake_file(config_file, "[default]\nregion = us-profile-1\n");
	fake_control(&fake, "{\"op\":\"region\",\"name\":\"us-imds-1\"}");
	for (int i = 1; i < 5; i++) {
		struct got g;

		if (i == 2)
			c.region = NULL;
		if (i == 3)
			unsetenv("AWS_REGION");
		if (i == 4)
			fake_file(config_file, "");
		s = fake_open(&fake, &source_aws, &c);
		g = FETCH(s);
		if (g.error != SECRET_OK)
			fail_msg("%d: %s", i, g.message);
		assert_int_equal(FETCH(s).error, SECRET_OK);
		CLOSE(s);
	}
	assert_int_equal(fake_count(&fake, "imds GET /latest/meta-data/placement/region"), 1);
	log = fake_control(&fake, "{\"op\":\"log\"}");
	for (size_t i = 0; i < 5; i++)
		assert_non_null(strstr(log, regions[i]));
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	s = fake_open(&fake, &source_aws, &c);
	assert_non_null(strstr(FETCH(s).message, "no AWS region"));
	CLOSE(s);
}

static void
closing(void **state)
{
	/* goal: a source that is closed at any moment of a fetch is not heard of again */
	struct config_secret c = entry("prod/db");

	(void)state;
	for (uint64_t ms = 0; ms < 80; ms += 20) {
		struct secret_source *s = fake_open(&fake, &source_aws, &c);
		struct got g = { .fake = &fake };

		fake_control(&fake,
		    "{\"op\":\"fault\",\"path\":\"secretsmanager\",\"kind\":\"delay\",\"seconds\":0.03}");
		s->ops->fetch(s, SECRET_CURRENT, fake_fetched, &g);
		if (ms != 0)
			fake_run(&fake, ms);
		CLOSE(s);
		if (!g.done) {
			fake_run(&fake, 60);
			assert_false(g.done);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries, quiet),
		cmocka_unit_test_setup(stages, quiet),
		cmocka_unit_test_setup(values, quiet),
		cmocka_unit_test_setup(errors, quiet),
		cmocka_unit_test_setup(other_keys, quiet),
		cmocka_unit_test_setup(temporary_keys, quiet),
		cmocka_unit_test_setup(clocks, quiet),
		cmocka_unit_test_setup(places, quiet),
		cmocka_unit_test_setup(closing, quiet),
	};
	struct log_settings none = { .ident = "test" };

	log_setup(&none);
	return cmocka_run_group_tests(tests, aws_fixture_begin, aws_fixture_end);
}
