#include "auth/name_regex.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 16
#define COUNT_MAX  255			  /* PostgreSQL's and POSIX's bound of {n,m} */
#define OUT_BYTES  (NAME_REGEX_BYTES * 8) /* \d in brackets makes two bytes five */

struct name_regex {
	struct name_regex *next;
	regex_t compiled;
};

/* What is known of a group that is open; [0] of the stack is the whole pattern. */
struct group {
	size_t size;	/* in atoms */
	bool may_empty; /* an alternative before this one may match nothing */
	bool solid;	/* this one does not */
};

/* Rewrites one pattern. The last atom is what a quantifier would repeat. */
struct rewriter {
	const char *p;
	char *why;
	char out[OUT_BYTES];
	size_t n;
	struct group group[GROUPS_MAX + 1];
	int depth;
	size_t atom;	 /* its size, 0 = there is none */
	bool atom_solid; /* it takes a byte at least; not counted in its group yet */
	bool repeated;	 /* it has its quantifier */
};

/* ---- what is served ---- */

static bool
refuse(struct rewriter *r, const char *found, size_t len, const char *what)
{
	snprintf(r->why, NAME_REGEX_WHY, "found %.*s, %s", (int)len, found, what);
	return false;
}

static void
put(struct rewriter *r, const char *text)
{
	for (; *text != '\0' && r->n < OUT_BYTES - 1; text++)
		r->out[r->n++] = *text;
}

static void
put_byte(struct rewriter *r, char c)
{
	put(r, (char[2]){ c, '\0' });
}

static bool
grow(struct rewriter *r, size_t by)
{
	size_t total = 0;

	r->group[r->depth].size += by;
	for (int i = 0; i <= r->depth; i++)
		total += r->group[i].size;
	if (total <= NAME_REGEX_ATOMS)
		return true;
	snprintf(r->why, NAME_REGEX_WHY,
	    "found counts that multiply to more than %d characters, expected a simpler one",
	    NAME_REGEX_ATOMS);
	return false;
}

/* The last atom is what it is: no quantifier follows any more. */
static void
settle(struct rewriter *r)
{
	if (r->atom_solid)
		r->group[r->depth].solid = true;
	r->atom = 0;
	r->atom_solid = false;
}

static bool
atom(struct rewriter *r, size_t size, bool solid)
{
	settle(r);
	r->atom = size;
	r->atom_solid = solid;
	r->repeated = false;
	return grow(r, size);
}

static bool
escape(struct rewriter *r)
{
	char c = r->p[1];

	if (c == '\0')
		return refuse(r, r->p, 1, "expected a character behind it");
	if (c == 'd' || c == 'D')
		put(r, c == 'd' ? "[0-9]" : "[^0-9]");
	else if (isalnum((unsigned char)c) && strchr("wWsS", c) == NULL)
		return refuse(r, r->p, 2, "which is not served");
	else if (isalnum((unsigned char)c) || strchr("^.[$()|*+?{\\", c) != NULL)
		put(r, (char[3]){ '\\', c, '\0' });
	else
		put_byte(r,
		    c); /* behind a backslash some of these are operators of the C library */
	r->p += 2;
	return atom(r, 1, true);
}

/* [:class:] within brackets. */
static bool class(struct rewriter *r)
{
	const char *end = r->p[1] == ':' ? strstr(r->p + 2, ":]") : NULL;

	if (end == NULL)
		return refuse(r, r->p, 2, "expected a class like [:alpha:]");
	for (; r->p < end + 2; r->p++)
		put_byte(r, *r->p);
	return true;
}

static bool
escape_in_brackets(struct rewriter *r)
{
	char c = r->p[1];

	if (c == 'd')
		put(r, "0-9");
	else if (c == 'w')
		put(r, "[:alnum:]_");
	else if (c == 's')
		put(r, "[:space:]");
	else if (c == '\0' || isalnum((unsigned char)c) || strchr("]^-[", c) != NULL)
		return refuse(r, r->p, c == '\0' ? 1 : 2, "which is not served in brackets");
	else
		put_byte(r, c);
	r->p += 2;
	return true;
}

static bool
brackets(struct rewriter *r)
{
	bool first = true;

	put_byte(r, *r->p++);
	if (*r->p == '^')
		put_byte(r, *r->p++);
	for (; *r->p != ']' || first; first = false) {
		if (*r->p == '\0')
			return refuse(r, "[", 1, "expected a ] behind it");
		if (*r->p == '\\') {
			if (!escape_in_brackets(r))
				return false;
		} else if (*r->p == '[' && r->p[1] != '\0' && strchr(":.=", r->p[1]) != NULL) {
			if (!class(r))
				return false;
		} else {
			put_byte(r, *r->p++);
		}
	}
	put_byte(r, *r->p++);
	return atom(r, 1, true);
}

static bool
group_open(struct rewriter *r)
{
	if (r->p[1] == '?')
		return refuse(r, r->p, 2, "which is not served");
	if (r->depth == GROUPS_MAX)
		return refuse(r, r->p, 1, "inside 16 others, which is not served");
	settle(r);
	r->group[++r->depth] = (struct group){ .size = 1 };
	put_byte(r, *r->p++);
	return true;
}

static bool
group_close(struct rewriter *r)
{
	const struct group *g = &r->group[r->depth];

	if (r->depth == 0)
		return refuse(r, r->p, 1, "expected a ( before it");
	settle(r);
	r->depth--;
	put_byte(r, *r->p++);
	return atom(r, g->size, g->solid && !g->may_empty);
}

/* A number of {n,m}; -1 when there is none or it is too large. */
static int
number(const char **p)
{
	int n = -1;

	for (; isdigit((unsigned char)**p); (*p)++) {
		n = (n < 0 ? 0 : n) * 10 + (**p - '0');
		if (n > COUNT_MAX)
			return -1;
	}
	return n;
}

static bool
quantifier(struct rewriter *r)
{
	const char *end = r->p + 1;
	int least = *r->p == '+', most = *r->p == '?' ? 1 : 2;

	if (*r->p == '{') {
		least = most = number(&end);
		if (*end == ',') {
			end++;
			most = *end == '}' ? least + 2 : number(&end);
		}
		if (least < 0 || most < least || *end != '}')
			return refuse(r, r->p, 1, "expected a count like {1,255} behind it");
		end++;
	}
	if (r->atom == 0)
		return refuse(r, r->p, 1, "expected something to repeat before it");
	if (r->repeated)
		return refuse(r, r->p, 1, "behind another quantifier, which is not served");
	/* PostgreSQL allows it, but the C library may not come to an end. */
	if (most > 1 && !r->atom_solid)
		return refuse(r, r->p, 1, "behind what may match nothing, which is not served");
	r->repeated = true;
	r->atom_solid = r->atom_solid && least > 0;
	for (; r->p < end; r->p++)
		put_byte(r, *r->p);
	return most <= 1 || grow(r, r->atom * (size_t)(most - 1));
}

static bool
step(struct rewriter *r)
{
	switch (*r->p) {
	case '\\':
		return escape(r);
	case '[':
		return brackets(r);
	case '(':
		return group_open(r);
	case ')':
		return group_close(r);
	case '{':
		if (isdigit((unsigned char)r->p[1]))
			return quantifier(r);
		put_byte(r, '\\'); /* PostgreSQL takes it as it stands */
		put_byte(r, *r->p++);
		return atom(r, 1, true);
	case '*':
	case '+':
	case '?':
		return quantifier(r);
	case '^':
	case '$':
		settle(r);
		put_byte(r, *r->p++);
		return true;
	case '|':
		settle(r);
		if (!r->group[r->depth].solid)
			r->group[r->depth].may_empty = true;
		r->group[r->depth].solid = false;
		put_byte(r, *r->p++);
		return true;
	default:
		put_byte(r, *r->p++);
		return atom(r, 1, true);
	}
}

static bool
rewrite(struct rewriter *r)
{
	if (*r->p == '\0') {
		snprintf(r->why, NAME_REGEX_WHY, "found nothing behind the slash");
		return false;
	}
	if (strlen(r->p) > NAME_REGEX_BYTES) {
		snprintf(r->why, NAME_REGEX_WHY, "found %zu bytes, expected at most %d",
		    strlen(r->p), NAME_REGEX_BYTES);
		return false;
	}
	while (*r->p != '\0') {
		if (!step(r))
			return false;
	}
	if (r->depth > 0)
		return refuse(r, "(", 1, "expected a ) behind it");
	r->out[r->n] = '\0';
	return true;
}

/* ---- the C library's part ---- */

struct name_regex *
name_regex_new(const char *pattern, char why[NAME_REGEX_WHY])
{
	struct rewriter r = { .p = pattern, .why = why };
	struct name_regex *regex;
	int rc;

	if (!rewrite(&r))
		return NULL;
	if ((regex = calloc(1, sizeof(*regex))) == NULL) {
		snprintf(why, NAME_REGEX_WHY, "out of memory");
		return NULL;
	}
	if ((rc = regcomp(&regex->compiled, r.out, REG_EXTENDED)) != 0) {
		regerror(rc, &regex->compiled, why, NAME_REGEX_WHY);
		free(regex);
		return NULL;
	}
	return regex;
}

struct name_regex *
name_regex_chain(struct name_regex *r, struct name_regex *others)
{
	r->next = others;
	return r;
}

void
name_regex_free(struct name_regex *list)
{
	struct name_regex *next;

	for (; list != NULL; list = next) {
		next = list->next;
		regfree(&list->compiled);
		free(list);
	}
}

size_t
name_regex_captures(const struct name_regex *r)
{
	return r->compiled.re_nsub;
}

bool
name_regex_match(const struct name_regex *r, const char *text)
{
	return strnlen(text, NAME_REGEX_TEXT + 1) <= NAME_REGEX_TEXT &&
	       regexec(&r->compiled, text, 0, NULL, 0) == 0;
}

bool
name_regex_capture(const struct name_regex *r, const char *text, size_t *from, size_t *len)
{
	regmatch_t at[2] = { { -1, -1 }, { -1, -1 } };

	if (strnlen(text, NAME_REGEX_TEXT + 1) > NAME_REGEX_TEXT ||
	    regexec(&r->compiled, text, 2, at, 0) != 0 || at[1].rm_so < 0)
		return false;
	*from = (size_t)at[1].rm_so;
	*len = (size_t)(at[1].rm_eo - at[1].rm_so);
	return true;
}
