/* Google Secret Manager against tests/fake/fake_cloud.py, on a real loop. */
#include "tests/unit/auth/source/fake_fixture.h"

#define TOKEN "GET /computeMetadata/v1/instance/service-accounts/default/token"
#define NAME  "projects/acme-prod/secrets/db"

static struct fake fake;

static struct config_secret
entry(const char *secret_id)
{
	return (struct config_secret){ .name = "s",
		.provider = "gcp-secretmanager",
		.secret_id = secret_id,
		.endpoint = fake.url,
		.timeout = 400 };
}

static int
begin(void **state)
{
	(void)state;
	unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
	fake_begin(&fake, "tests/fake/fake_cloud.py", NULL);
	setenv("GCE_METADATA_HOST", fake.url + 7, 1);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	fake_end(&fake);
	return 0;
}

static int
quiet(void **state)
{
	(void)state;
	fake_control(&fake, "{\"op\":\"clear\"}");
	fake_control(&fake, "{\"op\":\"reset\"}");
	return 0;
}

#define CLOSE(s) (s)->ops->close(s)
#define FETCH(s) fake_fetch(&fake, (s), SECRET_CURRENT)

static void
entries(void **state)
{
	/* goal: names that are none, foreign keys and credential files are refused when read */
	static const char *const bad[] = { "projects/p", "projects/p/secrets/",
		"projects/p/secrets/a/b", "projects/p/secrets/s/versions/", "a/b", "",
		"projects/../secrets/s", "projects/p/secrets/s/versions/1/x", "s?x" };
	struct config_secret c = entry(NULL);

	(void)state;
	fake_refused(&fake, &source_gcp, &c, "secret_id: missing");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = entry(bad[i]);
		fake_refused(&fake, &source_gcp, &c, "must be projects/PROJECT");
	}
	c = entry(NAME);
	c.role = "x";
	fake_refused(&fake, &source_gcp, &c, "role: not a key of provider gcp-secretmanager");
	c = entry(NAME);
	setenv("GOOGLE_APPLICATION_CREDENTIALS", "/x.json", 1);
	fake_refused(&fake, &source_gcp, &c, "credential files are not supported");
	unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
}

static void
versions(void **state)
{
	/* goal: current and previous by number, JSON or plain; the token is asked for once; a project is
	 * looked up for a bare name */
	struct config_secret c = entry(NAME), bare = entry("db"),
			     pinned = entry(NAME "/versions/1");
	struct secret_source *s = fake_open(&fake, &source_gcp, &c);
	struct secret_source *t = fake_open(&fake, &source_gcp, &bare);
	struct secret_source *u = fake_open(&fake, &source_gcp, &pinned);
	struct got g;

	(void)state;
	assert_int_equal(FETCH(s).error, SECRET_GONE);
	fake_control(&fake,
	    "{\"op\":\"gcp_put\",\"name\":\"" NAME
	    "\",\"text\":\"{\\\"username\\\":\\\"u\\\",\\\"password\\\":\\\"one\\\"}\"}");
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_OK);
	assert_string_equal(g.version, "1");
	assert_string_equal(g.user, "u");
	assert_string_equal(g.password, "one");
	assert_int_equal(fake_fetch(&fake, s, SECRET_PREVIOUS).error, SECRET_GONE);
	assert_int_equal(fake_fetch(&fake, s, SECRET_PENDING).error, SECRET_NOT_SERVED);
	fake_control(&fake,
	    "{\"op\":\"gcp_put\",\"name\":\"" NAME "\",\"text\":\"just a p\\u00e4ssword\\n\"}");
	g = FETCH(t);
	assert_int_equal(g.error, SECRET_OK);
	assert_string_equal(g.version, "2");
	assert_string_equal(g.password, "just a p\303\244ssword");
	g = fake_fetch(&fake, t, SECRET_PREVIOUS);
	assert_string_equal(g.version, "1");
	assert_string_equal(g.password, "one");
	g = FETCH(u);
	assert_string_equal(g.version, "1");
	assert_int_equal(fake_count(&fake, TOKEN), 1);
	fake_control(&fake, "{\"op\":\"gcp_disable\",\"name\":\"" NAME "\",\"version\":2}");
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_GONE);
	assert_non_null(strstr(g.message, "FAILED_PRECONDITION"));
	CLOSE(s);
	CLOSE(t);
	CLOSE(u);
}

static void
tokens(void **state)
{
	/* goal: a refused token is replaced once; damaged payloads and wrong metadata servers are not
	 * believed */
	struct config_secret c = entry(NAME "/versions/1");
	struct secret_source *s = fake_open(&fake, &source_gcp, &c);
	struct got g;

	(void)state;
	assert_int_equal(FETCH(s).error, SECRET_OK);
	fake_control(&fake, "{\"op\":\"revoke\"}");
	assert_int_equal(FETCH(s).error, SECRET_OK);
	assert_int_equal(fake_count(&fake, TOKEN), 2);
	fake_control(&fake, "{\"op\":\"fault\",\"path\":\"/v1/\",\"status\":401,\"count\":2}");
	assert_int_equal(FETCH(s).error, SECRET_DENIED);
	fake_control(&fake, "{\"op\":\"gcp_damage\",\"on\":true}");
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_TRANSIENT);
	assert_non_null(strstr(g.message, "CRC32C"));
	fake_control(&fake, "{\"op\":\"gcp_damage\",\"on\":false}");
	assert_int_equal(FETCH(s).error, SECRET_OK);
	CLOSE(s); /* the last of the identity: the token goes */
	s = fake_open(&fake, &source_gcp, &c);
	fake_control(&fake,
	    "{\"op\":\"fault\",\"path\":\"/computeMetadata\",\"kind\":\"garbage\"}");
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_TRANSIENT);
	assert_non_null(strstr(g.message, "something else answers"));
	CLOSE(s);
}

static void
faults(void **state)
{
	/* goal: every kind of trouble has its class */
	static const struct {
		const char *fault;
		enum secret_error error;
	} cases[] = {
		{ "\"status\":500", SECRET_TRANSIENT },
		{ "\"status\":403", SECRET_GONE },
		{ "\"status\":404", SECRET_GONE },
		{ "\"status\":429,\"retry_after\":3", SECRET_THROTTLED },
		{ "\"kind\":\"garbage\"", SECRET_TRANSIENT },
		{ "\"kind\":\"truncated\"", SECRET_TRANSIENT },
		{ "\"kind\":\"reset\",\"count\":3", SECRET_TRANSIENT },
		{ "\"kind\":\"hang\"", SECRET_TRANSIENT },
	};
	struct config_secret c = entry(NAME "/versions/1");
	struct secret_source *s = fake_open(&fake, &source_gcp, &c);
	struct got g;
	char fault[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_control(&fake, "{\"op\":\"clear\"}");
		snprintf(fault, sizeof(fault), "{\"op\":\"fault\",\"path\":\"/v1/\",%s}",
		    cases[i].fault);
		fake_control(&fake, fault);
		g = FETCH(s);
		if (g.error != cases[i].error)
			fail_msg("%s: class %d, %s", cases[i].fault, g.error, g.message);
		if (g.error == SECRET_THROTTLED)
			assert_int_equal(g.retry_after_ms, 3000);
	}
	CLOSE(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries, quiet),
		cmocka_unit_test_setup(versions, quiet),
		cmocka_unit_test_setup(tokens, quiet),
		cmocka_unit_test_setup(faults, quiet),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
