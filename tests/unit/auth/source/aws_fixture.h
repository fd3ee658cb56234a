/* aws_fixture.h -- tests/fake/fake_aws.py, an environment that knows nothing but it, and a clock that
 * can be moved. */
#ifndef TESTS_UNIT_AUTH_SOURCE_AWS_FIXTURE_H
#define TESTS_UNIT_AUTH_SOURCE_AWS_FIXTURE_H

#include "auth/source/aws_clock.h"
#include "tests/unit/auth/source/fake_fixture.h"

static struct fake fake;
static int64_t ahead_ms; /* of our clock */
static char config_file[64], credentials_file[64], token_file[64];

static inline int64_t
aws_fixture_clock(void)
{
	return fake_unix_ms() + ahead_ms;
}

static inline void
aws_fixture_environment(void)
{
	static const char *const names[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION",
		"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ROLE_ARN",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME", "AWS_CA_BUNDLE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "HOME" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	fake_file(config_file, "");
	fake_file(credentials_file, "");
	setenv("AWS_CONFIG_FILE", config_file, 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", credentials_file, 1);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", fake.url, 1);
	setenv("AWS_ENDPOINT_URL_STS", fake.url, 1);
}

static inline void
aws_fixture_keys(const char *id, const char *secret, const char *token)
{
	setenv("AWS_ACCESS_KEY_ID", id, 1);
	setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
	if (token == NULL)
		unsetenv("AWS_SESSION_TOKEN");
	else
		setenv("AWS_SESSION_TOKEN", token, 1);
}

static inline int
aws_fixture_begin(void **state)
{
	(void)state;
	fake_begin(&fake, "tests/fake/fake_aws.py", NULL);
	fake.env.unix_ms = aws_fixture_clock;
	fake_control(&fake, "{\"op\":\"keys\",\"id\":\"AKIDGOOD\",\"secret\":\"good/+=secret\"}");
	fake_control(&fake,
	    "{\"op\":\"put\",\"name\":\"prod/db\",\"version\":\"11111111-1111-1111-1111-111111111111\",\"text\":\"{\\\"username\\\":\\\"u\\\",\\\"password\\\":\\\"one\\\"}\"}");
	return 0;
}

static inline int
aws_fixture_end(void **state)
{
	(void)state;
	fake_end(&fake);
	unlink(config_file);
	unlink(credentials_file);
	unlink(token_file);
	return 0;
}

/* Before each test. */
static inline int
aws_fixture_quiet(void **state)
{
	(void)state;
	aws_fixture_environment();
	ahead_ms = 0;
	aws_clock_forget();
	fake_control(&fake, "{\"op\":\"clear\"}");
	fake_control(&fake, "{\"op\":\"reset\"}");
	fake_control(&fake, "{\"op\":\"skew\"}");
	fake_control(&fake, "{\"op\":\"life\"}");
	fake_control(&fake, "{\"op\":\"role\"}");
	fake_control(&fake, "{\"op\":\"container_token\"}");
	return 0;
}

#endif
