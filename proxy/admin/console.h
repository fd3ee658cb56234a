/* console.h -- the commands of the admin console: what may be asked, by whom, and how it is written.
 * Reads command lines and knows rights; carries nothing out. Views (SHOW) are registered by the folders
 * above as a table of struct view; what concerns the whole program is asked of a struct console_host,
 * which proxy/app_admin.c provides. Must not know pools, sessions or wire messages. */
#ifndef PROXY_ADMIN_CONSOLE_H
#define PROXY_ADMIN_CONSOLE_H

#include "proxy/base/fault.h"
#include "proxy/base/worker.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct averages;
struct buf;
struct config;
struct console_host;
struct table;

#define CONSOLE_LINE_MAX 65536 /* bytes of a command line */

/* ---- who ---- */

enum console_role { CONSOLE_NOBODY, CONSOLE_STATS, CONSOLE_ADMIN };

/* By admin_users, stats_users and auth_type. */
enum console_role console_role(const struct config *, const char *user);

/* ---- what ---- */

/* One SHOW. Per-worker data is read on its worker: `visit` runs on each in turn, with what `begin` made,
 * before `finish` runs on the asker's. A struct view is constant. */
struct view {
	const char *name;	    /* upper case; NULL ends a table of views */
	const char *const *columns; /* table.h */
	bool admin_only;
	void *(*begin)(void); /* NULL: no state. Returns NULL when out of memory */
	void (*visit)(struct worker *, struct table *, void *state); /* NULL: nothing per worker */
	void (*finish)(struct worker *home, struct console_host *, struct table *,
	    void *state);	      /* or NULL */
	void (*discard)(void *state); /* with begin */
};

enum console_verb {
	CONSOLE_EMPTY, /* nothing but blanks and comments */
	CONSOLE_SHOW,
	CONSOLE_HELP,
	CONSOLE_VALUE, /* SHOW of a fixed value: `name` is the column, as in table.h */
	CONSOLE_SET,
	CONSOLE_SET_VALUE, /* SET of something that drivers set and that means nothing here */
	CONSOLE_RELOAD,
	CONSOLE_PAUSE,
	CONSOLE_RESUME,
	CONSOLE_DISABLE,
	CONSOLE_ENABLE,
	CONSOLE_RECONNECT,
	CONSOLE_KILL_CLIENT,
	CONSOLE_REFRESH, /* a secret by its name */
	CONSOLE_SHUTDOWN,
};

enum console_shutdown { CONSOLE_NOW, CONSOLE_WAIT_SERVERS, CONSOLE_WAIT_CLIENTS };

struct console_command {
	enum console_verb verb;
	const char *tag; /* of CommandComplete */
	bool admin_only;
	const struct view *view; /* SHOW */
	const char *name;	 /* a database (NULL = all), a key; inside the line or constant */
	const char *value;
	uint64_t number; /* KILL_CLIENT */
	enum console_shutdown how;
};

/* Takes a line apart into `room`, which must have CONSOLE_ROOM(strlen(line)) bytes: the command points
 * into it. FAULT_NONE, or what is wrong with a sentence in err. */
#define CONSOLE_WORDS_MAX 6
#define CONSOLE_ROOM(len) ((len) + CONSOLE_WORDS_MAX)
enum fault console_parse(struct console_command *, const char *line, char *room,
    const struct view *views, char *err, size_t errlen);
/* The lines of SHOW HELP. */
void console_help(struct buf *, const struct view *views);

/* ---- for the whole program ---- */

/* Something that only the main thread can do. Lives inside the asker, the host's while under way. */
struct console_errand {
	struct letter letter;
	struct list_node place;	  /* the host's */
	struct deadline deadline; /* the host's */
	struct console_host *host;
	struct worker *home;
	const struct console_command *command; /* unchanged while under way */
	atomic_bool abandoned;		       /* nobody waits for the answer any more */
	enum fault fault;		       /* the answer ... */
	char message[512];		       /* ... "" = the fault's own sentence */
	void (*done)(struct worker *home, struct console_errand *); /* on home, exactly once */
};

struct console_host {
	const char *version;
	struct averages *averages;	   /* of struct stats per database */
	_Atomic uint64_t commands, logins; /* of all consoles */
	/* From any thread. SET, RELOAD, PAUSE, RESUME, SHUTDOWN. */
	void (*ask)(struct console_host *, struct console_errand *);
};

#endif
