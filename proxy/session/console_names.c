#include "proxy/session/console_names.h"

#include "proxy/session/console_views.h"

#include <stdlib.h>
#include <string.h>

struct console_line *
console_line_new(const char *text, enum fault *f, char *err, size_t errlen)
{
	struct console_line *l = calloc(1, sizeof(*l) + CONSOLE_ROOM(strlen(text)));

	if (l == NULL) {
		*f = FAULT_MEMORY;
		err[0] = '\0';
		return NULL;
	}
	l->refs = 1;
	*f = console_parse(&l->command, text, l->room, console_views, err, errlen);
	if (*f != FAULT_NONE) {
		free(l);
		return NULL;
	}
	if (l->command.verb == CONSOLE_VALUE)
		l->value_columns[0] = l->command.name;
	return l;
}

void
console_line_unref(struct console_line *l)
{
	if (l != NULL && --l->refs == 0)
		free(l);
}

const char *const *
console_line_columns(const struct console_line *l)
{
	switch (l->command.verb) {
	case CONSOLE_SHOW:
		return l->command.view->columns;
	case CONSOLE_VALUE:
		return l->value_columns;
	default:
		return NULL;
	}
}

void
console_names_init(struct console_names *names)
{
	list_init(&names->list);
	names->n = 0;
}

struct console_named *
console_names_find(const struct console_names *names, const char *name)
{
	list_each(n, tmp, &names->list)
	{
		struct console_named *e = list_entry(n, struct console_named, place);

		if (strcmp(e->name, name) == 0)
			return e;
	}
	return NULL;
}

struct console_named *
console_names_add(struct console_names *names, const char *name, struct console_line *line)
{
	size_t size = strlen(name) + 1;
	struct console_named *e;

	if (names->n >= CONSOLE_NAMES_MAX)
		return NULL;
	e = calloc(1, sizeof(*e) + size);
	if (e == NULL)
		return NULL;
	memcpy(e->name, name, size);
	e->line = line;
	line->refs++;
	list_push_back(&names->list, &e->place);
	names->n++;
	return e;
}

static void
drop(struct console_names *names, struct console_named *e)
{
	list_del(&e->place);
	names->n--;
	console_line_unref(e->line);
	free(e);
}

void
console_names_drop(struct console_names *names, const char *name)
{
	struct console_named *e = console_names_find(names, name);

	if (e != NULL)
		drop(names, e);
}

void
console_names_clear(struct console_names *names)
{
	list_each(n, tmp, &names->list) drop(names, list_entry(n, struct console_named, place));
}
