#include "proxy/session/sql_peek.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct reader {
	const char *p, *end;
};

static void
skip_blanks(struct reader *r)
{
	while (r->p < r->end && isspace((unsigned char)*r->p))
		r->p++;
}

static bool
keyword(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	skip_blanks(r);
	if ((size_t)(r->end - r->p) < n || strncasecmp(r->p, word, n) != 0)
		return false;
	if (r->p + n < r->end &&
	    (isalnum((unsigned char)r->p[n]) || r->p[n] == '_' || r->p[n] == '$'))
		return false;
	r->p += n;
	return true;
}

static bool
quoted(struct reader *r, char *name, size_t room)
{
	size_t n = 0;

	for (r->p++; r->p < r->end; r->p++) {
		if (*r->p == '"') {
			if (r->p + 1 >= r->end || r->p[1] != '"') {
				r->p++;
				name[n] = '\0';
				return n > 0;
			}
			r->p++;
		}
		if (n + 1 >= room)
			return false;
		name[n++] = *r->p;
	}
	return false;
}

static bool
identifier(struct reader *r, char *name, size_t room)
{
	size_t n = 0;

	skip_blanks(r);
	if (r->p < r->end && *r->p == '"')
		return quoted(r, name, room);
	while (r->p < r->end && (isalnum((unsigned char)*r->p) || *r->p == '_' || *r->p == '$' ||
				    (unsigned char)*r->p >= 0x80)) {
		if (n + 1 >= room)
			return false;
		name[n++] = (char)tolower((unsigned char)*r->p++);
	}
	name[n] = '\0';
	return n > 0 && !isdigit((unsigned char)name[0]);
}

bool
sql_peek_deallocate(const char *sql, size_t n, char *name, size_t room)
{
	struct reader r = { sql, sql + n };

	if (n > 0 && sql[n - 1] == '\0')
		r.end--;
	if (!keyword(&r, "deallocate"))
		return false;
	(void)keyword(&r, "prepare");
	if (!identifier(&r, name, room))
		return false;
	skip_blanks(&r);
	while (r.p < r.end && (*r.p == ';' || isspace((unsigned char)*r.p)))
		r.p++;
	return r.p == r.end;
}

bool
sql_peek_custom(const char *sql, size_t n, char *name, size_t room)
{
	struct reader r = { sql, sql + n };
	size_t len;

	if (!keyword(&r, "set"))
		return false;
	(void)keyword(&r, "session");
	if (keyword(&r, "local") || !identifier(&r, name, room))
		return false;
	len = strlen(name);
	if (r.p >= r.end || *r.p != '.' || len + 2 >= room)
		return false;
	r.p++;
	name[len] = '.';
	return identifier(&r, name + len + 1, room - len - 1);
}

bool
sql_peek_plain_set(const char *sql, size_t n)
{
	struct reader r = { sql, sql + n };
	char name[128];

	if (!keyword(&r, "set"))
		return false;
	(void)keyword(&r, "session");
	if (!identifier(&r, name, sizeof(name)))
		return false;
	r.p = memchr(r.p, ';', (size_t)(r.end - r.p));
	if (r.p == NULL)
		return true;
	while (r.p < r.end && (*r.p == ';' || *r.p == '\0' || isspace((unsigned char)*r.p)))
		r.p++;
	return r.p == r.end;
}

/* ---- hints ---- */

static bool
is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static bool
is(const char *p, size_t n, const char *word)
{
	return strlen(word) == n && strncasecmp(p, word, n) == 0;
}

/* The words before this one, as far as they matter. */
struct context {
	bool create;  /* since the last semicolon: CREATE ... */
	bool query;   /* SELECT or WITH came first */
	bool into;    /* the last word was INTO */
	bool with;    /* the last word was WITH */
	bool session; /* the last word was SESSION */
	unsigned words;
};

static uint8_t
look_at(struct context *c, const char *p, size_t n)
{
	bool into = c->into, with = c->with, session = c->session;
	uint8_t hint = 0;

	c->into = c->with = c->session = false;
	c->words++;
	switch (*p | 0x20) {
	case 'a':
		if (session && is(p, n, "authorization"))
			hint = SQL_IDENTITY;
		break;
	case 'c':
		if (c->words == 1)
			c->create = is(p, n, "create");
		break;
	case 'i':
		c->into = is(p, n, "into");
		break;
	case 'h':
		if (with && is(p, n, "hold"))
			hint = SQL_HOLD;
		break;
	case 'p':
		if (is(p, n, "pg_advisory_lock") || is(p, n, "pg_advisory_lock_shared") ||
		    is(p, n, "pg_try_advisory_lock") || is(p, n, "pg_try_advisory_lock_shared"))
			hint = SQL_ADVISORY;
		break;
	case 's':
		if (is(p, n, "set_config"))
			hint = SQL_SETS;
		else if (c->words == 1)
			c->query = is(p, n, "select");
		else
			c->session = is(p, n, "session");
		break;
	case 't':
		/* CREATE [OR REPLACE] [LOCAL | GLOBAL] TEMP ..., SELECT ... INTO TEMP ... */
		if ((is(p, n, "temp") || is(p, n, "temporary")) &&
		    ((c->create && c->words <= 4) || (c->query && into)))
			hint = SQL_TEMP;
		break;
	case 'w':
		c->with = is(p, n, "with");
		if (c->words == 1)
			c->query = c->with;
		break;
	default:
		break;
	}
	return hint;
}

static bool
is_local_set(const char *sql, const char *end)
{
	struct reader r = { sql, end };

	return keyword(&r, "set") &&
	       (keyword(&r, "local") || keyword(&r, "transaction") || keyword(&r, "constraints"));
}

uint8_t
sql_peek_hints(const char *sql, size_t n)
{
	const char *p = sql, *end = sql + n;
	struct context c = { 0 };
	uint8_t hints = 0;
	bool several = false;

	while (p < end) {
		const char *word = p;

		while (p < end && is_word(*p))
			p++;
		if (p > word) {
			several |= c.words == 0 && hints != 0;
			hints |= look_at(&c, word, (size_t)(p - word));
			continue;
		}
		if (*p == ';') {
			c = (struct context){ 0 };
			several |= p + 2 < end;
		}
		p++;
	}
	if (!several && is_local_set(sql, end))
		hints |= SQL_LOCAL_SET;
	return hints;
}
