#include "proxy/session/prepared.h"

#include "pool/statement.h"
#include "proxy/config/config.h"
#include "proxy/session/relay.h"
#include "proxy/session/session.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdlib.h>
#include <string.h>

#define NAMES_MAX   65536
#define UNNAMED_MAX (64u * 1024) /* a longer unnamed statement is not kept beyond its transaction */

char prepared_params_mark;

struct client_statement {
	struct hnode node;
	struct statement *st;
	bool asked; /* its Parse has not been answered yet */
	char name[];
};

struct client_statements {
	struct hmap map;
	uint8_t *unnamed; /* body of the last unnamed Parse */
	uint32_t unnamed_len, unnamed_size;
	char *duplicate; /* name left on the server by the trick of parse_duplicate() */
};

/* What a Parse or Close did to the map, so that it can be undone. */
struct change {
	struct client_statement *added, *removed;
};

bool
prepared_is_on(const struct session *s)
{
	return atomic_load_explicit(&s->pool->rules.mode, memory_order_relaxed) != POOL_SESSION &&
	       atomic_load_explicit(&s->pool->rules.max_statements, memory_order_relaxed) > 0;
}

/* ---- the client's names ---- */

static struct client_statements *
mine(struct session *s)
{
	if (s->statements == NULL)
		s->statements = calloc(1, sizeof(*s->statements));
	return s->statements;
}

static struct client_statement *
find(const struct session *s, const char *name)
{
	struct hnode *n;

	if (s->statements == NULL)
		return NULL;
	for (n = hmap_find(&s->statements->map, hmap_hash_str(name)); n != NULL; n = hmap_next_same(n)) {
		struct client_statement *c = hmap_entry(n, struct client_statement, node);

		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static void
statement_free(struct client_statement *c)
{
	if (c == NULL)
		return;
	statement_unref(c->st);
	free(c);
}

static struct client_statement *
add(struct session *s, const char *name, const uint8_t *body, size_t n)
{
	size_t len = strlen(name) + 1;
	struct client_statement *c;

	if (s->statements->map.count >= NAMES_MAX)
		return NULL;
	c = malloc(sizeof(*c) + len);
	if (c == NULL)
		return NULL;
	memcpy(c->name, name, len);
	c->asked = true;
	c->st = statement_intern(body, n);
	if (c->st == NULL || !hmap_add(&s->statements->map, &c->node, hmap_hash_str(name))) {
		statement_free(c);
		return NULL;
	}
	return c;
}

/* With `answered` those whose Parse is still under way stay: it was sent behind what ended the others. */
static void
forget_all(struct client_statements *m, bool answered)
{
	struct hnode *n, *next;

	for (n = hmap_first(&m->map); n != NULL; n = next) {
		struct client_statement *c = hmap_entry(n, struct client_statement, node);

		next = hmap_after(&m->map, n);
		if (answered && c->asked)
			continue;
		hmap_del(&m->map, n);
		statement_free(c);
	}
}

void
prepared_free(struct client_statements *m)
{
	if (m == NULL)
		return;
	forget_all(m, false);
	hmap_release(&m->map);
	free(m->unnamed);
	free(m->duplicate);
	free(m);
}

unsigned
prepared_count(const struct session *s)
{
	return s->statements == NULL ? 0 : s->statements->map.count;
}

void
prepared_forget_unnamed(struct session *s)
{
	if (s->statements != NULL)
		s->statements->unnamed_len = 0;
}

static bool
keep_unnamed(struct session *s, const uint8_t *body, size_t n)
{
	struct client_statements *m = mine(s);

	if (m == NULL)
		return false;
	m->unnamed_len = 0;
	if (n > UNNAMED_MAX)
		return true;
	if (n > m->unnamed_size) {
		uint8_t *bytes = realloc(m->unnamed, n);

		if (bytes == NULL)
			return false;
		m->unnamed = bytes;
		m->unnamed_size = (uint32_t)n;
	}
	memcpy(m->unnamed, body, n);
	m->unnamed_len = (uint32_t)n;
	return true;
}

void
prepared_command_tag(struct session *s, const char *tag, size_t n)
{
	if (s->statements == NULL || tag[0] != 'D')
		return;
	if ((n >= 11 && memcmp(tag, "DISCARD ALL", 11) == 0) ||
	    (n >= 14 && memcmp(tag, "DEALLOCATE ALL", 14) == 0))
		forget_all(s->statements, true);
}

void
prepared_settled(struct session *s, void *arg, bool ok)
{
	struct change *c = arg;

	if (c->added != NULL && ok)
		c->added->asked = false;
	if (c->added != NULL && !ok && find(s, c->added->name) == c->added) {
		hmap_del(&s->statements->map, &c->added->node);
		statement_free(c->added);
	}
	if (c->removed != NULL) {
		if (ok || find(s, c->removed->name) != NULL ||
		    !hmap_add(&s->statements->map, &c->removed->node, hmap_hash_str(c->removed->name)))
			statement_free(c->removed);
	}
	free(c);
}

/* ---- the server's statements ---- */

static struct server_note *
note_of(struct server_statement *parsed, struct server_statement *closed, struct client_statement *added,
    struct client_statement *removed)
{
	struct server_note *note = calloc(1, sizeof(*note));
	struct change *c = NULL;

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
parse_on_server(struct session *s, struct relay_out *o, struct statement *st, enum request_fate fate,
    struct client_statement *added)
{
	struct server_statements *m = &s->server->statements;
	uint32_t max = (uint32_t)atomic_load_explicit(&s->pool->rules.max_statements, memory_order_relaxed);
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
	s->pool->db->stats[s->worker->index].server_parses++;
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

	if (s->server->unnamed_of == s->id || m == NULL || m->unnamed_len == 0)
		return true;
	pgwrite_parse(relay_insert(o), "", m->unnamed, m->unnamed_len);
	s->server->unnamed_of = s->id;
	return server_expect(s->server, REQUEST_PARSE, REQUEST_SWALLOW, NULL);
}

/* ---- messages ---- */

/* The client has a statement of that name already. So that the server itself says so -- 42P05, at this
 * place of the pipeline, with the client's name -- it gets the name twice; the first is closed later. */
static bool
parse_duplicate(struct session *s, struct relay_out *o, const char *name, const uint8_t *msg, size_t total)
{
	static const uint8_t empty[3] = { 0, 0, 0 };

	pgwrite_parse(relay_insert(o), name, empty, sizeof(empty));
	if (!server_expect(s->server, REQUEST_PARSE, REQUEST_SWALLOW, NULL))
		return false;
	relay_pass(o, msg, total);
	free(s->statements->duplicate);
	s->statements->duplicate = strdup(name);
	return s->statements->duplicate != NULL &&
	       server_expect(s->server, REQUEST_PARSE, REQUEST_FORWARD, NULL);
}

bool
prepared_after_sync(struct session *s, struct relay_out *o)
{
	struct client_statements *m = s->statements;

	if (m == NULL || m->duplicate == NULL)
		return true;
	pgwrite_name(relay_insert(o), 'C', 'S', m->duplicate);
	pgwrite_empty(relay_insert(o), 'S');
	free(m->duplicate);
	m->duplicate = NULL;
	return server_expect(s->server, REQUEST_CLOSE, REQUEST_SWALLOW, NULL) &&
	       server_expect(s->server, REQUEST_SYNC, REQUEST_SWALLOW, NULL);
}

bool
prepared_parse(struct session *s, struct relay_out *o, const uint8_t *msg, size_t total)
{
	struct pgcur c = pgcur_over(msg + PGMSG_HEADER, total - PGMSG_HEADER);
	const char *name = pgcur_str(&c);
	struct client_statement *own;
	struct server_note *note;

	s->pool->db->stats[s->worker->index].client_parses++;
	if (!pgcur_ok(&c) || name[0] == '\0') {
		/* malformed: the server says so */
		relay_pass(o, msg, total);
		s->server->unnamed_of = s->id;
		return keep_unnamed(s, c.p, pgcur_left(&c)) &&
		       server_expect(s->server, REQUEST_PARSE, REQUEST_FORWARD, NULL);
	}
	if (mine(s) == NULL)
		return false;
	if (find(s, name) != NULL)
		return parse_duplicate(s, o, name, msg, total);
	own = add(s, name, c.p, pgcur_left(&c));
	if (own == NULL)
		return false;
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

	s->pool->db->stats[s->worker->index].binds++;
	if (pgcur_ok(&c) && name[0] == '\0' && !need_unnamed(s, o))
		return false;
	own = pgcur_ok(&c) && name[0] != '\0' ? find(s, name) : NULL;
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
		own = find(s, name);
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

	own = pgcur_ok(&c) && kind == 'S' && name[0] != '\0' ? find(s, name) : NULL;
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
	hmap_del(&s->statements->map, &own->node);
	return server_expect(s->server, REQUEST_CLOSE, REQUEST_FAKE, note);
}

static bool
parse_without_server(struct session *s, struct pgcur *c, const char *name, struct buf *answers)
{
	struct client_statement *own;

	if (name[0] == '\0' || find(s, name) != NULL || mine(s) == NULL)
		return false;
	own = add(s, name, c->p, pgcur_left(c));
	if (own == NULL)
		return false;
	if (atomic_load_explicit(&own->st->proven, memory_order_relaxed) != s->pool) {
		hmap_del(&s->statements->map, &own->node);
		statement_free(own);
		return false;
	}
	own->asked = false;
	s->pool->db->stats[s->worker->index].client_parses++;
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
	own = kind == 'S' ? find(s, name) : NULL;
	if (own != NULL) {
		hmap_del(&s->statements->map, &own->node);
		statement_free(own);
	}
	if (kind == 'S' && name[0] == '\0')
		prepared_forget_unnamed(s);
	pgwrite_empty(answers, '3');
	return true;
}
