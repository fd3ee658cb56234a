#include "proxy/admin/console.h"

#include "proxy/base/buf.h"
#include "proxy/config/config.h"
#include "proxy/config/config_report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\r\n\f\v"

/* ---- who ---- */

static bool
is_listed(const char *list, const char *user)
{
	size_t len = strlen(user), n;

	while (list != NULL && *list != '\0') {
		list += strspn(list, ", \t\r\n");
		n = strcspn(list, ",");
		for (size_t m = n; m > 0; m--)
			if (strchr(" \t\r\n", list[m - 1]) == NULL) {
				if (m == len && memcmp(list, user, m) == 0)
					return true;
				break;
			}
		list += n;
	}
	return false;
}

enum console_role
console_role(const struct config *cfg, const char *user)
{
	if (cfg->auth_type == AUTH_ANY || is_listed(cfg->admin_users, user))
		return CONSOLE_ADMIN;
	return is_listed(cfg->stats_users, user) ? CONSOLE_STATS : CONSOLE_NOBODY;
}

/* ---- words of a line ---- */

struct words {
	const char *text[CONSOLE_WORDS_MAX];
	bool quoted[CONSOLE_WORDS_MAX];
	unsigned n;
	char *room; /* where the next word goes */
};

/* Blanks and comments, as SQL has them; NULL when a comment does not end. */
static const char *
skip_blanks(const char *p)
{
	for (;;) {
		p += strspn(p, BLANKS);
		if (p[0] == '-' && p[1] == '-') {
			p += strcspn(p, "\n");
		} else if (p[0] == '/' && p[1] == '*') {
			p = strstr(p + 2, "*/");
			if (p == NULL)
				return NULL;
			p += 2;
		} else {
			return p;
		}
	}
}

/* The text between quotes, doubled quotes made single. NULL when it does not end. */
static const char *
take_quoted(struct words *w, const char *p)
{
	char quote = *p++;

	for (; *p != '\0'; p++) {
		if (*p == quote && *++p != quote) {
			*w->room++ = '\0';
			return p;
		}
		*w->room++ = *p;
	}
	return NULL;
}

static const char *
take_bare(struct words *w, const char *p)
{
	size_t n = *p == '=' ? 1 : strcspn(p, BLANKS ";=\"'");

	memcpy(w->room, p, n);
	w->room[n] = '\0';
	w->room += n + 1;
	return p + n;
}

/* Returns what is wrong, or NULL. */
static const char *
split(struct words *w, const char *p)
{
	bool ended = false;

	for (;;) {
		p = skip_blanks(p);
		if (p == NULL)
			return "unterminated comment";
		if (*p == '\0')
			return NULL;
		if (*p == ';') {
			ended = w->n > 0;
			p++;
			continue;
		}
		if (ended)
			return "one command at a time";
		if (w->n == CONSOLE_WORDS_MAX)
			return "too many words";
		w->text[w->n] = w->room;
		w->quoted[w->n] = *p == '"' || *p == '\'';
		p = w->quoted[w->n] ? take_quoted(w, p) : take_bare(w, p);
		if (p == NULL)
			return "unterminated quote";
		w->n++;
	}
}

static bool
is_word(const struct words *w, unsigned i, const char *word)
{
	return i < w->n && strcasecmp(w->text[i], word) == 0;
}

/* ---- commands ---- */

enum arguments {
	TAKES_NOTHING,
	TAKES_NAME,
	MAY_TAKE_NAME,
	TAKES_NUMBER,
	TAKES_VIEW,
	TAKES_SETTING,
	TAKES_MANNER,
	TAKES_SECRET,
	IS_NOT_SERVED,
};

static const struct {
	const char *word;
	enum console_verb verb;
	enum arguments takes;
	bool admin_only;
	const char *usage; /* NULL: not in the help */
} commands[] = {
	{ "SHOW", CONSOLE_SHOW, TAKES_VIEW, false, NULL },
	{ "SELECT", CONSOLE_SHOW, TAKES_VIEW, false, NULL },
	{ "SET", CONSOLE_SET, TAKES_SETTING, true, "SET <key> = <value>" },
	{ "RELOAD", CONSOLE_RELOAD, TAKES_NOTHING, true, "RELOAD" },
	{ "PAUSE", CONSOLE_PAUSE, MAY_TAKE_NAME, true, "PAUSE [<db>]" },
	{ "RESUME", CONSOLE_RESUME, MAY_TAKE_NAME, true, "RESUME [<db>]" },
	{ "DISABLE", CONSOLE_DISABLE, TAKES_NAME, true, "DISABLE <db>" },
	{ "ENABLE", CONSOLE_ENABLE, TAKES_NAME, true, "ENABLE <db>" },
	{ "RECONNECT", CONSOLE_RECONNECT, MAY_TAKE_NAME, true, "RECONNECT [<db>]" },
	{ "KILL_CLIENT", CONSOLE_KILL_CLIENT, TAKES_NUMBER, true, "KILL_CLIENT <id>" },
	{ "REFRESH", CONSOLE_REFRESH, TAKES_SECRET, true, "REFRESH SECRET <name>" },
	{ "SHUTDOWN", CONSOLE_SHUTDOWN, TAKES_MANNER, true,
	    "SHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]" },
	{ "KILL", CONSOLE_EMPTY, IS_NOT_SERVED, true, NULL },
	{ "WAIT_CLOSE", CONSOLE_EMPTY, IS_NOT_SERVED, true, NULL },
	{ "SUSPEND", CONSOLE_EMPTY, IS_NOT_SERVED, true, NULL },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* What drivers ask for at connect. value NULL: may be set, is not shown. */
static const struct {
	const char *name, *value;
} fixed[] = {
	{ "client_encoding", "UTF8" },
	{ "default_transaction_isolation", "read committed" },
	{ "transaction_isolation", "read committed" },
	{ "standard_conforming_strings", "on" },
	{ "datestyle", "ISO" },
	{ "timezone", "GMT" },
	{ "application_name", NULL },
	{ "client_min_messages", NULL },
	{ "extra_float_digits", NULL },
};

static int
find_fixed(const char *name)
{
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcasecmp(name, fixed[i].name) == 0)
			return (int)i;
	return -1;
}

static enum fault
bad(enum fault f, char *err, size_t errlen, const char *what, const char *word)
{
	char quoted[CONFIG_QUOTED];

	if (word == NULL)
		snprintf(err, errlen, "%s", what);
	else
		snprintf(err, errlen, "%s %s", what, config_report_quote(quoted, word));
	return f;
}

static bool
is_number(const char *text)
{
	return *text != '\0' && strlen(text) < 10 && text[strspn(text, "0123456789")] == '\0';
}

static enum fault
parse_show(struct console_command *c, const struct words *w, const struct view *views, char *err,
    size_t errlen)
{
	int i;

	if (w->n != 2)
		return bad(FAULT_CONSOLE_SYNTAX, err, errlen, "SHOW takes one name", NULL);
	c->name = w->text[1];
	if (is_word(w, 1, "HELP")) {
		c->verb = CONSOLE_HELP;
		return FAULT_NONE;
	}
	for (const struct view *v = views; v->name != NULL; v++)
		if (strcasecmp(c->name, v->name) == 0) {
			c->view = v;
			c->admin_only = v->admin_only;
			return FAULT_NONE;
		}
	i = find_fixed(c->name);
	c->verb = CONSOLE_VALUE;
	if (i >= 0 && fixed[i].value != NULL) {
		c->name = fixed[i].name;
		c->value = fixed[i].value;
	} else if (is_word(w, 0, "SELECT") && is_number(c->name)) {
		/* health checks ask for it */
		c->value = c->name;
		c->name = "?column? int4";
	} else {
		return bad(FAULT_CONSOLE_OBJECT, err, errlen,
		    "there is nothing to show by the name of", c->name);
	}
	return FAULT_NONE;
}

static enum fault
parse_setting(struct console_command *c, const struct words *w, char *err, size_t errlen)
{
	if (w->n != 4 || w->quoted[2] || (!is_word(w, 2, "=") && !is_word(w, 2, "TO")))
		return bad(FAULT_CONSOLE_SYNTAX, err, errlen,
		    "SET is written SET key = value, or SET key = 'value'", NULL);
	c->name = w->text[1];
	c->value = w->text[3];
	if (find_fixed(c->name) >= 0) {
		c->verb = CONSOLE_SET_VALUE;
		c->admin_only = false;
	}
	return FAULT_NONE;
}

static enum fault
parse_manner(struct console_command *c, const struct words *w, char *err, size_t errlen)
{
	if (w->n == 1)
		c->how = CONSOLE_NOW;
	else if (w->n == 2 && is_word(w, 1, "WAIT_FOR_SERVERS"))
		c->how = CONSOLE_WAIT_SERVERS;
	else if (w->n == 2 && is_word(w, 1, "WAIT_FOR_CLIENTS"))
		c->how = CONSOLE_WAIT_CLIENTS;
	else
		return bad(FAULT_CONSOLE_SYNTAX, err, errlen,
		    "SHUTDOWN takes WAIT_FOR_SERVERS or WAIT_FOR_CLIENTS, not", w->text[1]);
	return FAULT_NONE;
}

static enum fault
parse_secret(struct console_command *c, const struct words *w, char *err, size_t errlen)
{
	if (w->n != 3 || !is_word(w, 1, "SECRET"))
		return bad(FAULT_CONSOLE_SYNTAX, err, errlen,
		    "REFRESH is written REFRESH SECRET name", NULL);
	c->name = w->text[2];
	return FAULT_NONE;
}

static enum fault
parse_number(struct console_command *c, const struct words *w, char *err, size_t errlen)
{
	char *end;

	if (w->n == 2 && w->text[1][0] >= '0' && w->text[1][0] <= '9') {
		errno = 0;
		c->number = strtoull(w->text[1], &end, 10);
		if (*end == '\0' && errno == 0)
			return FAULT_NONE;
	}
	return bad(FAULT_CONSOLE_SYNTAX, err, errlen,
	    "KILL_CLIENT takes the id that SHOW CLIENTS shows", NULL);
}

static enum fault
parse_arguments(struct console_command *c, enum arguments takes, const struct words *w,
    const struct view *views, char *err, size_t errlen)
{
	unsigned least = takes == TAKES_NAME ? 2 : 1, most = takes == TAKES_NOTHING ? 1 : 2;

	switch (takes) {
	case TAKES_VIEW:
		return parse_show(c, w, views, err, errlen);
	case TAKES_SETTING:
		return parse_setting(c, w, err, errlen);
	case TAKES_MANNER:
		return parse_manner(c, w, err, errlen);
	case TAKES_NUMBER:
		return parse_number(c, w, err, errlen);
	case TAKES_SECRET:
		return parse_secret(c, w, err, errlen);
	case IS_NOT_SERVED:
		return bad(FAULT_CONSOLE_SYNTAX, err, errlen, "this version does not serve",
		    w->text[0]);
	default:
		break;
	}
	if (w->n < least || w->n > most)
		return bad(FAULT_CONSOLE_SYNTAX, err, errlen,
		    takes == TAKES_NAME	     ? "the name of a database is missing behind"
		    : takes == TAKES_NOTHING ? "nothing is expected behind"
					     : "one database at most is expected behind",
		    c->tag);
	c->name = w->n == 2 ? w->text[1] : NULL;
	return FAULT_NONE;
}

enum fault
console_parse(struct console_command *c, const char *line, char *room, const struct view *views,
    char *err, size_t errlen)
{
	struct words w = { .room = room };
	const char *wrong = split(&w, line);

	memset(c, 0, sizeof(*c));
	if (wrong != NULL)
		return bad(FAULT_CONSOLE_SYNTAX, err, errlen, wrong, NULL);
	if (w.n == 0)
		return FAULT_NONE;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!is_word(&w, 0, commands[i].word))
			continue;
		c->verb = commands[i].verb;
		c->admin_only = commands[i].admin_only;
		c->tag = c->verb == CONSOLE_SHOW ? "SHOW" : commands[i].word;
		return parse_arguments(c, commands[i].takes, &w, views, err, errlen);
	}
	return bad(FAULT_CONSOLE_SYNTAX, err, errlen, "unknown console command", w.text[0]);
}

void
console_help(struct buf *b, const struct view *views)
{
	buf_printf(b, "\n\tSHOW HELP");
	for (const struct view *v = views; v->name != NULL; v++)
		buf_printf(b, "|%s", v->name);
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (commands[i].usage != NULL)
			buf_printf(b, "\n\t%s", commands[i].usage);
	buf_put_u8(b, '\n');
}
