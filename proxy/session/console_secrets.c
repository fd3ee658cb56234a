#include "proxy/session/console_secrets.h"

#include "auth/secrets.h"
#include "pool/pool.h"
#include "proxy/admin/table.h"

/* Times in seconds; NULL = none. */
const char *const console_secrets_columns[] = { "name", "provider", "version", "user", "state",
	"age int8", "checked int8", "next_refresh int8", "expires int8", "calls int8", "hits int8",
	"failures int8", "forced int8", "changes int8", "last_error", NULL };

static void
seconds(struct table *t, int64_t ms)
{
	if (ms < 0)
		table_text(t, NULL);
	else
		table_number(t, ms / 1000);
}

static void
row(void *arg, const struct secret_view *v)
{
	struct table *t = arg;

	table_text(t, v->name);
	table_text(t, v->provider);
	table_text(t, v->version);
	table_text(t, v->user);
	table_text(t, v->state);
	seconds(t, v->age_ms);
	seconds(t, v->checked_ms);
	seconds(t, v->next_refresh_ms);
	seconds(t, v->expires_ms);
	table_number(t, (int64_t)v->calls);
	table_number(t, (int64_t)v->hits);
	table_number(t, (int64_t)v->failures);
	table_number(t, (int64_t)v->forced);
	table_number(t, (int64_t)v->changes);
	table_text(t, v->error);
}

void
console_secrets(struct worker *home, struct console_host *host, struct table *t, void *state)
{
	(void)host;
	(void)state;
	if (pool_worker(home)->secrets != NULL)
		secrets_each(pool_worker(home)->secrets, row, t);
}
