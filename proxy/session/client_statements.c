#include "proxy/session/client_statements.h"

#include "pool/statement.h"
#include "proxy/session/prepared.h"
#include "proxy/session/session.h"
#include "proxy/session/session_sql.h"
#include "proxy/session/sql_peek.h"

#include <stdlib.h>
#include <string.h>

#define CUSTOM_MAX  4096
#define STRAYS_MAX  (64u * 1024)
#define UNNAMED_MAX (64u * 1024) /* a longer unnamed statement is not kept beyond its transaction */

static void
renew_token(const struct session *s)
{
	struct client_statements *m = s->statements;

	m->unnamed_token = s->id << 24 | ((m->unnamed_token + 1) & 0xffffff);
}

struct client_statements *
client_statements_of(struct session *s)
{
	if (s->statements == NULL) {
		s->statements = calloc(1, sizeof(*s->statements));
		if (s->statements == NULL)
			return NULL;
		/* it has none: another client's is never taken for it, nor one whose end is not certain */
		renew_token(s);
		s->statements->unnamed_earlier = true;
		buf_init(&s->statements->strays, STRAYS_MAX);
		buf_init(&s->statements->custom, CUSTOM_MAX);
	}
	return s->statements;
}

struct client_statement *
client_statements_find(const struct session *s, const char *name)
{
	struct hnode *n;

	if (s->statements == NULL)
		return NULL;
	for (n = hmap_find(&s->statements->map, hmap_hash_str(name)); n != NULL;
	     n = hmap_next_same(n)) {
		struct client_statement *c = hmap_entry(n, struct client_statement, node);

		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

void
client_statement_free(struct client_statement *c)
{
	if (c == NULL)
		return;
	statement_unref(c->st);
	free(c);
}

struct client_statement *
client_statements_add(struct session *s, const char *name, const uint8_t *body, size_t n)
{
	size_t len = strlen(name) + 1;
	struct client_statement *c;

	if (s->statements->map.count >= PREPARED_NAMES_MAX)
		return NULL;
	c = malloc(sizeof(*c) + len);
	if (c == NULL)
		return NULL;
	memcpy(c->name, name, len);
	c->asked = true;
	session_sql_text(s, (const char *)body, strnlen((const char *)body, n));
	c->hints = sql_peek_hints((const char *)body, strnlen((const char *)body, n));
	c->st = statement_intern(body, n);
	if (c->st == NULL || !hmap_add(&s->statements->map, &c->node, hmap_hash_str(name))) {
		client_statement_free(c);
		return NULL;
	}
	return c;
}

void
client_statements_take(struct session *s, struct client_statement *c)
{
	hmap_del(&s->statements->map, &c->node);
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
		client_statement_free(c);
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
	buf_release(&m->strays);
	buf_release(&m->custom);
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
	if (s->statements == NULL)
		return;
	s->statements->unnamed_len = 0;
	/* servers of before may still have it */
	renew_token(s);
}

bool
client_statements_keep_unnamed(struct session *s, const uint8_t *body, size_t n)
{
	struct client_statements *m = client_statements_of(s);

	if (m == NULL)
		return false;
	m->unnamed_len = 0;
	m->unnamed_earlier = false;
	session_sql_text(s, (const char *)body, strnlen((const char *)body, n));
	m->unnamed_hints = sql_peek_hints((const char *)body, strnlen((const char *)body, n));
	renew_token(s);
	s->server->unnamed_of = m->unnamed_token;
	if (n > UNNAMED_MAX)
		return true;
	if (n > m->unnamed_size) {
		uint8_t *bytes = realloc(m->unnamed, n);

		if (bytes == NULL)
			return false;
		m->unnamed = bytes;
		m->unnamed_size = (uint32_t)n;
	}
	if (n > 0)
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
	struct client_change *c = arg;

	if (c->added != NULL && ok)
		c->added->asked = false;
	if (c->added != NULL && !ok && client_statements_find(s, c->added->name) == c->added) {
		hmap_del(&s->statements->map, &c->added->node);
		client_statement_free(c->added);
	}
	if (c->removed != NULL) {
		if (ok || client_statements_find(s, c->removed->name) != NULL ||
		    !hmap_add(&s->statements->map, &c->removed->node,
			hmap_hash_str(c->removed->name)))
			client_statement_free(c->removed);
	}
	free(c);
}
