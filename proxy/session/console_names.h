/* console_names.h -- command lines, and the names that the extended protocol gives them: prepared
 * statements and portals of one console session. Bounded in number; a line is shared by counting. */
#ifndef PROXY_SESSION_CONSOLE_NAMES_H
#define PROXY_SESSION_CONSOLE_NAMES_H

#include "proxy/admin/console.h"
#include "proxy/base/list.h"

#include <stdbool.h>
#include <stdint.h>

#define CONSOLE_NAMES_MAX 32 /* statements, and portals, of one session */

/* A command line, taken apart. Counted, on one thread. */
struct console_line {
	unsigned refs;
	struct console_command command;
	const char *value_columns[2];
	char room[];
};

/* One reference; *f is FAULT_NONE, or why there is none, with a sentence in err. */
struct console_line *console_line_new(const char *text, enum fault *f, char *err, size_t errlen);
void console_line_unref(struct console_line *); /* NULL is harmless */
/* What it answers with, as in table.h; NULL = no rows. */
const char *const *console_line_columns(const struct console_line *);

struct console_named {
	struct list_node place;
	struct console_line *line; /* reference */
	uint32_t binary;	   /* portals: console_rows.h */
	bool done;		   /* portals: it was executed */
	char name[];
};

struct console_names {
	struct list_node list;
	unsigned n;
};

void console_names_init(struct console_names *);
void console_names_clear(struct console_names *);
struct console_named *console_names_find(const struct console_names *, const char *name);
/* Takes a reference of its own. NULL = too many, or no memory. The name must be free. */
struct console_named *console_names_add(struct console_names *, const char *name,
    struct console_line *);
void console_names_drop(struct console_names *, const char *name); /* harmless when there is none */

#endif
