/* prepared_fixture.h -- a session and servers without sockets: what the client sends goes through prepared.c as
 * relay.c would hand it over, what goes to the server is collected, and answers are given by hand. */
#ifndef TESTS_UNIT_PREPARED_FIXTURE_H
#define TESTS_UNIT_PREPARED_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pool/params.h"
#include "pool/pool.h"
#include "pool/server.h"
#include "pool/statement.h"
#include "proxy/config/config.h"
#include "proxy/session/client_statements.h"
#include "proxy/session/prepared.h"
#include "proxy/session/relay.h"
#include "proxy/session/session.h"
#include "proxy/session/sql_peek.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIXTURE_SERVERS = 3, FIXTURE_MESSAGES = 64, FIXTURE_NAME = 128 };

struct fixture {
	struct worker worker;
	struct pool pool;
	struct database db;
	struct quota user;
	struct stats stats;
	struct session s;
	struct server servers[FIXTURE_SERVERS];
	struct server_holder holder;
	struct buf in, out, fakes;
	bool ok; /* false: prepared.c or server_expect() has given up */
	/* of the last look: what the server has got, and the names in it (of B: portal/statement) */
	char types[FIXTURE_MESSAGES + 1];
	char names[FIXTURE_MESSAGES][FIXTURE_NAME];
	char texts[FIXTURE_MESSAGES][FIXTURE_NAME]; /* of P and Q */
	char got[FIXTURE_MESSAGES * 2 + 1];	    /* what the client has got */
};

static struct fixture fx;

static inline void
fixture_settled(struct server_holder *h, struct server *server, const struct request *r, bool ok)
{
	struct server_note *note = r->note;

	(void)h;
	(void)server;
	if (note == &server_unnamed_note)
		prepared_forget_unnamed(&fx.s);
	else
		prepared_settled(&fx.s, note->client, ok);
}

static inline void
fixture_fake(struct server_holder *h, struct server *server, enum request_kind kind)
{
	(void)h;
	(void)server;
	buf_put_u8(&fx.fakes, kind == REQUEST_PARSE ? '1' : '3');
}

static const struct server_holder_ops fixture_ops = { .settled = fixture_settled,
	.fake = fixture_fake };

static inline void
fixture_begin(int max_statements)
{
	memset(&fx, 0, sizeof(fx));
	fx.pool.db = &fx.db;
	fx.pool.user = &fx.user;
	fx.db.quota.name = (char *)(uintptr_t) "shop";
	fx.user.name = (char *)(uintptr_t) "web";
	fx.db.stats = &fx.stats;
	atomic_store(&fx.pool.rules.mode, POOL_TRANSACTION);
	atomic_store(&fx.pool.rules.max_statements, max_statements);
	fx.s.stream.loop = &fx.worker.loop;
	fx.s.pool = &fx.pool;
	fx.s.user = &fx.user;
	fx.s.id = 7;
	fx.holder.ops = &fixture_ops;
	for (int i = 0; i < FIXTURE_SERVERS; i++) {
		struct server *server = &fx.servers[i];

		server->pool = &fx.pool;
		server->status = 'I';
		server->params = server->reported = params_empty();
		server_statements_init(&server->statements);
	}
	buf_init(&fx.in, BUF_CAP_MAX);
	buf_init(&fx.out, BUF_CAP_MAX);
	buf_init(&fx.fakes, BUF_CAP_MAX);
	fx.s.server = &fx.servers[0];
	fx.s.server->holder = &fx.holder;
	fx.ok = true;
}

static inline void
fixture_end(void)
{
	for (int i = 0; i < FIXTURE_SERVERS; i++) {
		server_let_go(&fx.servers[i]);
		requests_release(&fx.servers[i].requests);
		server_statements_release(&fx.servers[i].statements);
	}
	prepared_free(fx.s.statements);
	buf_release(&fx.in);
	buf_release(&fx.out);
	buf_release(&fx.fakes);
}

/* The session is attached to another server, as between two transactions. */
static inline void
fixture_attach(int i)
{
	assert_true(requests_idle(&fx.s.server->requests));
	fx.s.server->holder = NULL;
	fx.s.server = &fx.servers[i];
	fx.s.server->holder = &fx.holder;
}

/* ---- from the client ---- */

static inline bool
fixture_query(struct relay_out *o, const uint8_t *m, size_t total)
{
	struct session *s = &fx.s;
	char name[FIXTURE_NAME];

	if (prepared_is_on(s) && !s->server->requests.skipping && s->statements != NULL &&
	    sql_peek_deallocate((const char *)m + PGMSG_HEADER, total - PGMSG_HEADER, name,
		sizeof(name)) &&
	    prepared_deallocate(s, o, name))
		return true;
	prepared_forget_unnamed(s);
	s->server->unnamed_of = 0;
	relay_pass(o, m, total);
	return server_expect(s->server, REQUEST_QUERY, REQUEST_FORWARD, NULL);
}

static inline bool
fixture_dispatch(struct relay_out *o, const uint8_t *m, size_t total)
{
	struct session *s = &fx.s;
	bool mapped = prepared_is_on(s) && !s->server->requests.skipping;

	switch (m[0]) {
	case 'P':
		if (mapped)
			return prepared_parse(s, o, m, total);
		relay_pass(o, m, total);
		return server_expect(s->server, REQUEST_PARSE, REQUEST_FORWARD, NULL);
	case 'B':
		if (mapped && !prepared_bind(s, o, m, total, total))
			return false;
		if (!mapped)
			relay_pass(o, m, total);
		return server_expect(s->server, REQUEST_BIND, REQUEST_FORWARD, NULL);
	case 'D':
		if (mapped && !prepared_describe(s, o, m, total))
			return false;
		if (!mapped)
			relay_pass(o, m, total);
		return server_expect(s->server, REQUEST_DESCRIBE, REQUEST_FORWARD, NULL);
	case 'C':
		if (mapped)
			return prepared_close(s, o, m, total);
		relay_pass(o, m, total);
		return server_expect(s->server, REQUEST_CLOSE, REQUEST_FORWARD, NULL);
	case 'E':
		relay_pass(o, m, total);
		return server_expect(s->server, REQUEST_EXECUTE, REQUEST_FORWARD, NULL);
	case 'S':
		relay_pass(o, m, total);
		return server_expect(s->server, REQUEST_SYNC, REQUEST_FORWARD, NULL) &&
		       prepared_after_sync(s, o);
	default:
		return fixture_query(o, m, total);
	}
}

/* What is in fx.in, one message, goes on; false when it must wait for answers. */
static inline bool
fixture_message(void)
{
	struct relay_out o = { .s = &fx.s, .scratch = &fx.out };

	if (prepared_is_on(&fx.s) && prepared_must_wait(&fx.s, buf_data(&fx.in), buf_len(&fx.in))) {
		buf_clear(&fx.in);
		return false;
	}
	fx.ok = fixture_dispatch(&o, buf_data(&fx.in), buf_len(&fx.in)) && fx.ok;
	(void)relay_insert(&o);
	buf_clear(&fx.in);
	return true;
}

static inline bool
parse(const char *name, const char *sql)
{
	struct buf body;

	buf_init(&body, BUF_CAP_MAX);
	buf_put_str(&body, sql);
	buf_put_u16(&body, 0);
	pgwrite_parse(&fx.in, name, buf_data(&body), buf_len(&body));
	buf_release(&body);
	return fixture_message();
}

static inline bool
bind_to(const char *portal, const char *name)
{
	uint32_t mark = pgwrite_begin(&fx.in, 'B');

	buf_put_str(&fx.in, portal);
	buf_put_str(&fx.in, name);
	for (int i = 0; i < 3; i++)
		buf_put_u16(&fx.in, 0);
	pgwrite_end(&fx.in, mark);
	return fixture_message();
}

static inline bool
describe(char kind, const char *name)
{
	pgwrite_name(&fx.in, 'D', kind, name);
	return fixture_message();
}

static inline bool
close_named(char kind, const char *name)
{
	pgwrite_name(&fx.in, 'C', kind, name);
	return fixture_message();
}

static inline bool
sync_now(void)
{
	pgwrite_empty(&fx.in, 'S');
	return fixture_message();
}

static inline bool
query(const char *sql)
{
	pgwrite_query(&fx.in, sql);
	return fixture_message();
}

/* ---- at the server ---- */

static inline void
fixture_note(int n, const uint8_t *p, size_t total)
{
	struct pgcur c = pgcur_over(p + PGMSG_HEADER, total - PGMSG_HEADER);

	fx.types[n] = (char)p[0];
	if (p[0] == 'B') {
		const char *portal = pgcur_str(&c), *name = pgcur_str(&c);

		snprintf(fx.names[n], FIXTURE_NAME, "%.60s/%.60s", portal, name);
	} else if (p[0] == 'C' || p[0] == 'D') {
		uint8_t kind = pgcur_u8(&c);

		snprintf(fx.names[n], FIXTURE_NAME, "%c%.60s", kind, pgcur_str(&c));
	} else if (p[0] == 'P') {
		snprintf(fx.names[n], FIXTURE_NAME, "%.60s", pgcur_str(&c));
		snprintf(fx.texts[n], FIXTURE_NAME, "%.60s", pgcur_str(&c));
	} else if (p[0] == 'Q') {
		snprintf(fx.texts[n], FIXTURE_NAME, "%.60s", pgcur_str(&c));
	}
}

/* What has been sent to the server since the last look, as type letters. */
static inline const char *
sent(void)
{
	int n = 0;

	assert_false(buf_failed(&fx.out));
	memset(fx.types, 0, sizeof(fx.types));
	memset(fx.names, 0, sizeof(fx.names));
	memset(fx.texts, 0, sizeof(fx.texts));
	while (buf_len(&fx.out) > 0) {
		const uint8_t *p = buf_data(&fx.out);
		size_t total = (size_t)pg_get_u32(p + 1) + 1;

		assert_true(n < FIXTURE_MESSAGES && total <= buf_len(&fx.out));
		fixture_note(n++, p, total);
		buf_consume(&fx.out, (uint32_t)total);
	}
	return fx.types;
}

/* Answers that were made up. */
static inline void
fixture_fakes(void)
{
	if (buf_len(&fx.fakes) > 0)
		memcpy(fx.got + strlen(fx.got), buf_data(&fx.fakes), buf_len(&fx.fakes));
	buf_clear(&fx.fakes);
}

static inline void
fixture_answer(char type, const char *text)
{
	struct buf b;
	enum request_verdict v;

	fixture_fakes();
	buf_init(&b, 4096);
	if (type == 'Z' || type == 'z' || type == 'x')
		pgwrite_ready(&b, type == 'Z' ? 'I' : type == 'z' ? 'T' : 'E');
	else if (type == 'E')
		pgwrite_error(&b, "ERROR", text, "an error", NULL, NULL);
	else if (type == 'C')
		pgwrite_command_complete(&b, text);
	else
		pgwrite_empty(&b, type);
	v = server_answer(fx.s.server, buf_data(&b)[0], buf_data(&b) + PGMSG_HEADER,
	    buf_len(&b) - PGMSG_HEADER);
	if (v == REQUEST_BAD)
		fail_msg("nobody has asked for %c, after %s", type, fx.got);
	if (v == REQUEST_PASS) {
		if (type == 'C')
			prepared_command_tag(&fx.s, text, strlen(text) + 1);
		fx.got[strlen(fx.got)] = type;
	}
	fixture_fakes();
	buf_release(&b);
}

/* The server answers with these messages (E is a 42601, C is SELECT 1); what the client gets of them. */
static inline const char *
answer(const char *types)
{
	memset(fx.got, 0, sizeof(fx.got));
	for (; *types != '\0'; types++)
		fixture_answer(*types, *types == 'E' ? "42601" : "SELECT 1");
	return fx.got;
}

static inline const char *
answer_tag(const char *tag)
{
	memset(fx.got, 0, sizeof(fx.got));
	fixture_answer('C', tag);
	return fx.got;
}

#endif
