/* vault_fixture.h -- a fake Vault with a KV secret, a dynamic and a static role, and entries for
 * them. */
#ifndef TESTS_UNIT_AUTH_SOURCE_VAULT_FIXTURE_H
#define TESTS_UNIT_AUTH_SOURCE_VAULT_FIXTURE_H

#include "tests/unit/auth/source/fake_fixture.h"

static struct fake fake;
static char secret_id_file[64], token_file[64];

static inline struct config_secret
kv(void)
{
	return (struct config_secret){ .name = "s",
		.provider = "vault-kv",
		.path = "app/db",
		.endpoint = fake.url,
		.auth_method = "approle",
		.role_id = "app",
		.secret_id_file = secret_id_file };
}

static inline struct config_secret
database(const char *role)
{
	struct config_secret c = kv();

	c.provider = "vault-database";
	c.path = NULL;
	c.role = role;
	return c;
}

static inline int
begin(void **state)
{
	(void)state;
	unsetenv("VAULT_ADDR");
	unsetenv("VAULT_TOKEN");
	unsetenv("VAULT_NAMESPACE");
	fake_file(secret_id_file, "sesame\n");
	fake_file(token_file, "root\n");
	fake_begin(&fake, "tests/fake/fake_vault.py", "--no-db");
	fake_control(&fake, "{\"op\":\"approle\",\"role_id\":\"app\",\"secret_id\":\"sesame\"}");
	fake_control(&fake,
	    "{\"op\":\"kv_put\",\"path\":\"app/db\",\"data\":{\"username\":\"u\",\"password\":\"one\"}}");
	fake_control(&fake, "{\"op\":\"dynamic_role\",\"name\":\"rw\",\"ttl\":60,\"max_ttl\":100}");
	fake_control(&fake,
	    "{\"op\":\"static_role\",\"name\":\"fixed\",\"username\":\"fixed_user\"}");
	return 0;
}

static inline int
end(void **state)
{
	(void)state;
	fake_end(&fake);
	unlink(secret_id_file);
	unlink(token_file);
	return 0;
}

/* No faults, counters at zero. */
static inline int
quiet(void **state)
{
	(void)state;
	fake_control(&fake, "{\"op\":\"clear\"}");
	fake_control(&fake, "{\"op\":\"reset\"}");
	return 0;
}

#define LOGIN	  "POST /v1/auth/approle/login"
#define LOOKUP	  "GET /v1/auth/token/lookup-self"
#define RENEW	  "POST /v1/auth/token/renew-self"
#define CLOSE(s)  (s)->ops->close(s)
#define FETCH(s)  fake_fetch(&fake, (s), SECRET_CURRENT)
#define COUNT(of) fake_count(&fake, (of))

#endif
