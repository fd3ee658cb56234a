#include "auth/user_map.h"

#include "auth/hba_token.h"
#include "auth/name_regex.h"
#include "proxy/config/config_arena.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	const char *map, *system_user, *db_user;
	const struct name_regex *system_regex, *db_regex; /* NULL: a name */
	const char *capture;				  /* the \1 in db_user, NULL = none */
	bool all;					  /* any db_user */
};

struct user_map {
	atomic_uint refs;
	struct config_arena *arena;
	struct name_regex *regexes;
	struct entry *entries;
	size_t n, room;
};

struct parser {
	struct user_map *m;
	struct config_report *report;
};

#define error(p, r, ...) config_report_error((p)->report, (r)->at, __VA_ARGS__)

/* ---- reading ---- */

/* The regular expression of a token that begins with a slash; NULL when it is none, or has a fault,
 * which has been told. */
static const struct name_regex *
regex_of(const struct parser *p, const struct hba_record *r, const char *text)
{
	char why[NAME_REGEX_WHY], quoted[CONFIG_QUOTED];
	struct name_regex *regex;

	if (*text != '/')
		return NULL;
	if ((regex = name_regex_new(text + 1, why)) == NULL) {
		error(p, r, "regular expression %s: %s", config_report_quote(quoted, text), why);
		return NULL;
	}
	p->m->regexes = name_regex_chain(regex, p->m->regexes);
	return regex;
}

static void
read_db_user(const struct parser *p, const struct hba_record *r, const struct hba_token *t,
    struct entry *e)
{
	char quoted[CONFIG_QUOTED];

	config_report_quote(quoted, t->text);
	e->db_user = t->text;
	e->all = hba_token_is(t, "all");
	if (*t->text == '+' && !t->quoted)
		error(p, r,
		    "found the database user %s, expected a name, all or a regular expression "
		    "(members of a role are not served here)",
		    quoted);
	if (*t->text == '/') {
		e->db_regex = regex_of(p, r, t->text);
		return;
	}
	if (e->system_regex == NULL || (e->capture = strstr(t->text, "\\1")) == NULL)
		return;
	if (name_regex_captures(e->system_regex) == 0)
		error(p, r,
		    "found \\1 in the database user %s, expected parentheses in the regular expression "
		    "before it",
		    quoted);
	if (strstr(e->capture + 2, "\\1") != NULL)
		error(p, r, "found \\1 twice in the database user %s, expected it once", quoted);
}

static bool
read_fields(const struct parser *p, const struct hba_record *r, struct entry *e)
{
	static const char *const what[] = { "map name", "system user", "database user" };

	for (size_t i = 0; i < 3; i++) {
		if (i >= r->n) {
			error(p, r, "found the end of the line, expected a %s", what[i]);
			return false;
		}
		if (r->fields[i].n != 1) {
			error(p, r, "found %zu values for the %s, expected one", r->fields[i].n,
			    what[i]);
			return false;
		}
		if (*r->fields[i].tokens->text == '\0') {
			error(p, r, "found nothing between the quotes, expected a %s", what[i]);
			return false;
		}
	}
	if (r->n > 3) {
		error(p, r,
		    "found %zu fields, expected three: map name, system user, database user", r->n);
		return false;
	}
	e->map = r->fields[0].tokens->text;
	e->system_user = r->fields[1].tokens->text;
	e->system_regex = regex_of(p, r, e->system_user);
	if (e->system_regex != NULL || *e->system_user != '/')
		read_db_user(p, r, r->fields[2].tokens, e);
	return true;
}

static void
read_record(void *arg, const struct hba_record *r)
{
	struct parser *p = arg;
	unsigned errors = p->report->errors;
	struct user_map *m = p->m;
	struct entry e = { 0 };

	if (!read_fields(p, r, &e) || p->report->errors != errors)
		return;
	if (m->n == m->room) {
		size_t room = m->room == 0 ? 16 : m->room * 2;
		struct entry *entries = reallocarray(m->entries, room, sizeof(*entries));

		if (entries == NULL) {
			config_report_no_memory(p->report);
			return;
		}
		m->entries = entries;
		m->room = room;
	}
	m->entries[m->n++] = e;
}

struct user_map *
user_map_load(const char *path, user_map_say *say, void *arg)
{
	struct config_report report = { .say = say, .arg = arg };
	struct parser p = { .m = calloc(1, sizeof(*p.m)), .report = &report };

	if (p.m == NULL) {
		config_report_no_memory(&report);
		return NULL;
	}
	atomic_init(&p.m->refs, 1);
	if ((p.m->arena = config_arena_new()) == NULL)
		config_report_no_memory(&report);
	else
		hba_token_read(path, p.m->arena, &report, read_record, &p);
	if (report.errors == 0)
		return p.m;
	user_map_unref(p.m);
	return NULL;
}

struct user_map *
user_map_ref(struct user_map *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void
user_map_unref(struct user_map *m)
{
	if (m == NULL || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	name_regex_free(m->regexes);
	free(m->entries);
	config_arena_free(m->arena);
	free(m);
}

/* ---- asking ---- */

bool
user_map_has(const struct user_map *m, const char *name)
{
	for (size_t i = 0; m != NULL && i < m->n; i++) {
		if (strcmp(m->entries[i].map, name) == 0)
			return true;
	}
	return false;
}

/* Is db_user what the entry makes of system_user, whose part [from, len] stands for \1? */
static bool
equals_captured(const struct entry *e, const char *system_user, const char *db_user)
{
	size_t head = (size_t)(e->capture - e->db_user), from, len;

	if (!name_regex_capture(e->system_regex, system_user, &from, &len))
		return false;
	if (strncmp(db_user, e->db_user, head) != 0 ||
	    strncmp(db_user + head, system_user + from, len) != 0)
		return false;
	return strcmp(db_user + head + len, e->capture + 2) == 0;
}

static bool
allows(const struct entry *e, const char *system_user, const char *db_user)
{
	if (e->capture != NULL)
		return equals_captured(e, system_user, db_user);
	if (e->system_regex != NULL ? !name_regex_match(e->system_regex, system_user)
				    : strcmp(e->system_user, system_user) != 0)
		return false;
	if (e->db_regex != NULL)
		return name_regex_match(e->db_regex, db_user);
	return e->all || strcmp(e->db_user, db_user) == 0;
}

bool
user_map_allows(const struct user_map *m, const char *name, const char *system_user,
    const char *db_user)
{
	if (name == NULL || *name == '\0')
		return strcmp(system_user, db_user) == 0;
	for (size_t i = 0; m != NULL && i < m->n; i++) {
		if (strcmp(m->entries[i].map, name) == 0 &&
		    allows(&m->entries[i], system_user, db_user))
			return true;
	}
	return false;
}
