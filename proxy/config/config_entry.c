#include "proxy/config/config_entry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config/config_arena.h"
#include "proxy/config/config_connstr.h"

#define NAME_MAX_BYTES 127 /* PostgreSQL itself takes 63; providers allow longer user names */
#define LENGTH(array)  (sizeof(array) / sizeof((array)[0]))

/* Keys of databases that are known but would change who may log in or with what. */
static const struct {
	const char *key, *why;
} refused[] = {
	{ "resource_arn", "the HTTP data API is not served yet; remove it" },
};

static const char *
key_at(const void *arg, size_t i)
{
	const struct config_entry_kind *kind = arg;

	return kind->fields[i].key;
}

static const struct config_field *
find_field(const struct config_entry_kind *kind, const char *key)
{
	size_t i;

	if (strcmp(key, "reserve_pool") == 0)
		key = "reserve_pool_size"; /* PgBouncer's older name for it */
	for (i = 0; i < kind->n_fields; i++)
		if (strcmp(key, kind->fields[i].key) == 0)
			return &kind->fields[i];
	return NULL;
}

static const char *
why_refused(const struct config_entry_kind *kind, const char *key)
{
	size_t i;

	for (i = 0; kind == &config_entry_databases && i < LENGTH(refused); i++)
		if (strcmp(key, refused[i].key) == 0)
			return refused[i].why;
	return NULL;
}

/* What the faults of one line have in common. */
struct line {
	const struct config_entry_kind *kind;
	char name[CONFIG_QUOTED];
	struct config_place at;
	struct config_report *report;
};

static void
unknown_key(const struct line *line, const char *key)
{
	const char *why = why_refused(line->kind, key), *nearest;
	char quoted[CONFIG_QUOTED];

	if (why != NULL) {
		config_report_error(line->report, line->at, "%s %s: %s: %s", line->kind->noun,
		    line->name, key, why);
		return;
	}
	nearest = config_report_nearest(key, key_at, line->kind, line->kind->n_fields);
	config_report_error(line->report, line->at, "%s %s: found unknown key %s%s%s%s",
	    line->kind->noun, line->name, config_report_quote(quoted, key),
	    nearest != NULL ? ", expected perhaps \"" : "", nearest != NULL ? nearest : "",
	    nearest != NULL ? "\"" : "");
}

/* "host= port=1" names the host "port=1", which nobody means. */
static bool
swallowed_next(const struct line *line, const struct config_connstr *pairs)
{
	const char *equals = strchr(pairs->value, '=');
	char key[32];

	if (!pairs->gap || equals == NULL || (size_t)(equals - pairs->value) >= sizeof(key))
		return false;
	snprintf(key, sizeof(key), "%.*s", (int)(equals - pairs->value), pairs->value);
	return find_field(line->kind, key) != NULL;
}

static void
read_pair(const struct line *line, void *record, const struct config_connstr *pairs, uint64_t *seen,
    struct config_arena *arena)
{
	const struct config_field *field = find_field(line->kind, pairs->key);
	char err[CONFIG_FIELD_ERR];
	uint64_t bit;

	if (field == NULL) {
		unknown_key(line, pairs->key);
		return;
	}
	if (swallowed_next(line, pairs)) {
		config_report_error(line->report, line->at,
		    "%s %s: %s: found nothing, expected a value or ''", line->kind->noun,
		    line->name, field->key);
		return;
	}
	bit = UINT64_C(1) << (field - line->kind->fields);
	if (*seen & bit)
		config_report_warning(line->report, line->at,
		    "%s %s: %s is given twice, the last one counts", line->kind->noun, line->name,
		    field->key);
	*seen |= bit;
	if (config_field_set(field, record, pairs->value, arena, err) == 0)
		return;
	if (err[0] == '\0')
		config_report_no_memory(line->report);
	else
		config_report_error(line->report, line->at, "%s %s: %s: %s", line->kind->noun,
		    line->name, field->key, err);
}

static void
read_pairs(const struct line *line, void *record, char *text, struct config_arena *arena)
{
	struct config_connstr pairs;
	char quoted[CONFIG_QUOTED];
	uint64_t seen = 0;

	config_connstr_start(&pairs, text);
	while (config_connstr_next(&pairs))
		read_pair(line, record, &pairs, &seen, arena);
	if (pairs.fault == NULL)
		return;
	if (pairs.after[0] == '\0')
		config_report_error(line->report, line->at, "%s %s: %s", line->kind->noun,
		    line->name, pairs.fault);
	else
		config_report_error(line->report, line->at, "%s %s: at the value of %s: %s",
		    line->kind->noun, line->name, config_report_quote(quoted, pairs.after),
		    pairs.fault);
}

/* A peer's name is its number. */
static void
read_id(const struct line *line, struct config_peer *peer, const char *name)
{
	static const struct config_field id = { "id", OPT_INT, 1, 16383,
		offsetof(struct config_peer, id), false };
	char err[CONFIG_FIELD_ERR];

	if (config_field_set(&id, peer, name, NULL, err) == -1)
		config_report_error(line->report, line->at, "name of a peer: %s", err);
}

void
config_entry_read(const struct config_entry_kind *kind, void *record, const char *name,
    const char *text, struct config_place at, struct config_arena *arena,
    struct config_report *report)
{
	struct line line = { .kind = kind, .at = at, .report = report };
	char *bytes = record, *copy, *own_name;

	kind->init(record);
	config_report_quote(line.name, name);
	*(int *)(void *)(bytes + kind->line) = at.line;
	*(const char **)(void *)(bytes + kind->file) = at.file;
	if (kind == &config_entry_peers) {
		read_id(&line, record, name);
	} else {
		if (strlen(name) > NAME_MAX_BYTES)
			config_report_error(report, at,
			    "%s %s: found a name of %zu bytes, expected at most %d", kind->noun,
			    line.name, strlen(name), NAME_MAX_BYTES);
		if ((own_name = config_arena_text(arena, name)) == NULL)
			goto fail;
		*(const char **)(void *)(bytes + kind->name) = own_name;
	}
	if ((copy = strdup(text)) == NULL)
		goto fail;
	read_pairs(&line, record, copy, arena);
	explicit_bzero(copy, strlen(text));
	free(copy);
	return;
fail:
	config_report_no_memory(report);
}

static int
copy_text(void *to, const void *from, size_t offset, struct config_arena *arena)
{
	const char *text = *(const char *const *)(const void *)((const char *)from + offset);

	return (*(const char **)(void *)((char *)to + offset) = config_arena_text(arena, text)) ==
		       NULL
		   ? -1
		   : 0;
}

int
config_entry_copy(const struct config_entry_kind *kind, void *to, const void *from,
    struct config_arena *arena)
{
	size_t i;

	memcpy(to, from, kind->size);
	for (i = 0; i < kind->n_fields; i++)
		if (config_field_copy(&kind->fields[i], to, from, arena) == -1)
			return -1;
	if (kind != &config_entry_peers && copy_text(to, from, kind->name, arena) == -1)
		return -1;
	return copy_text(to, from, kind->file, arena);
}

const char *
config_entry_name(const struct config_entry_kind *kind, const void *record,
    char buf[CONFIG_FIELD_TEXT])
{
	if (kind != &config_entry_peers)
		return *(const char *const *)(const void *)((const char *)record + kind->name);
	snprintf(buf, CONFIG_FIELD_TEXT, "%d", ((const struct config_peer *)record)->id);
	return buf;
}

int
config_entry_compare(const struct config_entry_kind *kind, const void *a, const void *b)
{
	char left[CONFIG_FIELD_TEXT], right[CONFIG_FIELD_TEXT];

	if (kind == &config_entry_peers) {
		int x = ((const struct config_peer *)a)->id,
		    y = ((const struct config_peer *)b)->id;

		return (x > y) - (x < y);
	}
	return strcmp(config_entry_name(kind, a, left), config_entry_name(kind, b, right));
}
