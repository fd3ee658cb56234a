/* Prepared statements at random: what a client sees through prepared.c, over changing servers with small limits,
 * is what one PostgreSQL of its own would have told it. */
#include "tests/unit/proxy/session/prepared_fixture.h"

enum { MODEL_STATEMENTS = 64, TRACE = 4096, ROUNDS = 1000 };

/* The statements of one PostgreSQL session, the unnamed one among them. */
struct model {
	char names[MODEL_STATEMENTS][FIXTURE_NAME], texts[MODEL_STATEMENTS][FIXTURE_NAME];
	int n;
	bool skipping;
};

/* An answer: its type, the SQLSTATE of an error, the text of what was bound. */
struct reply {
	char type;
	const char *text;
};

static struct model direct, servers[FIXTURE_SERVERS];
static char wanted[TRACE], seen[TRACE];
static int here; /* the server that the session is attached to */

static int
look_up(const struct model *m, const char *name)
{
	for (int i = 0; i < m->n; i++)
		if (strcmp(m->names[i], name) == 0)
			return i;
	return -1;
}

static void
drop(struct model *m, const char *name)
{
	int i = look_up(m, name);

	if (i == -1)
		return;
	m->n--;
	memmove(m->names[i], m->names[m->n], FIXTURE_NAME);
	memmove(m->texts[i], m->texts[m->n], FIXTURE_NAME);
}

static struct reply
fails(struct model *m, const char *sqlstate)
{
	m->skipping = true;
	return (struct reply){ 'E', sqlstate };
}

static struct reply
model_parse(struct model *m, const char *name, const char *text)
{
	if (name[0] == '\0')
		drop(m, "");
	if (strcmp(text, "bad") == 0)
		return fails(m, "42601");
	if (look_up(m, name) != -1)
		return fails(m, "42P05");
	assert_true(m->n < MODEL_STATEMENTS);
	snprintf(m->names[m->n], FIXTURE_NAME, "%s", name);
	snprintf(m->texts[m->n++], FIXTURE_NAME, "%s", text);
	return (struct reply){ '1', "" };
}

/* The first of a Query's two answers. */
static struct reply
model_query(struct model *m, const char *sql)
{
	drop(m, "");
	if (strcmp(sql, "DEALLOCATE ALL") == 0) {
		m->n = 0;
		return (struct reply){ 'C', sql };
	}
	if (strncmp(sql, "DEALLOCATE ", 11) == 0) {
		if (look_up(m, sql + 11) == -1)
			return (struct reply){ 'E', "26000" };
		drop(m, sql + 11);
		return (struct reply){ 'C', "DEALLOCATE" };
	}
	return (struct reply){ 'C', "SELECT 1" };
}

/* What PostgreSQL does with one message; type NUL: nothing, it skips. */
static struct reply
model_message(struct model *m, char type, const char *name, const char *text)
{
	int i;

	if (type == 'S') {
		m->skipping = false;
		return (struct reply){ 'Z', "" };
	}
	if (m->skipping)
		return (struct reply){ 0, NULL };
	switch (type) {
	case 'P':
		return model_parse(m, name, text);
	case 'B':
	case 'D':
		i = look_up(m, name);
		if (i == -1)
			return fails(m, "26000");
		return (struct reply){ type == 'B' ? '2' : 'n', m->texts[i] };
	case 'C':
		drop(m, name);
		return (struct reply){ '3', "" };
	default:
		return model_query(m, text);
	}
}

static void
write_down(char *trace, char type, const char *text)
{
	size_t n = strlen(trace);

	assert_true(n < TRACE - 100);
	snprintf(trace + n, TRACE - n, type == '2' || type == 'n' || type == 'E' ? "%c(%s)" : "%c",
	    type, text);
}

static void
reach_client(struct reply r)
{
	char *got;

	memset(fx.got, 0, sizeof(fx.got));
	fixture_answer(r.type, r.text);
	for (got = fx.got; *got != '\0'; got++)
		write_down(seen, *got, *got == r.type ? r.text : "");
}

/* The attached server works off all that has been sent to it. */
static void
serve(void)
{
	(void)sent();
	for (int i = 0; fx.types[i] != '\0'; i++) {
		char type = fx.types[i];
		const char *name = fx.names[i];
		struct reply r;

		if (type == 'B')
			name = strchr(name, '/') + 1;
		else if (type == 'D' || type == 'C')
			name++;
		r = model_message(&servers[here], type, name, fx.texts[i]);
		if (r.type == 0)
			continue;
		if (type == 'D' && r.type == 'n')
			reach_client((struct reply){ 't', "" });
		reach_client(r);
		if (type == 'Q')
			reach_client((struct reply){ 'Z', "" });
	}
	/* answers made up behind the last one */
	memset(fx.got, 0, sizeof(fx.got));
	fixture_fakes();
	for (const char *got = fx.got; *got != '\0'; got++)
		write_down(seen, *got, "");
}

static bool
hand_over(char type, const char *name, const char *text)
{
	switch (type) {
	case 'P':
		return parse(name, text);
	case 'B':
		return bind_to("", name);
	case 'D':
		return describe('S', name);
	case 'C':
		return close_named('S', name);
	case 'S':
		return sync_now();
	default:
		return query(text);
	}
}

static void
client_sends(char type, const char *name, const char *text)
{
	struct reply r = model_message(&direct, type, name, text);

	if (r.type != 0) {
		if (type == 'D' && r.type == 'n')
			write_down(wanted, 't', "");
		write_down(wanted, r.type, r.text);
		if (type == 'Q')
			write_down(wanted, 'Z', "");
	}
	if (!hand_over(type, name, text)) {
		serve();
		assert_true(hand_over(type, name, text));
	}
	assert_true(fx.ok);
}

static void
play(void)
{
	static const char *const names[] = { "", "a", "b", "c", "d" };
	static const char *const texts[] = { "one", "two", "three", "four", "five", "bad" };
	static const char *const queries[] = { "select 1", "DEALLOCATE ALL", "DEALLOCATE a",
		"DEALLOCATE b" };
	static const char kinds[] = "PPPBBBBDCCS";
	int n = 1 + rand() % 8;

	for (int i = 0; i < n; i++) {
		char type = kinds[rand() % (sizeof(kinds) - 1)];

		const char *name = names[rand() % 5], *text = texts[rand() % 6];

		/* The one difference that is known: an unnamed statement may be forgotten although the
		 * Parse or Close that would have ended it was skipped. Who uses it parses it each time. */
		if (direct.skipping && name[0] == '\0' && (type == 'P' || type == 'C'))
			continue;
		client_sends(type, name, text);
	}
	client_sends('S', "", "");
	if (rand() % 4 == 0)
		client_sends('Q', "", queries[rand() % 8 == 0 ? 1 : rand() % 4]);
	serve();
}

/* Another client was there in between: the unnamed statement is not ours. */
static void
visit(void)
{
	servers[here].skipping = false;
	(void)model_message(&servers[here], 'P', "", "alien");
	fx.s.server->unnamed_of = 12345;
}

static void
run(unsigned seed, int max_statements)
{
	srand(seed);
	memset(&direct, 0, sizeof(direct));
	memset(servers, 0, sizeof(servers));
	here = 0;
	fixture_begin(max_statements);
	for (int round = 0; round < ROUNDS; round++) {
		wanted[0] = seen[0] = '\0';
		play();
		if (strcmp(seen, wanted) != 0)
			print_error("seed %u round %d\n", seed, round);
		assert_string_equal(seen, wanted);
		assert_true(requests_idle(&fx.s.server->requests));
		assert_int_equal(fx.s.server->notes_now, 0);
		assert_int_equal(fx.s.server->notes_before, 0);
		/* what is on the server does not exceed the limit, names of ours apart */
		assert_in_range(server_statements_count(&fx.s.server->statements), 0,
		    (unsigned)max_statements);
		assert_in_range(servers[here].n, 0, max_statements + 1);
		if (rand() % 3 == 0) {
			here = rand() % FIXTURE_SERVERS;
			fixture_attach(here);
		}
		if (rand() % 5 == 0)
			visit();
	}
	fixture_end();
}

/* Goal: random pipelines with errors, evictions, changes of server and other clients in between show the client
 * exactly what one PostgreSQL would; no server has more statements than allowed. */
static void
test_at_random(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 100; seed++)
		run(seed, 1 + (int)(seed % 5));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
