#include "proxy/session/prepared.h"

#include "pool/statement.h"
#include "proxy/config/config.h"
#include "proxy/session/client_statements.h"
#include "proxy/session/relay.h"
#include "proxy/session/session.h"
#include "proxy/session/session_sql.h"
#include "proxy/session/sql_peek.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEALLOCATED_NAME "pgs_deallocated"
#define NOBODYS		 UINT64_MAX /* server.unnamed_of: it has no unnamed statement at all */

char prepared_params_mark;

bool
prepared_is_on(const struct session *s)
{
	return atomic_load_explicit(&s->pool->rules.mode, memory_order_relaxed) != POOL_SESSION &&
	       atomic_load_explicit(&s->pool->rules.max_statements, memory_order_relaxed) > 0;
}

bool
prepared_must_wait(const struct session *s, const uint8_t *msg, size_t have)
{
	struct pgcur c = pgcur_over(msg + PGMSG_HEADER, have - PGMSG_HEADER);
	char deallocated[256];
	const char *name;

	if (!server_is_unsure(s->server))
		return false;
	switch (msg[0]) {
	case 'Q':
		return sql_peek_deallocate((const char *)c.p, pgcur_left(&c), deallocated,
		    sizeof(deallocated));
	case 'P':
		return pgcur_str(&c)[0] != '\0';
	case 'B':
		(void)pgcur_str(&c);
		break;
	case 'C':
	case 'D':
		if (pgcur_u8(&c) != 'S')
			return false;
		break;
	default:
		return false;
	}
	name = pgcur_str(&c);
	return name[0] != '\0' || s->statements == NULL || s->statements->unnamed_earlier;
}

/* ---- the server's statements ---- */

static struct server_note *
note_of(struct server_statement *parsed, struct server_statement *closed,
    struct client_statement *added, struct client_statement *removed)
{
	struct server_note *note = calloc(1, sizeof(*note));
	struct client_change *c = NULL;

	if (note == NULL)
		return NULL;
	if (added != NULL || removed != NULL) {
		c = calloc(1, sizeof(*c));
		if (c == NULL) {
			free(note);
			return NULL;
		}
		c->added = added;
		c->removed = removed;
	}
	note->parsed = parsed;
	note->closed = closed;
	note->client = c;
	return note;
}

/* Closes a statement on the server; nobody sees the answer. */
static bool
close_on_server(struct session *s, struct relay_out *o, struct server_statement *e)
{
	struct server_note *note = note_of(NULL, e, NULL, NULL);

	if (note == NULL)
		return false;
	server_statements_take(&s->server->statements, e);
	pgwrite_name(relay_insert(o), 'C', 'S', e->st->name);
	return server_expect(s->server, REQUEST_CLOSE, REQUEST_SWALLOW, note);
}

/* Parses the statement on the server as `fate` says; room is made first. */
static bool
parse_on_server(struct session *s, struct relay_out *o, struct statement *st,
    enum request_fate fate, struct client_statement *added)
{
	struct server_statements *m = &s->server->statements;
	uint32_t max = (uint32_t)atomic_load_explicit(&s->pool->rules.max_statements,
	    memory_order_relaxed);
	struct server_statement *e = server_statements_find(m, st);
	struct server_note *note;

	if (e != NULL && !close_on_server(s, o, e))
		return false;
	while (server_statements_count(m) >= max)
		if (!close_on_server(s, o, server_statements_oldest(m)))
			return false;
	e = server_statements_add(m, st);
	note = e == NULL ? NULL : note_of(e, NULL, added, NULL);
	if (note == NULL)
		return false;
	pgwrite_parse(relay_insert(o), st->name, st->body, st->len);
	s->pool->db->stats[session_worker(s)->index].server_parses++;
	return server_expect(s->server, REQUEST_PARSE, fate, note);
}

static bool
server_has(struct session *s, struct statement *st)
{
	struct server_statement *e = server_statements_find(&s->server->statements, st);

	return e != NULL && !e->stale;
}

static bool
need(struct session *s, struct relay_out *o, struct statement *st)
{
	return server_has(s, st) || parse_on_server(s, o, st, REQUEST_SWALLOW, NULL);
}

static bool
need_unnamed(struct session *s, struct relay_out *o)
{
	struct client_statements *m = s->statements;

	if (m != NULL && s->server->unnamed_of == m->unnamed_token)
		return true;
	if (m == NULL || m->unnamed_len == 0) {
		/* this client has none: that of another must not be found in its place */
		if (s->server->unnamed_of == NOBODYS)
			return true;
		s->server->unnamed_of = NOBODYS;
		pgwrite_name(relay_insert(o), 'C', 'S', "");
		/* skipped after an error, it has not happened: the other client's is still there */
		return server_expect(s->server, REQUEST_CLOSE, REQUEST_SWALLOW,
		    &server_unnamed_ours);
	}
	pgwrite_parse(relay_insert(o), "", m->unnamed, m->unnamed_len);
	s->server->unnamed_of = m->unnamed_token;
	m->unnamed_earlier = false;
	return server_expect(s->server, REQUEST_PARSE, REQUEST_SWALLOW, &server_unnamed_ours);
}

/* ---- messages ---- */

/* An empty statement of this name on the server; closed again by close_strays(). */
static bool
parse_stray(struct session *s, struct relay_out *o, const char *name)
{
	static const uint8_t empty[3] = { 0, 0, 0 };

	buf_put_str(&s->statements->strays, name);
	pgwrite_parse(relay_insert(o), name, empty, sizeof(empty));
	return !buf_failed(&s->statements->strays) &&
	       server_expect(s->server, REQUEST_PARSE, REQUEST_SWALLOW, NULL);
}

static bool
is_stray(const struct buf *strays, const char *name)
{
	const char *at = (const char *)buf_data(strays), *end = at + buf_len(strays);

	for (; at < end; at += strlen(at) + 1)
		if (strcmp(at, name) == 0)
			return true;
	return false;
}

/* The client has a statement of that name already. So that the server itself says so -- 42P05, at this
 * place of the pipeline, with the client's name -- it gets the name twice. */
static bool
parse_duplicate(struct session *s, struct relay_out *o, const char *name, const uint8_t *msg,
    size_t total)
{
	if (!is_stray(&s->statements->strays, name) && !parse_stray(s, o, name))
		return false;
	relay_pass(o, msg, total);
	return server_expect(s->server, REQUEST_PARSE, REQUEST_FORWARD, NULL);
}

/* In an aborted transaction only the server can say whether this Parse is let through (ROLLBACK is): it gets
 * the text under the client's name, which is closed later. */
static bool
parse_in_aborted(struct session *s, struct relay_out *o, struct client_statement *own,
    const uint8_t *msg, size_t total)
{
	struct server_note *note = note_of(NULL, NULL, own, NULL);

	buf_put_str(&s->statements->strays, own->name);
	relay_pass(o, msg, total);
	return note != NULL && !buf_failed(&s->statements->strays) &&
	       server_expect(s->server, REQUEST_PARSE, REQUEST_FORWARD, note);
}

/* With a Sync of our own, so that an error before the client's does not skip it. */
static bool
close_strays(struct session *s, struct relay_out *o)
{
	struct buf *strays = &s->statements->strays;

	while (buf_len(strays) > 0) {
		const char *name = (const char *)buf_data(strays);

		pgwrite_name(relay_insert(o), 'C', 'S', name);
		if (!server_expect(s->server, REQUEST_CLOSE, REQUEST_SWALLOW, NULL))
			return false;
		buf_consume(strays, strlen(name) + 1);
	}
	buf_release(strays);
	pgwrite_empty(relay_insert(o), 'S');
	return server_expect(s->server, REQUEST_SYNC, REQUEST_SWALLOW, NULL);
}

bool
prepared_after_sync(struct session *s, struct relay_out *o)
{
	if (s->statements == NULL)
		return true;
	s->statements->unnamed_earlier = true;
	if (buf_len(&s->statements->strays) == 0)
		return true;
	return close_strays(s, o);
}

bool
prepared_parse(struct session *s, struct relay_out *o, const uint8_t *msg, size_t total)
{
	struct pgcur c = pgcur_over(msg + PGMSG_HEADER, total - PGMSG_HEADER);
	const char *name = pgcur_str(&c);
	struct client_statement *own;
	struct server_note *note;

	s->pool->db->stats[session_worker(s)->index].client_parses++;
	if (!pgcur_ok(&c) || name[0] == '\0') {
		/* malformed: the server says so */
		relay_pass(o, msg, total);
		return client_statements_keep_unnamed(s, c.p, pgcur_left(&c)) &&
		       server_expect(s->server, REQUEST_PARSE, REQUEST_FORWARD,
			   &server_unnamed_note);
	}
	if (client_statements_of(s) == NULL)
		return false;
	if (client_statements_find(s, name) != NULL)
		return parse_duplicate(s, o, name, msg, total);
	own = client_statements_add(s, name, c.p, pgcur_left(&c));
	if (own == NULL)
		return false;
	if (s->server->status == 'E' && requests_idle(&s->server->requests))
		return parse_in_aborted(s, o, own, msg, total);
	if (!server_has(s, own->st))
		return parse_on_server(s, o, own->st, REQUEST_FORWARD, own);
	note = note_of(NULL, NULL, own, NULL);
	return note != NULL && server_expect(s->server, REQUEST_PARSE, REQUEST_FAKE, note);
}

bool
prepared_bind(struct session *s, struct relay_out *o, const uint8_t *msg, size_t have, size_t total)
{
	struct pgcur c = pgcur_over(msg + PGMSG_HEADER, have - PGMSG_HEADER);
	const char *portal = pgcur_str(&c), *name = pgcur_str(&c);
	struct client_statement *own;
	struct buf *out;
	uint32_t grown;

	s->pool->db->stats[session_worker(s)->index].binds++;
	if (pgcur_ok(&c) && name[0] == '\0' && !need_unnamed(s, o))
		return false;
	own = pgcur_ok(&c) && name[0] != '\0' ? client_statements_find(s, name) : NULL;
	if (own != NULL && own->hints != 0)
		session_sql_hints(s, own->hints);
	else if (own == NULL && s->statements != NULL && s->statements->unnamed_hints != 0 &&
		 name[0] == '\0')
		session_sql_hints(s, s->statements->unnamed_hints);
	if (own == NULL) {
		relay_pass(o, msg, have);
		return true;
	}
	if (!need(s, o, own->st))
		return false;
	grown = (uint32_t)(total - 1 - strlen(name) + strlen(own->st->name));
	out = relay_insert(o);
	buf_put_u8(out, 'B');
	buf_put_u32(out, grown);
	buf_put_str(out, portal);
	buf_put_str(out, own->st->name);
	relay_pass(o, c.p, pgcur_left(&c));
	return true;
}

bool
prepared_describe(struct session *s, struct relay_out *o, const uint8_t *msg, size_t total)
{
	struct pgcur c = pgcur_over(msg + PGMSG_HEADER, total - PGMSG_HEADER);
	uint8_t kind = pgcur_u8(&c);
	const char *name = pgcur_str(&c);
	struct client_statement *own = NULL;

	if (pgcur_ok(&c) && kind == 'S') {
		if (name[0] == '\0' && !need_unnamed(s, o))
			return false;
		own = client_statements_find(s, name);
	}
	if (own == NULL) {
		relay_pass(o, msg, total);
		return true;
	}
	if (!need(s, o, own->st))
		return false;
	pgwrite_name(relay_insert(o), 'D', 'S', own->st->name);
	return true;
}

bool
prepared_close(struct session *s, struct relay_out *o, const uint8_t *msg, size_t total)
{
	struct pgcur c = pgcur_over(msg + PGMSG_HEADER, total - PGMSG_HEADER);
	uint8_t kind = pgcur_u8(&c);
	const char *name = pgcur_str(&c);
	struct client_statement *own;
	struct server_note *note;

	own = pgcur_ok(&c) && kind == 'S' && name[0] != '\0' ? client_statements_find(s, name)
							     : NULL;
	if (own == NULL) {
		if (kind == 'S' && name[0] == '\0')
			prepared_forget_unnamed(s);
		relay_pass(o, msg, total);
		return server_expect(s->server, REQUEST_CLOSE, REQUEST_FORWARD, NULL);
	}
	note = note_of(NULL, NULL, NULL, own);
	if (note == NULL)
		return false;
	/* the server keeps it for others */
	client_statements_take(s, own);
	return server_expect(s->server, REQUEST_CLOSE, REQUEST_FAKE, note);
}

bool
prepared_deallocate(struct session *s, struct relay_out *o, const char *name)
{
	struct client_statement *own = client_statements_find(s, name);
	struct server_note *note;
	char sql[sizeof("DEALLOCATE ") + STATEMENT_NAME_SIZE];

	if (own == NULL)
		return false;
	/* an empty statement of ours is there to be deallocated: the tag, and the error in an aborted
	 * transaction, are PostgreSQL's own, in their place */
	note = note_of(NULL, NULL, NULL, own);
	if (note == NULL || !parse_stray(s, o, DEALLOCATED_NAME)) {
		s->params_failed = true;
		return true;
	}
	client_statements_take(s, own);
	snprintf(sql, sizeof(sql), "DEALLOCATE %s", DEALLOCATED_NAME);
	pgwrite_query(relay_insert(o), sql);
	prepared_forget_unnamed(s);
	s->server->unnamed_of = 0;
	if (!server_expect(s->server, REQUEST_QUERY, REQUEST_FORWARD, note) || !close_strays(s, o))
		s->params_failed = true;
	return true;
}

static bool
parse_without_server(struct session *s, struct pgcur *c, const char *name, struct buf *answers)
{
	struct client_statement *own;

	if (name[0] == '\0' || client_statements_find(s, name) != NULL ||
	    client_statements_of(s) == NULL)
		return false;
	own = client_statements_add(s, name, c->p, pgcur_left(c));
	if (own == NULL)
		return false;
	if (atomic_load_explicit(&own->st->proven, memory_order_relaxed) != s->pool) {
		client_statements_take(s, own);
		client_statement_free(own);
		return false;
	}
	own->asked = false;
	s->pool->db->stats[session_worker(s)->index].client_parses++;
	pgwrite_empty(answers, '1');
	return true;
}

bool
prepared_without_server(struct session *s, const uint8_t *msg, size_t total, struct buf *answers)
{
	struct pgcur c = pgcur_over(msg + PGMSG_HEADER, total - PGMSG_HEADER);
	struct client_statement *own;
	const char *name;
	uint8_t kind;

	if (!prepared_is_on(s))
		return false;
	if (msg[0] == 'P') {
		name = pgcur_str(&c);
		return pgcur_ok(&c) && parse_without_server(s, &c, name, answers);
	}
	kind = pgcur_u8(&c);
	name = pgcur_str(&c);
	if (!pgcur_done(&c) || (kind != 'S' && kind != 'P'))
		return false;
	/* there is no portal without a transaction, and a Close of what is not there is no error */
	own = kind == 'S' ? client_statements_find(s, name) : NULL;
	if (own != NULL) {
		client_statements_take(s, own);
		client_statement_free(own);
	}
	if (kind == 'S' && name[0] == '\0')
		prepared_forget_unnamed(s);
	pgwrite_empty(answers, '3');
	return true;
}
