#include "tests/unit/proxy/config/config_fixture.h"

static char changes[4096]; /* "key: from -> to\n", with "(restart)" */

static void
on_change(void *arg, const char *key, const char *from, const char *to, bool applies_live)
{
	size_t n = strlen(changes);

	(void)arg;
	snprintf(changes + n, sizeof(changes) - n, "%s: %s -> %s%s\n", key, from, to,
	    applies_live ? "" : " (restart)");
}

static void
expect(const char *before, const char *after, const char *result)
{
	struct config *old, *new_;
	char text[1024];

	snprintf(text, sizeof(text), "%s%s", FIXTURE_HEAD, before);
	old = fixture_good(text);
	snprintf(text, sizeof(text), "%s%s", FIXTURE_HEAD, after);
	new_ = fixture_good(text);
	new_->conffile = old->conffile; /* the tests use a file of another name each time */
	changes[0] = '\0';
	config_diff(old, new_, on_change, NULL);
	assert_string_equal(changes, result);
	config_unref(old);
	config_unref(new_);
}

/* Goal: the same file, whatever its layout, is no change. */
static void
test_same(void **state)
{
	(void)state;
	expect("", "", "");
	expect("pool_mode=session\nquery_timeout=60\n[databases]\na=port=5432\n",
	    "query_timeout=60.000\n[databases]\n\na= dbname=a  host=''\n", "");
}

/* Goal: changed options are told as they are written, with those that wait for a restart marked. */
static void
test_options(void **state)
{
	(void)state;
	expect("listen_port=1\n",
	    "pool_mode=statement\nlisten_port=2\nquery_timeout=0.5\nadmin_users=a\n",
	    "listen_port: 1 -> 2 (restart)\npool_mode: session -> statement\nadmin_users:  -> a\n"
	    "query_timeout: 0 -> 0.5\n");
}

/* Goal: entries that came, went or changed are told, and secrets never. */
static void
test_entries(void **state)
{
	(void)state;
	expect(
	    "[databases]\na=host=h user=u password=hush1\nb=\nd=\n[users]\nu=pool_size=1\n[peers]\n1=host=a\n",
	    "[databases]\na=host=i user=u password=hush2 connect_query=hush\nc=\nd=\n[users]\nu=pool_size=2\nv=\n"
	    "[peers]\n2=host=a\n",
	    "databases.a.host: h -> i\n"
	    "databases.a.password: *** -> ***\n"
	    "databases.a.connect_query: *** -> ***\n"
	    "databases.b: present -> absent\n"
	    "databases.c: absent -> present\n"
	    "users.u.pool_size: 1 -> 2\n"
	    "users.v: absent -> present\n"
	    "peers.1: present -> absent\n"
	    "peers.2: absent -> present\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
