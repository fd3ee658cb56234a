/* Vault's providers against tests/fake/fake_vault.py, on a real loop. */
#include "tests/unit/auth/source/vault_fixture.h"

static void
entries(void **state)
{
	/* goal: what is wrong with an entry is said when it is read, by the key's name */
	struct config_secret c = kv();

	(void)state;
	c.region = "eu-west-1";
	fake_refused(&fake, &source_vault_kv, &c, "region: not a key of provider vault-kv");
	c = kv();
	c.path = NULL;
	fake_refused(&fake, &source_vault_kv, &c, "path: missing");
	c.path = "../sys/x";
	fake_refused(&fake, &source_vault_kv, &c, "path=../sys/x");
	c = kv();
	c.endpoint = NULL;
	fake_refused(&fake, &source_vault_kv, &c, "VAULT_ADDR is not set");
	c = kv();
	c.auth_method = "ldap";
	fake_refused(&fake, &source_vault_kv, &c, "must be token, approle or kubernetes");
	c.auth_method = "kubernetes";
	fake_refused(&fake, &source_vault_kv, &c, "needs auth_role");
	c.auth_method = NULL;
	fake_refused(&fake, &source_vault_kv, &c, "need auth_method=approle");
	c = database(NULL);
	fake_refused(&fake, &source_vault_database, &c, "role: missing");
	c = database("rw");
	c.role_type = "magic";
	fake_refused(&fake, &source_vault_database, &c, "must be dynamic or static");
	c.role_type = NULL;
	c.cert_file = "x";
	fake_refused(&fake, &source_vault_database, &c, "cert_file and key_file");
}

static void
versions(void **state)
{
	/* goal: KV gives the current version by its number, the one before it, and says when a version
	 * is deleted */
	struct config_secret c = kv();
	struct secret_source *s = fake_open(&fake, &source_vault_kv, &c);
	struct got g;

	(void)state;
	assert_int_equal(fake_fetch(&fake, s, SECRET_PREVIOUS).error, SECRET_GONE);
	assert_int_equal(fake_fetch(&fake, s, SECRET_PENDING).error, SECRET_NOT_SERVED);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_OK);
	assert_string_equal(g.version, "1");
	assert_string_equal(g.user, "u");
	assert_string_equal(g.password, "one");
	fake_control(&fake,
	    "{\"op\":\"kv_put\",\"path\":\"app/db\",\"data\":{\"username\":\"u\",\"password\":\"two\"}}");
	g = FETCH(s);
	assert_string_equal(g.version, "2");
	assert_string_equal(g.password, "two");
	g = fake_fetch(&fake, s, SECRET_PREVIOUS);
	assert_string_equal(g.version, "1");
	assert_string_equal(g.password, "one");
	fake_control(&fake, "{\"op\":\"kv_delete\",\"path\":\"app/db\",\"version\":2}");
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_GONE);
	assert_non_null(strstr(g.message, "deleted"));
	CLOSE(s);
	c.path = "app/none";
	s = fake_open(&fake, &source_vault_kv, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_GONE);
	assert_non_null(strstr(g.message, "no secret at this mount"));
	CLOSE(s);
	fake_control(&fake,
	    "{\"op\":\"kv_put\",\"path\":\"app/odd\",\"data\":{\"username\":\"u\"}}");
	c.path = "app/odd";
	s = fake_open(&fake, &source_vault_kv, &c);
	assert_int_equal(FETCH(s).error, SECRET_BAD_VALUE);
	CLOSE(s);
	fake_control(&fake,
	    "{\"op\":\"kv_put\",\"path\":\"app/db\",\"data\":{\"username\":\"u\",\"password\":\"three\"}}");
}

static void
leases(void **state)
{
	/* goal: a dynamic role gives a user with a lease that is renewed up to its longest life and given
	 * back, even after close() */
	struct config_secret c = database("rw");
	struct secret_source *s = fake_open(&fake, &source_vault_database, &c);
	struct got g = FETCH(s), r = { .fake = &fake }, second;
	int64_t now = fake_unix_ms();

	(void)state;
	assert_int_equal(g.error, SECRET_OK);
	assert_true(g.has_lease && g.renewable);
	assert_string_equal(g.version, strrchr(g.lease, '/') + 1);
	assert_memory_equal(g.user, "v-rw-", 5);
	assert_in_range(g.expires_unix_ms, now + 58000, now + 61000);
	assert_int_equal(fake_fetch(&fake, s, SECRET_PREVIOUS).error, SECRET_NOT_SERVED);

	s->ops->renew(s, g.lease, fake_fetched, &r);
	fake_wait(&fake, &r);
	assert_int_equal(r.error, SECRET_OK);
	assert_false(r.has_value);
	assert_string_equal(r.lease, g.lease);
	assert_in_range(r.expires_unix_ms, now + 58000, now + 64000);

	second = FETCH(s);
	assert_string_not_equal(second.user, g.user);
	s->ops->revoke(s, g.lease);
	s->ops->revoke(s, second.lease);
	CLOSE(s);
	for (int i = 0; i < 40 && strstr(fake_control(&fake, "{\"op\":\"leases\"}"), second.lease);
	     i++)
		fake_run(&fake, 50);
	assert_null(strstr(fake_control(&fake, "{\"op\":\"leases\"}"), g.lease));
	assert_null(strstr(fake_control(&fake, "{\"op\":\"leases\"}"), second.lease));

	s = fake_open(&fake, &source_vault_database, &c);
	r = (struct got){ .fake = &fake };
	s->ops->renew(s, g.lease, fake_fetched, &r);
	fake_wait(&fake, &r);
	assert_int_equal(r.error, SECRET_GONE);
	assert_non_null(strstr(r.message, "lease not found"));
	CLOSE(s);
	c.role = "none";
	s = fake_open(&fake, &source_vault_database, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_GONE);
	assert_non_null(strstr(g.message, "unknown role: none"));
	CLOSE(s);
}

static void
static_role(void **state)
{
	/* goal: a static role says when its password changes, and a change is another version */
	struct config_secret c = database("fixed");
	struct secret_source *s;
	struct got g, next;
	int64_t now = fake_unix_ms();

	(void)state;
	c.role_type = "static";
	s = fake_open(&fake, &source_vault_database, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_OK);
	assert_string_equal(g.user, "fixed_user");
	assert_false(g.has_lease);
	assert_int_equal(g.expires_unix_ms, 0);
	assert_in_range(g.refresh_unix_ms, now + 86300000, now + 86403000);
	assert_string_equal(FETCH(s).version, g.version);
	fake_control(&fake, "{\"op\":\"rotate\",\"name\":\"fixed\"}");
	next = FETCH(s);
	assert_string_not_equal(next.version, g.version);
	assert_string_not_equal(next.password, g.password);
	CLOSE(s);
}

static void
faults(void **state)
{
	/* goal: every kind of trouble has its class, and none ends in a crash or waits for ever */
	static const struct {
		const char *fault;
		enum secret_error error;
	} cases[] = {
		{ "\"kind\":\"sealed\"", SECRET_TRANSIENT },
		{ "\"kind\":\"status\"", SECRET_TRANSIENT },
		{ "\"kind\":\"garbage\"", SECRET_TRANSIENT },
		{ "\"kind\":\"truncated\"", SECRET_TRANSIENT },
		{ "\"kind\":\"hang\"", SECRET_TRANSIENT },
		{ "\"kind\":\"standby\"", SECRET_TRANSIENT },
		{ "\"kind\":\"throttled\",\"retry_after\":7", SECRET_THROTTLED },
		{ "\"kind\":\"not_yet\",\"count\":2", SECRET_OK },
		{ "\"kind\":\"denied\"", SECRET_OK },
		{ "\"kind\":\"denied\",\"count\":2", SECRET_DENIED },
	};
	struct config_secret c = kv();
	struct secret_source *s;
	struct got g;
	char fault[256];

	(void)state;
	c.timeout = 400;
	s = fake_open(&fake, &source_vault_kv, &c);
	assert_int_equal(FETCH(s).error, SECRET_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_control(&fake, "{\"op\":\"clear\"}");
		snprintf(fault, sizeof(fault), "{\"op\":\"fault\",\"path\":\"/v1/secret/\",%s}",
		    cases[i].fault);
		fake_control(&fake, fault);
		g = FETCH(s);
		if (g.error != cases[i].error)
			fail_msg("%s: class %d, %s", cases[i].fault, g.error, g.message);
		if (g.error == SECRET_THROTTLED)
			assert_int_equal(g.retry_after_ms, 7000);
	}
	fake_control(&fake, "{\"op\":\"clear\"}");
	assert_int_equal(FETCH(s).error, SECRET_OK);
	CLOSE(s);
}

static void
closing(void **state)
{
	/* goal: close() in the middle of anything is quiet and leaks nothing */
	struct config_secret c = kv(), d = database("rw");
	struct secret_source *s;
	struct got g = { .fake = &fake };

	(void)state;
	for (int ms = 0; ms < 60; ms += 6) {
		s = fake_open(&fake, &source_vault_kv, &c);
		s->ops->fetch(s, SECRET_CURRENT, fake_fetched, &g);
		g.done = false;
		if (ms != 0)
			fake_run(&fake, (uint64_t)ms);
		CLOSE(s);
		s = fake_open(&fake, &source_vault_database, &d);
		s->ops->fetch(s, SECRET_PREVIOUS, fake_fetched, &g);
		CLOSE(s);
	}
	g.done = false;
	fake_run(&fake, 100);
	assert_false(g.done);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entries, quiet),
		cmocka_unit_test_setup(versions, quiet),
		cmocka_unit_test_setup(leases, quiet),
		cmocka_unit_test_setup(static_role, quiet),
		cmocka_unit_test_setup(faults, quiet),
		cmocka_unit_test_setup(closing, quiet),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
