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
