#include "proxy/config/config.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config/config_arena.h"
#include "proxy/config/config_check.h"
#include "proxy/config/config_entry.h"
#include "proxy/config/config_load.h"
#include "proxy/config/config_option.h"

struct config_own {
	atomic_uint references;
	struct config_arena *arena;
};

struct config *
config_blank(void)
{
	char err[CONFIG_FIELD_ERR];
	struct config *cfg;
	size_t i;

	if ((cfg = calloc(1, sizeof(*cfg))) == NULL)
		return NULL;
	if ((cfg->own = calloc(1, sizeof(*cfg->own))) == NULL)
		goto fail_config;
	if ((cfg->own->arena = config_arena_new()) == NULL)
		goto fail_own;
	atomic_init(&cfg->own->references, 1);
	for (i = 0; i < CONFIG_OPTIONS; i++)
		if (config_field_set(&config_options[i].field, cfg, config_options[i].def,
			cfg->own->arena, err) == -1)
			goto fail_arena;
	return cfg;
fail_arena:
	config_arena_free(cfg->own->arena);
fail_own:
	free(cfg->own);
fail_config:
	free(cfg);
	return NULL;
}

struct config_arena *
config_memory(const struct config *cfg)
{
	return cfg->own->arena;
}

struct config *
config_ref(struct config *cfg)
{
	atomic_fetch_add_explicit(&cfg->own->references, 1, memory_order_relaxed);
	return cfg;
}

void
config_unref(struct config *cfg)
{
	if (cfg == NULL)
		return;
	if (atomic_fetch_sub_explicit(&cfg->own->references, 1, memory_order_acq_rel) > 1)
		return;
	config_arena_free(cfg->own->arena);
	free(cfg->own);
	free(cfg);
}

static int
compare_database(const void *name, const void *db)
{
	return strcmp(name, ((const struct config_database *)db)->name);
}

const struct config_database *
config_find_database(const struct config *cfg, const char *name)
{
	const struct config_database *db = NULL;

	if (cfg->n_databases == 0)
		return NULL;
	if (strcmp(name, "*") !=
	    0) /* a client cannot ask for the fallback itself by a trick of its name */
		db = bsearch(name, cfg->databases, cfg->n_databases, sizeof(*db), compare_database);
	if (db == NULL)
		db = bsearch("*", cfg->databases, cfg->n_databases, sizeof(*db), compare_database);
	return db;
}

static int
compare_user(const void *name, const void *user)
{
	return strcmp(name, ((const struct config_user *)user)->name);
}

const struct config_user *
config_find_user(const struct config *cfg, const char *name)
{
	if (cfg->n_users == 0)
		return NULL;
	return bsearch(name, cfg->users, cfg->n_users, sizeof(*cfg->users), compare_user);
}

static int
compare_secret(const void *name, const void *secret)
{
	return strcmp(name, ((const struct config_secret *)secret)->name);
}

const struct config_secret *
config_find_secret(const struct config *cfg, const char *name)
{
	if (cfg->n_secrets == 0)
		return NULL;
	return bsearch(name, cfg->secrets, cfg->n_secrets, sizeof(*cfg->secrets), compare_secret);
}

bool
config_secret_equal(const struct config_secret *a, const struct config_secret *b)
{
	for (size_t i = 0; i < config_entry_secrets.n_fields; i++)
		if (!config_field_equal(&config_entry_secrets.fields[i], a, b))
			return false;
	return true;
}

const char *
config_host(const struct config *cfg, const struct config_database *db)
{
	if (db->host != NULL)
		return db->host;
	return cfg->unix_socket_dir != NULL ? cfg->unix_socket_dir : "/tmp";
}

/* A deep copy of n records into the memory of cfg; NULL: out of memory, or none. */
static void *
copy_entries(const struct config *cfg, const struct config_entry_kind *kind, const void *from,
    size_t n)
{
	struct config_arena *arena = cfg->own->arena;
	unsigned char *to = config_arena_array(arena, from, n, kind->size);
	size_t i;

	for (i = 0; to != NULL && i < n; i++)
		if (config_entry_copy(kind, to + i * kind->size,
			(const unsigned char *)from + i * kind->size, arena) == -1)
			return NULL;
	return to;
}

static struct config *
clone(const struct config *from)
{
	struct config *cfg = config_blank();
	size_t i;

	if (cfg == NULL)
		return NULL;
	for (i = 0; i < CONFIG_OPTIONS; i++)
		if (config_field_copy(&config_options[i].field, cfg, from, cfg->own->arena) == -1)
			goto fail;
	cfg->databases = copy_entries(cfg, &config_entry_databases, from->databases,
	    from->n_databases);
	cfg->users = copy_entries(cfg, &config_entry_users, from->users, from->n_users);
	cfg->peers = copy_entries(cfg, &config_entry_peers, from->peers, from->n_peers);
	cfg->secrets = copy_entries(cfg, &config_entry_secrets, from->secrets, from->n_secrets);
	if ((cfg->databases == NULL && from->n_databases > 0) ||
	    (cfg->users == NULL && from->n_users > 0) ||
	    (cfg->peers == NULL && from->n_peers > 0) ||
	    (cfg->secrets == NULL && from->n_secrets > 0))
		goto fail;
	cfg->n_databases = from->n_databases;
	cfg->n_users = from->n_users;
	cfg->n_peers = from->n_peers;
	cfg->n_secrets = from->n_secrets;
	return cfg;
fail:
	config_unref(cfg);
	return NULL;
}

/* Where the first fault of config_check() goes when SET asked. */
struct first_fault {
	char *text;
	size_t size;
	bool found;
};

static void
keep_first(void *arg, bool is_error, const char *file, int line, const char *text)
{
	struct first_fault *fault = arg;

	(void)file;
	(void)line;
	if (is_error && !fault->found)
		snprintf(fault->text, fault->size, "%s", text);
	fault->found = fault->found || is_error;
}

/* The option if SET may change it, else NULL and the reason. */
static const struct config_option *
settable(const char *key, char *err, size_t errlen)
{
	const struct config_option *option = config_option_find(key);
	const char *nearest;
	char quoted[CONFIG_QUOTED];

	if (option == NULL) {
		nearest = config_option_nearest(key);
		snprintf(err, errlen, "found unknown key %s%s%s%s",
		    config_report_quote(quoted, key),
		    nearest != NULL ? ", expected perhaps \"" : "", nearest != NULL ? nearest : "",
		    nearest != NULL ? "\"" : "");
	} else if (!option->reload) {
		snprintf(err, errlen, "%s cannot be changed without a restart", key);
	} else if (option->service != CONFIG_SERVED) {
		snprintf(err, errlen, "%s %s: %s", key,
		    option->service == CONFIG_WARN ? "has no effect" : "is not served",
		    option->why);
	} else {
		return option;
	}
	return NULL;
}

struct config *
config_set(const struct config *cfg, const char *key, const char *value, char *err, size_t errlen)
{
	const struct config_option *option = settable(key, err, errlen);
	struct first_fault fault = { err, errlen, false };
	struct config_report report = { .say = keep_first, .arg = &fault };
	char why[CONFIG_FIELD_ERR];
	struct config *fresh;

	if (option == NULL)
		return NULL;
	snprintf(err, errlen, "out of memory");
	if ((fresh = clone(cfg)) == NULL)
		return NULL;
	if (config_field_set(&option->field, fresh, value, fresh->own->arena, why) == -1) {
		if (why[0] != '\0')
			snprintf(err, errlen, "%s: %s", key, why);
		goto fail;
	}
	config_check(fresh, NULL, &report);
	if (report.errors > 0)
		goto fail;
	return fresh;
fail:
	config_unref(fresh);
	return NULL;
}

int
config_keep_fixed(struct config *fresh, const struct config *running)
{
	size_t i;

	for (i = 0; i < CONFIG_OPTIONS; i++)
		if (!config_options[i].reload && config_field_copy(&config_options[i].field, fresh,
						     running, fresh->own->arena) == -1)
			return -1;
	return 0;
}
