/* Where AWS keys come from, and how they are kept: against tests/fake/fake_aws.py, on a real loop. */
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

static void
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

static struct asked
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

static struct aws_credentials *
open_for(const char *profile, const char *role_arn)
{
	struct aws_credentials *c = aws_credentials_open(profile, role_arn, "eu-west-9", &fake.env);

	assert_non_null(c);
	return c;
}

static struct asked
ask_once(const char *profile, const char *role_arn)
{
	struct aws_credentials *c = open_for(profile, role_arn);
	struct asked a = ask(c);

	aws_credentials_release(c);
	return a;
}

static void
set_url(const char *name, const char *path)
{
	char url[128];

	snprintf(url, sizeof(url), "%s%s", fake.url, path);
	setenv(name, url, 1);
}

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
		cmocka_unit_test_setup(order, aws_fixture_quiet),
		cmocka_unit_test_setup(profiles, aws_fixture_quiet),
		cmocka_unit_test(texts),
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
