#include "proxy/wire/pgmsg.h"

#include <ctype.h>
#include <string.h>

const uint8_t *
pgcur_bytes(struct pgcur *c, size_t n)
{
	const uint8_t *at = c->p;

	if (c->failed || pgcur_left(c) < n) {
		c->failed = true;
		return NULL;
	}
	c->p += n;
	return at;
}

uint8_t
pgcur_u8(struct pgcur *c)
{
	const uint8_t *b = pgcur_bytes(c, 1);

	return b == NULL ? 0 : b[0];
}

uint16_t
pgcur_u16(struct pgcur *c)
{
	const uint8_t *b = pgcur_bytes(c, 2);

	return b == NULL ? 0 : (uint16_t)(b[0] << 8 | b[1]);
}

uint32_t
pgcur_u32(struct pgcur *c)
{
	const uint8_t *b = pgcur_bytes(c, 4);

	return b == NULL ? 0 : pg_get_u32(b);
}

const char *
pgcur_str(struct pgcur *c)
{
	const uint8_t *start = c->p, *nul;

	if (c->failed || c->p == c->end)
		goto fail;
	nul = memchr(start, 0, pgcur_left(c));
	if (nul == NULL)
		goto fail;
	c->p = nul + 1;
	return (const char *)start;
fail:
	c->failed = true;
	return "";
}

bool
pgmsg_error(const uint8_t *payload, size_t n, struct pgmsg_error *e)
{
	struct pgcur c = pgcur_over(payload, n);

	e->severity = e->sqlstate = e->message = e->detail = e->hint = "";
	for (;;) {
		uint8_t field = pgcur_u8(&c);
		const char *value;

		if (!pgcur_ok(&c))
			return false;
		if (field == 0)
			return true;
		value = pgcur_str(&c);
		if (!pgcur_ok(&c))
			return false;
		switch (field) {
		case 'V': /* not translated, and later than S */
		case 'S':
			if (field == 'V' || e->severity[0] == '\0')
				e->severity = value;
			break;
		case 'C':
			e->sqlstate = value;
			break;
		case 'M':
			e->message = value;
			break;
		case 'D':
			e->detail = value;
			break;
		case 'H':
			e->hint = value;
			break;
		default:
			break;
		}
	}
}

bool
pgmsg_startup(const uint8_t *payload, size_t n, struct pgmsg_startup *s,
    bool (*param)(void *arg, const char *name, const char *value), void *arg)
{
	struct pgcur c = pgcur_over(payload, n);

	memset(s, 0, sizeof(*s));
	for (;;) {
		const char *name = pgcur_str(&c), *value;

		if (!pgcur_ok(&c))
			return false;
		if (name[0] == '\0')
			return pgcur_done(&c);
		value = pgcur_str(&c);
		if (!pgcur_ok(&c))
			return false;
		if (strcmp(name, "user") == 0)
			s->user = value;
		else if (strcmp(name, "database") == 0)
			s->database = value;
		else if (strcmp(name, "options") == 0)
			s->options = value;
		else if (strcmp(name, "replication") == 0)
			s->replication = value;
		else if (!param(arg, name, value))
			return false;
	}
}

/* Copies one blank-separated word with its backslash escapes undone; NULL at the end of the text or
 * when there is no room. */
static char *
next_word(const char **text, char **scratch, char *end)
{
	const char *p = *text;
	char *word = *scratch, *out = word;

	while (isspace((unsigned char)*p))
		p++;
	if (*p == '\0')
		return NULL;
	for (; *p != '\0' && !isspace((unsigned char)*p); p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		if (out + 1 >= end)
			return NULL;
		*out++ = *p;
	}
	*out++ = '\0';
	*text = p;
	*scratch = out;
	return word;
}

bool
pgmsg_options(const char *options, char *scratch, size_t room,
    bool (*set)(void *arg, const char *name, const char *value), void *arg)
{
	char *end = scratch + room, *word;

	while ((word = next_word(&options, &scratch, end)) != NULL) {
		char *value;

		if (strncmp(word, "--", 2) == 0) {
			word += 2;
		} else if (strncmp(word, "-c", 2) == 0) {
			word += 2;
			if (*word == '\0' && (word = next_word(&options, &scratch, end)) == NULL)
				return false;
		} else {
			return false;
		}
		value = strchr(word, '=');
		if (value == NULL || value == word)
			return false;
		*value++ = '\0';
		/* the server takes - for _ in names given on a command line */
		for (char *p = word; *p != '\0'; p++)
			if (*p == '-')
				*p = '_';
		if (!set(arg, word, value))
			return false;
	}
	while (isspace((unsigned char)*options))
		options++;
	return *options == '\0';
}
