/* Where AWS keys come from: the order of the chain, against tests/fake/fake_aws.py on a real loop. */
#include "tests/unit/auth/source/aws_credentials_fixture.h"

/* ---- the chain ---- */

static void
order(void **state)
{
	/* goal: the first source that is configured wins, in the documented order */
	struct aws_plan p;
	char err[256];

	(void)state;
	fake_file(token_file, "web-token");
	fake_file(credentials_file,
	    "[default]\naws_access_key_id=AKDEFAULT\naws_secret_access_key=s\n"
	    "[other]\naws_access_key_id=AKOTHER\naws_secret_access_key=s\naws_session_token=t\n");
	aws_fixture_keys("AKENV", "s", "t");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token_file, 1);
	setenv("AWS_ROLE_ARN", ROLE "web", 1);
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x", 1);
	setenv("AWS_PROFILE", "other", 1);

	assert_int_equal(aws_plan_make(&p, "default", NULL, err, sizeof(err)), 0);
	assert_string_equal(p.keys.access_key_id, "AKDEFAULT");
	assert_null(p.keys.session_token);
	aws_plan_release(&p);
	assert_int_equal(aws_plan_make(&p, NULL, ROLE "top", err, sizeof(err)), 0);
	assert_string_equal(p.keys.access_key_id, "AKENV");
	assert_string_equal(p.keys.session_token, "t");
	assert_int_equal(p.n_roles, 1);
	aws_plan_release(&p);
	unsetenv("AWS_SECRET_ACCESS_KEY");
	assert_int_equal(aws_plan_make(&p, NULL, NULL, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "AWS_SECRET_ACCESS_KEY is not"));
	aws_plan_release(&p);
	setenv("AWS_ACCESS_KEY_ID", "", 1);
	assert_int_equal(aws_plan_make(&p, NULL, NULL, err, sizeof(err)), 0);
	assert_int_equal(p.origin, AWS_FROM_WEB_IDENTITY);
	assert_string_equal(p.web_role.arn, ROLE "web");
	aws_plan_release(&p);
	unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	assert_int_equal(aws_plan_make(&p, NULL, NULL, err, sizeof(err)), 0);
	assert_string_equal(p.keys.access_key_id, "AKOTHER");
	aws_plan_release(&p);
	setenv("AWS_PROFILE", "gone", 1);
	assert_int_equal(aws_plan_make(&p, NULL, NULL, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "profile gone: not in the shared AWS files"));
	aws_plan_release(&p);
	unsetenv("AWS_PROFILE");
	fake_file(credentials_file, "[default]\nregion = eu-north-8\n");
	assert_int_equal(aws_plan_make(&p, NULL, NULL, err, sizeof(err)), 0);
	assert_int_equal(p.origin, AWS_FROM_CONTAINER);
	assert_string_equal(p.region, "eu-north-8");
	aws_plan_release(&p);
	unsetenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	assert_int_equal(aws_plan_make(&p, NULL, NULL, err, sizeof(err)), 0);
	assert_int_equal(p.origin, AWS_FROM_IMDS);
	aws_plan_release(&p);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	assert_int_equal(aws_plan_make(&p, NULL, NULL, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "no AWS credentials"));
	aws_plan_release(&p);
}

static void
profiles(void **state)
{
	/* goal: profiles are read like AWS's tools read them, and what cannot work is said */
	static const struct {
		const char *profile, *error; /* error NULL: fine */
	} cases[] = {
		{ "chain", NULL },
		{ "self", NULL },
		{ "quoted name", NULL },
		{ "circle", "goes round in a circle" },
		{ "half", "must both be there" },
		{ "lonely", "role_arn needs source_profile" },
		{ "broken", "profile nowhere: not in the shared AWS files" },
		{ "empty", "profile empty: has no credentials" },
		{ "sso", "sso_start_url needs a person" },
		{ "mfa", "mfa_serial needs a person" },
		{ "odd", "credential_source must be" },
		{ "missing", "profile missing: not in" },
	};
	struct aws_plan p;
	char err[256];

	(void)state;
	fake_file(credentials_file, "# comment\n[base]\r\naws_access_key_id = AKBASE\r\n"
				    "aws_secret_access_key = se=cr#et\r\n; [chain]\n");
	fake_file(config_file,
	    "[base]\naws_access_key_id = NOTTHIS\n"
	    "[profile base]\naws_access_key_id = NOTTHIS\nregion=eu-base-1\n"
	    "[profile middle]\nrole_arn = " ROLE "middle\nsource_profile = base\n"
	    "external_id = x y\nduration_seconds = 1800\n"
	    "[ profile chain ]\ns3 =\n  role_arn = nested\nrole_arn=" ROLE
	    "top\nsource_profile=middle\nregion = eu-chain-1\nrole_session_name = me\n"
	    "[profile self]\nrole_arn=" ROLE
	    "self\nsource_profile=self\naws_access_key_id=AKSELF\naws_secret_access_key=s\n"
	    "[profile 'quoted name']\naws_access_key_id=A\naws_secret_access_key=B\n"
	    "[profile circle]\nrole_arn=" ROLE "a\nsource_profile=circle2\n"
	    "[profile circle2]\nrole_arn=" ROLE "b\nsource_profile=circle\n"
	    "[profile half]\naws_access_key_id=A\n"
	    "[profile lonely]\nrole_arn=" ROLE "x\n"
	    "[profile broken]\nrole_arn=" ROLE "x\nsource_profile=nowhere\n"
	    "[profile empty]\noutput=json\n"
	    "[profile sso]\nsso_start_url=https://x\n"
	    "[profile mfa]\nrole_arn=" ROLE "x\nsource_profile=base\nmfa_serial=1\n"
	    "[profile odd]\nrole_arn=" ROLE "x\ncredential_source=Tea\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int made = aws_plan_make(&p, cases[i].profile, NULL, err, sizeof(err));

		aws_plan_release(&p);
		if ((made == 0) != (cases[i].error == NULL) ||
		    (made == -1 && strstr(err, cases[i].error) == NULL))
			fail_msg("%s: %s", cases[i].profile, made == 0 ? "accepted" : err);
	}
	assert_int_equal(aws_plan_make(&p, "chain", NULL, err, sizeof(err)), 0);
	assert_string_equal(p.keys.access_key_id, "AKBASE");
	assert_string_equal(p.keys.secret_access_key, "se=cr#et");
	assert_string_equal(p.region, "eu-chain-1");
	assert_int_equal(p.n_roles, 2);
	assert_string_equal(p.roles[0].arn, ROLE "top");
	assert_string_equal(p.roles[0].session_name, "me");
	assert_string_equal(p.roles[1].arn, ROLE "middle");
	assert_string_equal(p.roles[1].external_id, "x y");
	assert_int_equal(p.roles[1].duration_s, 1800);
	aws_plan_release(&p);
	assert_int_equal(chmod(credentials_file, 0666), 0);
	assert_int_equal(aws_plan_make(&p, "chain", NULL, err, sizeof(err)), -1);
	assert_non_null(strstr(err, "may be written by everybody"));
	aws_plan_release(&p);
	assert_int_equal(chmod(credentials_file, 0600), 0);
}

static void
texts(void **state)
{
	/* goal: dates in all their forms, and XML with entities; what is wrong is refused */
	static const struct {
		const char *date;
		int64_t s; /* -1 = refused */
	} dates[] = {
		{ "2026-03-14T02:59:26Z", 1773457166 },
		{ "2026-03-14T02:59:26.123Z", 1773457166 },
		{ "2026-03-14T03:59:26+01:00", 1773457166 },
		{ "2026-03-14T02:59:26", -1 },
		{ "2026-03-14 02:59:26Z", -1 },
		{ "2026-13-14T02:59:26Z", -1 },
		{ "2026-03-14T02:59:26Zx", -1 },
		{ "", -1 },
	};
	static const struct {
		const char *xml, *text; /* NULL = refused */
	} elements[] = {
		{ "<K>a</K>", "a" },
		{ "<a><KK>no</KK><K x='y'>b</K></a>", "b" },
		{ "<K>&lt;&#43;&#x2b;&amp;</K>", "<++&" },
		{ "<K></K>", "" },
		{ "<K><b>x</b></K>", NULL },
		{ "<K>&nope;</K>", NULL },
		{ "<K>&#0;</K>", NULL },
		{ "<K>12345678901234567</K>", NULL },
		{ "<K>x", NULL },
		{ "<K", NULL },
		{ "<K>x</Q>", NULL },
		{ "", NULL },
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
		if (aws_keys_time(dates[i].date) != (dates[i].s == -1 ? -1 : dates[i].s * 1000))
			fail_msg("%s", dates[i].date);
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		long n = aws_xml_text(elements[i].xml, strlen(elements[i].xml), "K", out,
		    sizeof(out));

		if ((n == -1) != (elements[i].text == NULL) ||
		    (n != -1 && strcmp(out, elements[i].text) != 0))
			fail_msg("%s", elements[i].xml);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(order, aws_fixture_quiet),
		cmocka_unit_test_setup(profiles, aws_fixture_quiet),
		cmocka_unit_test(texts),
	};
	struct log_settings none = { .ident = "test" };

	log_setup(&none);
	return cmocka_run_group_tests(tests, aws_fixture_begin, aws_fixture_end);
}
