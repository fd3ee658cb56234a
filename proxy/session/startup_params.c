#include "proxy/session/startup_params.h"

#include "proxy/wire/pgmsg.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 63 /* of PostgreSQL's identifiers */
#define PAIRS_MAX      128

struct parsing {
	struct startup_params *p;
	const char *ignored;
};

/* Is `name` in the comma list? */
static bool
listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	while (list != NULL && *list != '\0') {
		size_t len;

		list += strspn(list, " ,\t");
		len = strcspn(list, " ,\t");
		if (len == n && strncasecmp(list, name, n) == 0)
			return true;
		list += len;
	}
	return false;
}

static bool
take(void *arg, const char *name, const char *value)
{
	struct parsing *g = arg;
	struct startup_params *p = g->p;

	if (strncmp(name, "_pq_.", 5) == 0) {
		if (p->n_unknown < STARTUP_UNKNOWN_MAX)
			p->unknown[p->n_unknown++] = name;
		return true;
	}
	if (listed(g->ignored, name))
		return true;
	if (p->n_pairs + 2 > PAIRS_MAX * 2)
		return false;
	p->pairs[p->n_pairs++] = name;
	p->pairs[p->n_pairs++] = value;
	return true;
}

static const char *
replication_kind(const char *value)
{
	static const char *const off[] = { "false", "off", "no", "0", "f", "n" };

	if (value == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		if (strcasecmp(value, off[i]) == 0)
			return NULL;
	return strcasecmp(value, "database") == 0 ? "database" : "true";
}

static enum fault
refuse(struct startup_params *p, enum fault f, const char *why)
{
	p->why = why;
	return f;
}

enum fault
startup_params_parse(struct startup_params *p, const uint8_t *payload, size_t n,
    const char *ignored)
{
	struct parsing g = { p, ignored };
	struct pgmsg_startup s;

	memset(p, 0, sizeof(*p));
	p->fault = FAULT_NONE;
	p->pairs = malloc(PAIRS_MAX * 2 * sizeof(*p->pairs));
	/* the packet, and behind it room for the words of `options` */
	p->copy = malloc(2 * n + 1);
	if (p->copy == NULL || p->pairs == NULL)
		return refuse(p, FAULT_MEMORY, NULL);
	memcpy(p->copy, payload, n);
	if (!pgmsg_startup((const uint8_t *)p->copy, n, &s, take, &g))
		return refuse(p, FAULT_PROTOCOL, "invalid startup packet layout");
	if (s.user == NULL || s.user[0] == '\0')
		return refuse(p, FAULT_NO_USER, NULL);
	p->user = s.user;
	p->database = s.database != NULL && s.database[0] != '\0' ? s.database : s.user;
	p->replication = replication_kind(s.replication);
	if (s.options != NULL && !listed(ignored, "options") &&
	    !pgmsg_options(s.options, p->copy + n, n + 1, take, &g))
		return refuse(p, FAULT_STARTUP_PARAM,
		    "unsupported startup parameter in options: only -c name=value and --name=value are");
	if (strlen(p->database) > NAME_MAX_BYTES) {
		p->fault = FAULT_NO_DATABASE;
		p->why = "database does not exist: its name is longer than 63 bytes";
	}
	return FAULT_NONE;
}

void
startup_params_each(const struct startup_params *p,
    void (*each)(void *arg, const char *name, const char *value), void *arg)
{
	for (size_t i = 0; i < p->n_pairs; i += 2)
		each(arg, p->pairs[i], p->pairs[i + 1]);
}

void
startup_params_release(struct startup_params *p)
{
	free(p->copy);
	free(p->pairs);
	memset(p, 0, sizeof(*p));
}
