/* Our token at Vault: methods, sharing, renewal and its end, against tests/fake/fake_vault.py. */
#include "tests/unit/auth/source/vault_fixture.h"

static void
methods(void **state)
{
	/* goal: each login method gets in, files are read anew, namespaces count, and what is wrong
	 * with our credentials is SECRET_DENIED */
	struct config_secret c = kv();
	struct secret_source *s;
	struct got g;
	char jwt[64] = "";

	(void)state;
	fake_file(jwt, "eyJ.jwt.one");
	fake_control(&fake, "{\"op\":\"kubernetes\",\"role\":\"web\",\"jwt\":\"eyJ.jwt.two\"}");
	c.auth_method = "kubernetes";
	c.auth_role = "web";
	c.role_id = c.secret_id_file = NULL;
	c.token_file = jwt;
	s = fake_open(&fake, &source_vault_kv, &c);
	assert_int_equal(FETCH(s).error, SECRET_DENIED);
	fake_file(jwt, "eyJ.jwt.two\n");
	fake_run(&fake, 1050); /* a failed login is not repeated within the second */
	assert_int_equal(FETCH(s).error, SECRET_OK);
	CLOSE(s);
	unlink(jwt);
	s = fake_open(&fake, &source_vault_kv, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_DENIED);
	assert_non_null(strstr(g.message, jwt));
	CLOSE(s);

	c.auth_method = "token";
	c.auth_role = NULL;
	c.token_file = token_file;
	s = fake_open(&fake, &source_vault_kv, &c);
	assert_int_equal(FETCH(s).error, SECRET_OK);
	CLOSE(s);
	c.namespace = "team-a"; /* root is of the root namespace */
	s = fake_open(&fake, &source_vault_kv, &c);
	assert_int_equal(FETCH(s).error, SECRET_DENIED);
	CLOSE(s);
	setenv("VAULT_TOKEN", "not-a-token", 1);
	c.namespace = c.token_file = NULL;
	s = fake_open(&fake, &source_vault_kv, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_DENIED);
	assert_null(strstr(g.message, "not-a-token"));
	CLOSE(s);
	unsetenv("VAULT_TOKEN");

	fake_control(&fake,
	    "{\"op\":\"approle\",\"role_id\":\"app\",\"namespace\":\"team-a\",\"mount\":\"ours\"}");
	fake_control(&fake,
	    "{\"op\":\"kv_put\",\"path\":\"app/db\",\"namespace\":\"team-a\",\"mount\":\"kv\",\"data\":{\"password\":\"nsp\"}}");
	c = kv();
	c.namespace = "team-a";
	c.auth_mount = "ours";
	c.mount = "kv";
	s = fake_open(&fake, &source_vault_kv, &c);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_OK);
	assert_string_equal(g.password, "nsp");
	CLOSE(s);
}

static void
one_login(void **state)
{
	/* goal: entries of one identity share one login under way and one token; a dead token costs one
	 * new login; a token without the right costs one too, but with leases it is kept */
	struct config_secret c = kv(), d = database("rw");
	struct secret_source *a = fake_open(&fake, &source_vault_kv, &c);
	struct secret_source *b = fake_open(&fake, &source_vault_database, &d), *x;
	struct got ga = { .fake = &fake }, gb = { .fake = &fake };

	(void)state;
	a->ops->fetch(a, SECRET_CURRENT, fake_fetched, &ga);
	b->ops->fetch(b, SECRET_CURRENT, fake_fetched, &gb);
	fake_wait(&fake, &ga);
	fake_wait(&fake, &gb);
	assert_int_equal(ga.error, SECRET_OK);
	assert_int_equal(gb.error, SECRET_OK);
	assert_int_equal(COUNT(LOGIN), 1);

	fake_control(&fake, "{\"op\":\"revoke_token\"}");
	assert_int_equal(FETCH(a).error, SECRET_OK);
	assert_int_equal(COUNT(LOGIN), 2);
	CLOSE(b);
	CLOSE(a);

	fake_control(&fake,
	    "{\"op\":\"approle\",\"role_id\":\"poor\",\"policies\":[\"database/creds/*\"]}");
	fake_control(&fake, "{\"op\":\"reset\"}");
	c.role_id = d.role_id = "poor";
	c.secret_id_file = d.secret_id_file = NULL;
	a = fake_open(&fake, &source_vault_kv, &c);
	b = fake_open(&fake, &source_vault_database, &d);
	assert_int_equal(FETCH(a).error, SECRET_DENIED);
	assert_int_equal(COUNT(LOGIN), 2);
	assert_int_equal(FETCH(b).error, SECRET_OK);
	assert_int_equal(FETCH(a).error, SECRET_DENIED);
	assert_int_equal(COUNT(LOGIN), 2);
	assert_int_equal(COUNT(LOOKUP), 1);
	x = fake_open(&fake, &source_vault_database, &d);
	assert_int_equal(FETCH(x).error, SECRET_OK);
	CLOSE(x);
	CLOSE(b);
	CLOSE(a);
}

static void
login_faults(void **state)
{
	/* goal: a login that fails answers all who wait for it, and is not repeated at once */
	struct config_secret c = kv();
	struct secret_source *s, *t;
	struct got g = { .fake = &fake }, h = { .fake = &fake };

	(void)state;
	c.role_id = "unknown";
	s = fake_open(&fake, &source_vault_kv, &c);
	t = fake_open(&fake, &source_vault_kv, &c);
	s->ops->fetch(s, SECRET_CURRENT, fake_fetched, &g);
	t->ops->fetch(t, SECRET_CURRENT, fake_fetched, &h);
	fake_wait(&fake, &g);
	fake_wait(&fake, &h);
	assert_int_equal(g.error, SECRET_DENIED);
	assert_int_equal(h.error, SECRET_DENIED);
	assert_non_null(strstr(g.message, "invalid role or secret ID"));
	assert_null(strstr(g.message, "sesame"));
	assert_int_equal(FETCH(s).error, SECRET_DENIED);
	assert_int_equal(COUNT(LOGIN), 1);
	CLOSE(s);
	CLOSE(t);
}

static void
renewals(void **state)
{
	/* goal: a short-lived token is renewed on its own, without a second login */
	struct config_secret c = kv();
	struct secret_source *s;

	(void)state;
	fake_control(&fake, "{\"op\":\"approle\",\"role_id\":\"short\",\"ttl\":2}");
	c.role_id = "short";
	s = fake_open(&fake, &source_vault_kv, &c);
	assert_int_equal(FETCH(s).error, SECRET_OK);
	fake_run(&fake, 2500);
	assert_true(COUNT(RENEW) >= 1);
	assert_int_equal(FETCH(s).error, SECRET_OK);
	assert_int_equal(COUNT(LOGIN), 1);
	CLOSE(s);
}

static int changes;

static void
on_changed(void *arg)
{
	(void)arg;
	changes++;
}

static void
last_days(void **state)
{
	/* goal: a token that cannot be renewed is replaced before its end; leases made with it end with
	 * it, say so, and their owner is told to fetch anew */
	struct config_secret c = database("rw");
	struct secret_source *s;
	struct got g;

	(void)state;
	fake_control(&fake,
	    "{\"op\":\"approle\",\"role_id\":\"batch\",\"ttl\":2,\"renewable\":false}");
	c.role_id = "batch";
	s = fake_open(&fake, &source_vault_database, &c);
	s->ops->watch(s, on_changed, NULL);
	g = FETCH(s);
	assert_int_equal(g.error, SECRET_OK);
	assert_in_range(g.expires_unix_ms, fake_unix_ms(), fake_unix_ms() + 2000);
	assert_int_equal(changes, 0);
	fake_run(&fake, 1900);
	assert_int_equal(changes, 1);
	assert_int_equal(COUNT(LOGIN), 2);
	assert_non_null(strstr(fake_control(&fake, "{\"op\":\"leases\"}"), g.lease));
	CLOSE(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(methods, quiet),
		cmocka_unit_test_setup(one_login, quiet),
		cmocka_unit_test_setup(login_faults, quiet),
		cmocka_unit_test_setup(renewals, quiet),
		cmocka_unit_test_setup(last_days, quiet),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
