/* Azure Key Vault against tests/fake/fake_cloud.py, on a real loop. */
#include "tests/unit/auth/source/fake_fixture.h"

#define VAULT "https://acme.vault.azure.net"
#define IMDS  "GET /metadata/identity/oauth2/token"

static struct fake fake;

static struct config_secret
entry(const char *secret_id)
{
	return (struct config_secret){ .name = "s",
		.provider = "azure-keyvault",
		.secret_id = secret_id,
		.endpoint = fake.url,
		.timeout = 400 };
}

static void
forget_environment(void)
{
	static const char *const names[] = { "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID",
		"AZURE_CLIENT_ID", "AZURE_AUTHORITY_HOST", "IDENTITY_ENDPOINT", "IDENTITY_HEADER" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

static int
begin(void **state)
{
	(void)state;
	forget_environment();
	fake_begin(&fake, "tests/fake/fake_cloud.py", NULL);
	setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", fake.url, 1);
	fake_control(&fake,
	    "{\"op\":\"azure_put\",\"name\":\"db\",\"text\":\"{\\\"username\\\":\\\"u\\\",\\\"password\\\":\\\"one\\\"}\"}");
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
	forget_environment();
	fake_control(&fake, "{\"op\":\"clear\"}");
	fake_control(&fake, "{\"op\":\"reset\"}");
	fake_control(&fake, "{\"op\":\"identity\"}");
	return 0;
}

#define CLOSE(s) (s)->ops->close(s)
#define FETCH(s) fake_fetch(&fake, (s), SECRET_CURRENT)

static void
entries(void **state)
{
	/* goal: a token never goes to a host that is no vault of Azure's: such URLs are refused */
	static const char *const bad[] = { "db", "http://acme.vault.azure.net/secrets/db",
		"https://acme.vault.azure.net.evil.org/secrets/db",
		"https://vault.azure.net/secrets/db",
		"https://evil.org/.vault.azure.net/secrets/db",
		"https://a.b.vault.azure.net/secrets/db",
		"https://x@acme.vault.azure.net/secrets/db", VAULT "/keys/db", VAULT "/secrets/",
		VAULT "/secrets/db/", VAULT "/secrets/db/v/x", VAULT "/secrets/d?b", VAULT };
	struct config_secret c = entry(NULL);
	struct secret_source *s;

	(void)state;
	fake_refused(&fake, &source_azure, &c, "secret_id: missing");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c = entry(bad[i]);
		fake_refused(&fake, &source_azure, &c, "must be https://VAULT.vault.azure.net");
	}
	c = entry(VAULT "/secrets/db");
	c.region = "x";
	fake_refused(&fake, &source_azure, &c, "region: not a key of provider azure-keyvault");
	c = entry("https://acme.vault.usgovcloudapi.net/secrets/db/0123");
	s = fake_open(&fake, &source_azure, &c);
	CLOSE(s);
}

static void
versions(void **state)
{
	/* goal: the version is the id's tail; the one before is remembered; one token serves all */
	struct config_secret c = entry(VAULT "/secrets/db"), none = entry(VAULT "/secrets/none");
	struct secret_source *s = fake_open(&fake, &source_azure, &c);
	struct secret_source *t = fake_open(&fake, &source_azure, &none);
	struct got first, g;
	char disable[1400];

	(void)state;
	first = FETCH(s);
	assert_int_equal(first.error, SECRET_OK);
	assert_int_equal(strlen(first.version), 32);
	assert_string_equal(first.user, "u");
	assert_string_equal(first.password, "one");
	assert_int_equal(fake_fetch(&fake, s, SECRET_PREVIOUS).error, SECRET_GONE);
	assert_int_equal(fake_fetch(&fake, s, SECRET_PENDING).error, SECRET_NOT_SERVED);
	fake_control(&fake, "{\"op\":\"azure_put\",\"name\":\"db\",\"text\":\"two\\n\"}");
	g = FETCH(s);
	assert_string_equal(g.password, "two");
	assert_string_not_equal(g.version, first.version);
	assert_string_equal(fake_fetch(&fake, s, SECRET_PREVIOUS).version, first.version);
	assert_int_equal(FETCH(t).error, SECRET_GONE);
	assert_int_equal(fake_count(&fake, IMDS), 1);
	snprintf(disable, sizeof(disable),
	    "{\"op\":\"azure_disable\",\"name\":\"db\",\"version\":\"%s\"}", g.version);
	fake_control(&fake, disable);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_GONE);
	assert_non_null(strstr(g.message, "SecretDisabled"));
	fake_control(&fake, "{\"op\":\"azure_put\",\"name\":\"db\",\"text\":\"three\"}");
	fake_control(&fake, "{\"op\":\"revoke\"}");
	assert_int_equal(FETCH(s).error, SECRET_OK);
	assert_int_equal(fake_count(&fake, IMDS), 2);
	CLOSE(s);
	CLOSE(t);
}

static void
identities(void **state)
{
	/* goal: each kind of identity gets its token, a wrong one is SECRET_DENIED */
	struct config_secret c = entry(VAULT "/secrets/db");
	struct secret_source *s;
	struct got g;
	char file[64] = "", url[128];

	(void)state;
	c.client_id = "11-22";
	s = fake_open(&fake, &source_azure, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_DENIED);
	assert_non_null(strstr(g.message, "Identity not found"));
	CLOSE(s);
	fake_control(&fake,
	    "{\"op\":\"identity\",\"client_id\":\"11-22\",\"header\":\"hh\",\"assertion\":\"a+/=b\"}");
	s = fake_open(&fake, &source_azure, &c);
	assert_int_equal(FETCH(s).error, SECRET_OK);
	CLOSE(s);

	snprintf(url, sizeof(url), "%s/msi/token", fake.url);
	setenv("IDENTITY_ENDPOINT", url, 1);
	setenv("IDENTITY_HEADER", "hh", 1);
	s = fake_open(&fake, &source_azure, &c);
	assert_int_equal(FETCH(s).error, SECRET_OK);
	assert_int_equal(fake_count(&fake, "GET /msi/token"), 1);
	CLOSE(s);

	fake_file(file, "a+/=b\n");
	setenv("AZURE_FEDERATED_TOKEN_FILE", file, 1);
	c.client_id = NULL;
	s = fake_open(&fake, &source_azure, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_DENIED);
	assert_non_null(strstr(g.message, "AZURE_TENANT_ID"));
	CLOSE(s);
	setenv("AZURE_TENANT_ID", "tenant", 1);
	setenv("AZURE_CLIENT_ID", "11-22", 1);
	setenv("AZURE_AUTHORITY_HOST", fake.url, 1);
	s = fake_open(&fake, &source_azure, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_OK);
	assert_int_equal(fake_count(&fake, "POST /tenant/oauth2/v2.0/token"), 1);
	CLOSE(s);
	unlink(file);
}

static void
faults(void **state)
{
	/* goal: every kind of trouble, of the vault and of the identity service, has its class */
	static const struct {
		const char *fault;
		enum secret_error error;
	} cases[] = {
		{ "\"path\":\"/secrets\",\"status\":503", SECRET_TRANSIENT },
		{ "\"path\":\"/secrets\",\"status\":401,\"count\":2", SECRET_DENIED },
		{ "\"path\":\"/secrets\",\"status\":403", SECRET_GONE },
		{ "\"path\":\"/secrets\",\"status\":429,\"retry_after\":9", SECRET_THROTTLED },
		{ "\"path\":\"/secrets\",\"kind\":\"garbage\"", SECRET_TRANSIENT },
		{ "\"path\":\"/secrets\",\"kind\":\"hang\"", SECRET_TRANSIENT },
		{ "\"path\":\"/metadata\",\"status\":410", SECRET_TRANSIENT },
		{ "\"path\":\"/metadata\",\"status\":429", SECRET_THROTTLED },
		{ "\"path\":\"/metadata\",\"kind\":\"garbage\"", SECRET_TRANSIENT },
		{ "\"path\":\"/metadata\",\"kind\":\"hang\"", SECRET_TRANSIENT },
	};
	struct config_secret c = entry(VAULT "/secrets/db");
	struct got g;
	char fault[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct secret_source *s = fake_open(&fake, &source_azure, &c);

		fake_control(&fake, "{\"op\":\"clear\"}");
		snprintf(fault, sizeof(fault), "{\"op\":\"fault\",%s}", cases[i].fault);
		fake_control(&fake, fault);
		g = FETCH(s);
		if (g.error != cases[i].error)
			fail_msg("%s: class %d, %s", cases[i].fault, g.error, g.message);
		CLOSE(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries, quiet),
		cmocka_unit_test_setup(versions, quiet),
		cmocka_unit_test_setup(identities, quiet),
		cmocka_unit_test_setup(faults, quiet),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
