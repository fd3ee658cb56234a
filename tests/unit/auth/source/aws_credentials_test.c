/* How AWS keys are fetched and kept, against tests/fake/fake_aws.py on a real loop. */
#include "tests/unit/auth/source/aws_credentials_fixture.h"

/* ---- fetching ---- */

static void
metadata(void **state)
{
	/* goal: IMDSv2 with its session token; an instance without a role is told apart from trouble */
	struct asked a;

	(void)state;
	a = ask_once(NULL, NULL);
	if (!a.has_keys)
		fail_msg("%s", a.message);
	assert_int_equal(strncmp(a.id, "ASIA", 4), 0);
	assert_true(a.token[0] != '\0');
	assert_int_equal(fake_count(&fake, "imds PUT /latest/api/token"), 1);
	assert_int_equal(fake_count(&fake, IMDS_KEYS), 1);
	fake_control(&fake, "{\"op\":\"fault\",\"path\":\"imds\",\"status\":503,\"count\":2}");
	assert_true(ask_once(NULL, NULL).has_keys);
	fake_control(&fake,
	    "{\"op\":\"fault\",\"path\":\"imds\",\"kind\":\"garbage\",\"count\":-1}");
	a = ask_once(NULL, NULL);
	assert_false(a.has_keys);
	assert_int_equal(a.error, SECRET_TRANSIENT);
	fake_control(&fake, "{\"op\":\"clear\"}");
	fake_control(&fake, "{\"op\":\"fault\",\"path\":\"imds\",\"status\":403}");
	a = ask_once(NULL, NULL);
	assert_int_equal(a.error, SECRET_DENIED);
	assert_non_null(strstr(a.message, "session token: answered 403"));
	fake_control(&fake, "{\"op\":\"role\",\"name\":null}");
	a = ask_once(NULL, NULL);
	assert_int_equal(a.error, SECRET_DENIED);
	assert_non_null(strstr(a.message, "the instance has no role"));
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
	a = ask_once(NULL, NULL);
	assert_int_equal(a.error, SECRET_TRANSIENT);
	assert_non_null(strstr(a.message, "hop limit"));
}

static void
container(void **state)
{
	/* goal: the token file is read for each request, and nothing is sent to strange hosts */
	static const char *const bad[] = { "http://example.com/x", "http://127.0.0.1@evil/x",
		"http://127.0.0.1.evil/x", "ftp://127.0.0.1/", "http:///x", "https://u@h/" };
	struct aws_credentials *c;
	struct asked a;

	(void)state;
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/ecs/creds");
	fake_control(&fake, "{\"op\":\"container_token\",\"text\":\"one\"}");
	fake_file(token_file, "one");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token_file, 1);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this", 1);
	c = open_for(NULL, NULL);
	a = ask(c);
	if (!a.has_keys)
		fail_msg("%s", a.message);
	fake_control(&fake, "{\"op\":\"container_token\",\"text\":\"two\"}");
	fake_file(token_file, "two");
	aws_credentials_refused(c, a.serial);
	assert_int_equal(ask(c).serial, a.serial + 1);
	fake_control(&fake, "{\"op\":\"container_token\",\"text\":\"three\"}");
	aws_credentials_refused(c, a.serial + 1);
	a = ask(c);
	assert_int_equal(a.error, SECRET_DENIED);
	assert_true(a.has_keys); /* the old ones */
	aws_credentials_release(c);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", bad[i], 1);
		a = ask_once(NULL, NULL);
		if (a.has_keys || strstr(a.message, "must be https") == NULL)
			fail_msg("%s: %s", bad[i], a.message);
	}
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\r\nX: y", 1);
	set_url("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/ecs/creds");
	assert_non_null(strstr(ask_once(NULL, NULL).message, "line break"));
}

static void
web_identity(void **state)
{
	/* goal: the token is exchanged unsigned, read from its file each time, and the clock does not
	 * matter */
	struct aws_credentials *c;
	struct asked a;

	(void)state;
	fake_file(token_file, "web-token\n");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token_file, 1);
	setenv("AWS_ROLE_ARN", ROLE "irsa", 1);
	setenv("AWS_ROLE_SESSION_NAME", "shop", 1);
	c = open_for(NULL, NULL);
	a = ask(c);
	if (!a.has_keys)
		fail_msg("%s", a.message);
	assert_non_null(strstr(fake_control(&fake, "{\"op\":\"log\"}"), "\"session\": \"shop\""));
	assert_in_range(a.expires_unix_ms - fake_unix_ms(), 3500000, 3600000);
	aws_credentials_release(c);
	fake_file(token_file, "expired");
	a = ask_once(NULL, NULL);
	assert_int_equal(a.error, SECRET_DENIED);
	assert_non_null(strstr(a.message,
	    "STS answered 400 InvalidIdentityToken: The web identity token is not <good>"));
	unlink(token_file);
	assert_non_null(strstr(ask_once(NULL, NULL).message, "No such file"));
	fake_file(token_file, "web-token\n");
	fake_control(&fake, "{\"op\":\"fault\",\"path\":\"sts\",\"kind\":\"throttle\"}");
	assert_int_equal(ask_once(NULL, NULL).error, SECRET_THROTTLED);
	fake_control(&fake, "{\"op\":\"fault\",\"path\":\"sts\",\"kind\":\"xml_500\"}");
	assert_true(ask_once(NULL, NULL).has_keys); /* tried again */
}

static void
roles(void **state)
{
	/* goal: roles are assumed one with the keys of the other, signed, also with a wrong clock */
	struct asked a;
	const char *log;

	(void)state;
	fake_file(credentials_file,
	    "[base]\naws_access_key_id = AKIDGOOD\naws_secret_access_key = good/+=secret\n");
	fake_file(config_file,
	    "[profile app]\nrole_arn = " ROLE "middle\nsource_profile = base\n"
	    "external_id = a&b c\nduration_seconds = 1200\n"
	    "[profile box]\nrole_arn = " ROLE "box\ncredential_source=Ec2InstanceMetadata\n");
	a = ask_once("app", ROLE "top");
	if (!a.has_keys)
		fail_msg("%s", a.message);
	assert_int_equal(fake_count(&fake, "sts AssumeRole"), 2);
	log = fake_control(&fake, "{\"op\":\"log\"}");
	assert_non_null(strstr(log, "\"external_id\": \"a&b c\""));
	assert_non_null(strstr(log, "\"duration\": \"1200\""));
	assert_non_null(strstr(log, "\"key\": \"AKIDGOOD\", \"role\": \"" ROLE "middle\""));
	assert_non_null(strstr(log, "\"role\": \"" ROLE "top\""));
	a = ask_once("box", NULL);
	if (!a.has_keys)
		fail_msg("%s", a.message);
	ahead_ms = INT64_C(7200) * 1000;
	assert_true(ask_once("app", NULL).has_keys);
	a = ask_once("app", ROLE "forbidden");
	assert_int_equal(a.error, SECRET_DENIED);
	assert_non_null(strstr(a.message, "AccessDenied: not authorized to perform"));
}

static void
process(void **state)
{
	/* goal: credential_process runs without a shell; its faults are told without its output */
	static const struct {
		const char *command, *error;
	} cases[] = {
		{ "/bin/echo '{\"Version\":1,\"AccessKeyId\":\"AKPROC\",\"SecretAccessKey\":\"$HOME\"}'",
		    NULL },
		{ "/bin/false", "ended with status 1" },
		{ "/bin/echo '{\"Version\":2}'", "Version is not 1" },
		{ "/bin/echo hello", "no JSON" },
		{ "/nonexistent/x", "credential_process of profile p: " },
		{ "'unclosed", "credential_process of profile p: " },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct asked a;

		snprintf(text, sizeof(text), "[profile p]\ncredential_process = %s\n",
		    cases[i].command);
		fake_file(config_file, text);
		a = ask_once("p", NULL);
		if (a.has_keys != (cases[i].error == NULL) ||
		    (!a.has_keys && strstr(a.message, cases[i].error) == NULL))
			fail_msg("%s: %s", cases[i].command, a.message);
	}
}

/* ---- keeping ---- */

static void
single_flight(void **state)
{
	/* goal: whoever asks meanwhile joins the one fetch; the same identity is the same object; one
	 * who gives up is not answered */
	struct aws_credentials *c = open_for(NULL, NULL), *d = open_for(NULL, NULL), *other;
	struct asked many[50];
	size_t left = 50;

	(void)state;
	assert_ptr_equal(c, d);
	other = open_for(NULL, ROLE "x");
	assert_ptr_not_equal(c, other);
	aws_credentials_release(other);
	fake_control(&fake,
	    "{\"op\":\"fault\",\"path\":\"imds\",\"kind\":\"delay\",\"seconds\":0.1}");
	memset(many, 0, sizeof(many));
	for (size_t i = 0; i < 50; i++) {
		many[i].want.ready = on_ready;
		aws_credentials_want(i % 2 == 0 ? c : d, &many[i].want);
		if (i == 25)
			fake_run(&fake, 50); /* it is under way */
	}
	aws_credentials_unwant(&many[7].want);
	while (left != 1) {
		fake_run(&fake, 2000);
		assert_false(fake.impatient);
		left = 0;
		for (size_t i = 0; i < 50; i++)
			left += !many[i].done;
	}
	assert_false(many[7].done);
	assert_int_equal(fake_count(&fake, IMDS_KEYS), 1);
	aws_credentials_release(c);
	assert_int_equal(ask(d).serial, 1);
	assert_int_equal(fake_count(&fake, IMDS_KEYS), 1);
	aws_credentials_release(d);
}

static void
renewal(void **state)
{
	/* goal: keys are renewed 5 to 15 minutes ahead; while that fails the old ones are used, without
	 * waiting and without a storm; when they have ended there are none */
	struct aws_credentials *c = open_for(NULL, NULL);
	struct asked a, b;

	(void)state;
	a = ask(c);
	assert_true(a.has_keys);
	ahead_ms = INT64_C(44) * 60000;
	assert_int_equal(ask(c).serial, 1);
	assert_int_equal(fake_count(&fake, IMDS_KEYS), 1);
	ahead_ms = INT64_C(56) * 60000;
	fake_control(&fake,
	    "{\"op\":\"fault\",\"path\":\"imds\",\"kind\":\"status\",\"count\":-1}");
	fake_control(&fake, "{\"op\":\"reset\"}");
	b = ask(c);
	assert_true(b.has_keys);
	assert_string_equal(b.id, a.id);
	fake_run(&fake, 700); /* three tries */
	b = ask(c);
	assert_int_equal(b.error, SECRET_TRANSIENT);
	assert_string_equal(b.id, a.id);
	for (int i = 0; i < 20; i++)
		assert_string_equal(ask(c).id, a.id);
	assert_int_equal(fake_count(&fake, "imds PUT /latest/api/token"), 3);
	ahead_ms = INT64_C(61) * 60000;
	b = ask(c);
	assert_false(b.has_keys);
	fake_control(&fake, "{\"op\":\"clear\"}");
	fake_control(&fake, "{\"op\":\"skew\",\"seconds\":3660}");
	ahead_ms += 2000; /* a failure answers for a second */
	b = ask(c);
	assert_true(b.has_keys);
	assert_int_equal(b.serial, 2);
	aws_credentials_release(c);
}

static void
ahead(void **state)
{
	/* goal: renewal needs nobody to ask: short keys (2 s) are replaced by the timer at 80 % */
	struct aws_credentials *c = open_for(NULL, NULL);
	struct asked a;

	(void)state;
	fake_control(&fake, "{\"op\":\"life\",\"seconds\":2}");
	a = ask(c);
	assert_true(a.has_keys);
	fake_run(&fake, 100);
	assert_int_equal(fake_count(&fake, IMDS_KEYS), 1);
	fake_control(&fake, "{\"op\":\"life\"}");
	fake_run(&fake, 1900);
	assert_int_equal(fake_count(&fake, IMDS_KEYS), 2);
	assert_int_equal(ask(c).serial, 2);
	aws_credentials_release(c);
}

static void
files(void **state)
{
	/* goal: keys that somebody changed in the files are found within a minute, or at once when the
	 * old ones are refused */
	struct aws_credentials *c;
	struct asked a;

	(void)state;
	fake_file(credentials_file, "[default]\naws_access_key_id=A1\naws_secret_access_key=s\n");
	c = open_for(NULL, NULL);
	a = ask(c);
	assert_string_equal(a.id, "A1");
	aws_credentials_refused(c, a.serial);
	assert_int_equal(ask(c).serial, a.serial); /* no others */
	fake_file(credentials_file, "[default]\naws_access_key_id=A2\naws_secret_access_key=s\n");
	assert_string_equal(ask(c).id, "A1");
	aws_credentials_refused(c, a.serial);
	assert_string_equal(ask(c).id, "A2");
	fake_file(credentials_file, "[default]\naws_access_key_id=A3\naws_secret_access_key=s\n");
	ahead_ms = 61000;
	assert_string_equal(ask(c).id, "A3");
	aws_credentials_release(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(metadata, aws_fixture_quiet),
		cmocka_unit_test_setup(container, aws_fixture_quiet),
		cmocka_unit_test_setup(web_identity, aws_fixture_quiet),
		cmocka_unit_test_setup(roles, aws_fixture_quiet),
		cmocka_unit_test_setup(process, aws_fixture_quiet),
		cmocka_unit_test_setup(single_flight, aws_fixture_quiet),
		cmocka_unit_test_setup(renewal, aws_fixture_quiet),
		cmocka_unit_test_setup(ahead, aws_fixture_quiet),
		cmocka_unit_test_setup(files, aws_fixture_quiet),
	};
	struct log_settings none = { .ident = "test" };

	log_setup(&none);
	return cmocka_run_group_tests(tests, aws_fixture_begin, aws_fixture_end);
}
