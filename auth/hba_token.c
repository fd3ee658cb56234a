#include "auth/hba_token.h"

#include "proxy/config/config_arena.h"
#include "proxy/config/config_source.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 4096

struct vector {
	void *items;
	size_t n, room;
};

struct lexer {
	struct config_arena *arena;
	struct config_report *report;
	hba_token_record *record;
	void *arg;
	struct config_source open[HBA_TOKEN_DEPTH + 1]; /* the innermost last */
	int depth;					/* how many are open */
	int files;					/* how many have been */
	struct vector line;				/* char: the logical line */
	struct vector tokens;				/* struct hba_token */
	struct vector starts;				/* size_t: first token of each field */
};

static void read_file(struct lexer *x, const char *path, struct config_place at, bool names);

bool
hba_token_is(const struct hba_token *t, const char *word)
{
	return !t->quoted && strcmp(t->text, word) == 0;
}

/* Room for n items more, at the end; NULL when out of memory, which has been told. */
static void *
extend(struct lexer *x, struct vector *v, size_t n, size_t size)
{
	if (v->room - v->n < n) {
		size_t room = (v->n + n) * 2;
		void *items = calloc(room, size);

		if (items == NULL) {
			config_report_no_memory(x->report);
			return NULL;
		}
		if (v->items !=
		    NULL) { /* bind passwords pass through: realloc() would leave them */
			memcpy(items, v->items, v->n * size);
			explicit_bzero(v->items, v->n * size);
		}
		free(v->items);
		v->items = items;
		v->room = room;
	}
	v->n += n;
	return (char *)v->items + (v->n - n) * size;
}

/* ---- a line ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next logical line, copied into the arena; empty ones are passed over. NULL at the end. */
static char *
next_line(struct lexer *x, struct config_source *source, struct config_place *at)
{
	const char *text;
	char *copy;
	bool more;
	size_t len;

	while (config_source_line(source, &text, &len)) {
		at->line = source->line;
		x->line.n = 0;
		do {
			while (len > 0 && text[len - 1] == '\r')
				len--;
			more = len > 0 && text[len - 1] == '\\';
			len -= more;
			if (len > 0) {
				char *room = extend(x, &x->line, len, 1);

				if (room == NULL)
					return NULL;
				memcpy(room, text, len);
			}
		} while (more && config_source_line(source, &text, &len));
		text = x->line.items;
		for (len = 0; len < x->line.n && is_blank(text[len]);)
			len++;
		if (len == x->line.n || text[len] == '#')
			continue;
		if (memchr(text, '\0', x->line.n) != NULL) {
			config_report_error(x->report, *at,
			    "found a NUL byte in the line, expected text");
			continue;
		}
		if ((copy = config_arena_alloc(x->arena, x->line.n + 1)) == NULL)
			config_report_no_memory(x->report);
		else
			memcpy(copy, text, x->line.n);
		return copy;
	}
	return NULL;
}

enum taken { TAKEN_END, TAKEN_TOKEN, TAKEN_FAULT };

/* Takes one token off *p and ends its text where it stands: unquoted it is never longer than it was,
 * and a character that parts tokens follows, or the end. *comma: the field goes on. */
static enum taken
next_token(struct lexer *x, struct config_place at, char **p, struct hba_token *t, bool *comma)
{
	char *in = *p, *out;
	bool quoted = false;

	*comma = false;
	while (is_blank(*in) || *in == ',')
		in++;
	if (*in == '\0' || *in == '#') {
		*in = '\0'; /* the comment is done with, whoever asks again */
		*p = in;
		return TAKEN_END;
	}
	t->quoted = *in == '"';
	t->text = out = in;
	for (; *in != '\0' && (quoted || (!is_blank(*in) && *in != ',' && *in != '#')); in++) {
		if (*in != '"') {
			*out++ = *in;
		} else if (quoted && in[1] == '"') {
			*out++ = *in++;
		} else {
			quoted = !quoted;
		}
	}
	*comma = *in == ',';
	if (*in == '#')
		*in = '\0';
	*p = *in == '\0' ? in : in + 1;
	*out = '\0';
	if (!quoted)
		return TAKEN_TOKEN;
	config_report_error(x->report, at,
	    "found an open quote, expected its end on the same line");
	return TAKEN_FAULT;
}

/* ---- names of files ---- */

/* `name` as the file `from` means it; false when too long, which has been told. */
static bool
beside(struct lexer *x, struct config_place from, const char *name, char out[PATH_BYTES])
{
	const char *slash = strrchr(from.file, '/');
	int folder = slash != NULL && *name != '/' ? (int)(slash - from.file) + 1 : 0;
	int n = snprintf(out, PATH_BYTES, "%.*s%s", folder, from.file, name);

	if (n >= 0 && n < PATH_BYTES)
		return true;
	config_report_error(x->report, from, "found a file name of %d bytes, expected at most %d",
	    n, PATH_BYTES - 1);
	return false;
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
is_conf(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return e->d_name[0] != '.' && len > 5 && strcmp(e->d_name + len - 5, ".conf") == 0;
}

static void
include_dir(struct lexer *x, const char *path, struct config_place at)
{
	char file[PATH_BYTES], quoted[CONFIG_QUOTED];
	struct dirent **found;
	int n = scandir(path, &found, is_conf, by_bytes);

	if (n == -1) {
		config_report_error(x->report, at, "cannot read the folder %s: %s",
		    config_report_quote(quoted, path), strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		if (snprintf(file, sizeof(file), "%s/%s", path, found[i]->d_name) <
		    (int)sizeof(file))
			read_file(x, file, at, false);
		else
			config_report_error(x->report, at,
			    "found a file name that is too long in the folder %s, expected at most %d bytes",
			    config_report_quote(quoted, path), PATH_BYTES - 1);
		free(found[i]);
	}
	free(found);
}

/* ---- a record ---- */

/* Reads the file of an include record; false when it is none. */
static bool
include(struct lexer *x, const struct hba_record *r)
{
	const struct hba_token *word = r->fields[0].n == 1 ? r->fields[0].tokens : NULL;
	char path[PATH_BYTES];

	if (word == NULL || word->quoted || strncmp(word->text, "include", 7) != 0)
		return false;
	if (strcmp(word->text, "include") != 0 && strcmp(word->text, "include_dir") != 0 &&
	    strcmp(word->text, "include_if_exists") != 0)
		return false;
	if (r->n != 2 || r->fields[1].n != 1 || *r->fields[1].tokens->text == '\0') {
		config_report_error(x->report, r->at, "%s: expected one file name behind it",
		    word->text);
		return true;
	}
	if (!beside(x, r->at, r->fields[1].tokens->text, path))
		return true;
	if (strcmp(word->text, "include_dir") == 0)
		include_dir(x, path, r->at);
	else if (strcmp(word->text, "include") == 0 || access(path, F_OK) == 0 || errno != ENOENT)
		read_file(x, path, r->at, false);
	return true;
}

/* Gives away the record that the tokens and the starts of fields make. */
static void
finish(struct lexer *x, struct config_place at)
{
	const size_t *starts = x->starts.items;
	struct hba_record r = { .at = at, .n = x->starts.n };
	const struct hba_token *tokens;
	struct hba_field *fields;

	tokens = config_arena_array(x->arena, x->tokens.items, x->tokens.n, sizeof(*tokens));
	fields = config_arena_alloc(x->arena, r.n * sizeof(*fields));
	if (fields == NULL || (tokens == NULL && x->tokens.n > 0)) {
		config_report_no_memory(x->report);
		return;
	}
	for (size_t i = 0; i < r.n; i++) {
		fields[i].tokens = tokens + starts[i];
		fields[i].n = (i + 1 < r.n ? starts[i + 1] : x->tokens.n) - starts[i];
	}
	r.fields = fields;
	if (!include(x, &r))
		x->record(x->arg, &r);
}

/* Adds a token, or those of the file it names; false on a fault, which has been told. */
static bool
add(struct lexer *x, struct config_place at, const struct hba_token *t)
{
	unsigned errors = x->report->errors;
	char path[PATH_BYTES];
	struct hba_token *slot;

	if (!t->quoted && t->text[0] == '@' && t->text[1] != '\0') {
		if (beside(x, at, t->text + 1, path))
			read_file(x, path, at, true);
		return x->report->errors == errors;
	}
	if ((slot = extend(x, &x->tokens, 1, sizeof(*slot))) == NULL)
		return false;
	*slot = *t;
	return true;
}

/* One logical line: a record of its own, or (names) more tokens of the field that is open. */
static void
read_line(struct lexer *x, struct config_place at, char *text, bool names)
{
	bool comma = false, good = true;
	struct hba_token t;
	enum taken taken;

	if (!names)
		x->tokens.n = x->starts.n = 0;
	for (;;) {
		bool same_field = names || comma;
		size_t *start;

		if ((taken = next_token(x, at, &text, &t, &comma)) != TAKEN_TOKEN)
			break;
		if (!same_field) {
			if ((start = extend(x, &x->starts, 1, sizeof(*start))) == NULL)
				return;
			*start = x->tokens.n;
		}
		good = add(x, at, &t) && good;
	}
	if (!names && good && taken == TAKEN_END && x->starts.n > 0)
		finish(x, at);
}

/* ---- files ---- */

/* Why the file just opened is not read, NULL = it is. */
static const char *
refused(const struct lexer *x, const struct config_source *source)
{
	for (int i = 0; i < x->depth; i++) {
		if (x->open[i].dev == source->dev && x->open[i].ino == source->ino)
			return "the file includes itself";
	}
	return NULL;
}

static void
read_file(struct lexer *x, const char *path, struct config_place at, bool names)
{
	struct config_source *source = &x->open[x->depth];
	struct config_place here = { 0 };
	char quoted[CONFIG_QUOTED], *text;
	const char *why;

	config_report_quote(quoted, path);
	if (x->depth > HBA_TOKEN_DEPTH) {
		config_report_error(x->report, at, "%s: found more than %d files one in the other",
		    quoted, HBA_TOKEN_DEPTH);
		return;
	}
	if (++x->files > HBA_TOKEN_FILES) {
		if (x->files == HBA_TOKEN_FILES + 1)
			config_report_error(x->report, at, "%s: found more than %d included files",
			    quoted, HBA_TOKEN_FILES);
		return;
	}
	if (config_source_open(source, path, x->depth > 0, at, x->report) == -1)
		return;
	if ((why = refused(x, source)) != NULL) {
		config_report_error(x->report, at, "%s: %s", quoted, why);
		config_source_close(source);
		return;
	}
	if ((here.file = config_arena_text(x->arena, path)) == NULL)
		config_report_no_memory(x->report);
	x->depth++;
	while (!x->report->no_memory && (text = next_line(x, source, &here)) != NULL)
		read_line(x, here, text, names);
	x->depth--;
	config_source_close(source);
}

void
hba_token_read(const char *path, struct config_arena *arena, struct config_report *report,
    hba_token_record *record, void *arg)
{
	struct lexer *x = calloc(1, sizeof(*x));

	if (x == NULL) {
		config_report_no_memory(report);
		return;
	}
	x->arena = arena;
	x->report = report;
	x->record = record;
	x->arg = arg;
	read_file(x, path, (struct config_place){ path, 0 }, false);
	if (x->line.items != NULL)
		explicit_bzero(x->line.items, x->line.room);
	free(x->line.items);
	free(x->tokens.items);
	free(x->starts.items);
	free(x);
}
