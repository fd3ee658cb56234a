/* source_env.c -- provider=env: secret_id= names an environment variable, JSON or the password alone.
 * The variable is taken out of the environment when the first entry that names it is opened: its
 * bytes are overwritten where they are, so neither /proc/PID/environ nor a child has them. The value
 * stays in secure memory until the end of the process, because a reload opens the entry again.
 * Open these before other threads run: they may be reading the environment. */
#include "auth/source/local_source.h"
#include "proxy/base/list.h"
#include "proxy/base/secure.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

/* A variable that was taken. */
struct taken {
	struct list_node node;
	char *value;
	size_t len;
	char name[];
};

static struct list_node all_taken = { &all_taken, &all_taken };

struct source {
	struct local_source local; /* first member */
	const struct taken *taken;
};

/* ---- variables ---- */

static const struct taken *
find_taken(const char *name)
{
	list_each(node, tmp, &all_taken)
	{
		struct taken *t = list_entry(node, struct taken, node);

		if (strcmp(t->name, name) == 0)
			return t;
	}
	return NULL;
}

/* An environment may hold a name twice: every one of them. */
static void
wipe_variable(const char *name)
{
	size_t len = strlen(name);
	char **at;

	for (at = environ; *at != NULL; at++)
		if (strncmp(*at, name, len) == 0 && (*at)[len] == '=')
			explicit_bzero(*at + len + 1, strlen(*at + len + 1));
	unsetenv(name);
}

static const struct taken *
keep(const char *name, const char *value, char *err, size_t errlen)
{
	size_t name_size = strlen(name) + 1;
	struct taken *t = malloc(sizeof(*t) + name_size);

	if (t == NULL)
		goto no_memory;
	t->len = strlen(value);
	t->value = secure_dup(value, t->len);
	if (t->value == NULL)
		goto no_value;
	memcpy(t->name, name, name_size);
	list_push_back(&all_taken, &t->node);
	return t;
no_value:
	free(t);
no_memory:
	snprintf(err, errlen, "out of memory");
	return NULL;
}

static const struct taken *
take(const char *name, char *err, size_t errlen)
{
	const struct taken *t = find_taken(name);
	const char *value;

	if (t != NULL)
		return t;
	value = getenv(name);
	if (value == NULL)
		snprintf(err, errlen, "secret_id=%s: there is no such environment variable", name);
	else if (value[0] == '\0')
		snprintf(err, errlen, "secret_id=%s: the environment variable is empty", name);
	else if (strlen(value) > SECRET_TEXT_MAX)
		snprintf(err, errlen, "secret_id=%s: the value is longer than %d bytes", name,
		    SECRET_TEXT_MAX);
	else
		t = keep(name, value, err, errlen);
	if (t != NULL)
		wipe_variable(name);
	return t;
}

/* ---- the source ---- */

static void
work(struct local_source *local)
{
	const struct taken *t = ((struct source *)local)->taken;
	char what[128];

	snprintf(what, sizeof(what), "environment variable %s", t->name);
	local_source_answer(local, what, t->value, t->len, NULL);
}

static struct secret_source *
source_new(const struct config_secret *cfg, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	static const char *const taken[] = { "secret_id", NULL };
	const char *name = cfg->secret_id;
	struct source *s;

	if (name == NULL || name[0] == '\0' || strchr(name, '=') != NULL) {
		snprintf(err, errlen,
		    "provider=env needs secret_id=, the name of an environment variable");
		return NULL;
	}
	s = local_source_new(sizeof(*s), &source_env, taken, cfg, env, work, err, errlen);
	if (s == NULL)
		return NULL;
	s->taken = take(name, err, errlen);
	if (s->taken == NULL) {
		local_source_destroy(&s->local);
		free(s);
		return NULL;
	}
	return &s->local.base;
}

static void
source_free(struct secret_source *base)
{
	struct source *s = (struct source *)base;

	local_source_destroy(&s->local);
	free(s);
}

const struct secret_source_ops source_env = {
	.name = "env",
	.open = source_new,
	.fetch = local_source_fetch,
	.close = source_free,
};
