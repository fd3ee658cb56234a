#include "proxy/config/config_load.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/config/config_arena.h"
#include "proxy/config/config_check.h"
#include "proxy/config/config_entry.h"
#include "proxy/config/config_file.h"
#include "proxy/config/config_option.h"

struct list { /* records of one kind in the order of the file */
	const struct config_entry_kind *kind;
	unsigned char *records;
	size_t n, room;
};

struct load {
	struct config *cfg;
	struct config_report report;
	struct config_place where[CONFIG_OPTIONS];
	bool bad[CONFIG_OPTIONS]; /* the value did not fit */
	unsigned bad_values;	  /* all such faults */
	struct list databases, users, peers, secrets;
	const char *file; /* of the entry read last, in the arena */
};

/* Sections of later versions: known, so that nobody takes them for a typing error. */
static const struct {
	const char *section, *why;
} later[] = {
	{ "http", "the HTTP data API is not served yet; remove the section" },
	{ "api_keys", "the HTTP data API is not served yet; remove the section" },
	{ "metrics", "metrics are not exported yet; use SHOW STATS on the console" },
};

static bool
is_options(const char *section)
{
	return strcmp(section, "pgsluice") == 0 || strcmp(section, "pgbouncer") == 0;
}

static struct list *
list_of(struct load *load, const char *section)
{
	if (strcmp(section, load->databases.kind->section) == 0)
		return &load->databases;
	if (strcmp(section, load->users.kind->section) == 0)
		return &load->users;
	if (strcmp(section, load->peers.kind->section) == 0)
		return &load->peers;
	if (strcmp(section, load->secrets.kind->section) == 0)
		return &load->secrets;
	return NULL;
}

static void
on_section(void *arg, struct config_place at, const char *section)
{
	struct load *load = arg;
	char quoted[CONFIG_QUOTED];
	size_t i;

	if (is_options(section) || list_of(load, section) != NULL)
		return;
	for (i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (strcmp(section, later[i].section) == 0) {
			config_report_error(&load->report, at, "[%s] is not served: %s", section,
			    later[i].why);
			return;
		}
	}
	config_report_error(&load->report, at,
	    "found unknown section %s, expected pgsluice (or pgbouncer), databases, users, peers or secrets",
	    config_report_quote(quoted, section));
}

/* The place with a file name that lives as long as the snapshot; most entries share the file of the
 * last. */
static struct config_place
lasting(struct load *load, struct config_place at)
{
	if (load->file == NULL || strcmp(load->file, at.file) != 0)
		load->file = config_arena_text(config_memory(load->cfg), at.file);
	if (load->file == NULL)
		config_report_no_memory(&load->report);
	return (struct config_place){ load->file, at.line };
}

static void
on_option(struct load *load, struct config_place at, const char *key, const char *value)
{
	const struct config_option *option = config_option_find(key);
	char err[CONFIG_FIELD_ERR], quoted[CONFIG_QUOTED];
	const char *nearest;
	size_t i;

	if (option == NULL) {
		nearest = config_option_nearest(key);
		config_report_error(&load->report, at, "found unknown key %s%s%s%s",
		    config_report_quote(quoted, key),
		    nearest != NULL ? ", expected perhaps \"" : "", nearest != NULL ? nearest : "",
		    nearest != NULL ? "\"" : "");
		return;
	}
	i = (size_t)(option - config_options);
	load->where[i] = at;
	load->bad[i] = false;
	if (config_field_set(&option->field, load->cfg, value, config_memory(load->cfg), err) == 0)
		return;
	if (err[0] == '\0') {
		config_report_no_memory(&load->report);
		return;
	}
	config_report_error(&load->report, at, "%s: %s", key, err);
	load->bad[i] = true;
	load->bad_values++;
}

static void *
add_record(struct list *list)
{
	size_t room = list->room == 0 ? 16 : list->room * 2;
	void *records;

	if (list->n == list->room) {
		if ((records = reallocarray(list->records, room, list->kind->size)) == NULL)
			return NULL;
		list->records = records;
		list->room = room;
	}
	return list->records + list->n++ * list->kind->size;
}

static void
on_entry(void *arg, struct config_place at, const char *section, const char *key, const char *value)
{
	struct load *load = arg;
	struct list *list = list_of(load, section);
	char quoted[CONFIG_QUOTED];
	void *record;

	at = lasting(load, at);
	if (at.file == NULL)
		return;
	if (is_options(section)) {
		on_option(load, at, key, value);
	} else if (list != NULL) {
		if ((record = add_record(list)) == NULL)
			config_report_no_memory(&load->report);
		else
			config_entry_read(list->kind, record, key, value, at,
			    config_memory(load->cfg), &load->report);
	} else if (section[0] == '\0') {
		config_report_error(&load->report, at,
		    "found %s before any section, expected [pgsluice]",
		    config_report_quote(quoted, key));
	} /* else the section itself was refused */
}

/* Equal names stay in the order of the file, which is that of the addresses. */
static int
compare_records(const void *a, const void *b, void *kind)
{
	const unsigned char *left = *(const unsigned char *const *)a;
	const unsigned char *right = *(const unsigned char *const *)b;
	int rc = config_entry_compare(kind, left, right);

	return rc != 0 ? rc : (left > right) - (left < right);
}

static struct config_place
place_of(const struct config_entry_kind *kind, const unsigned char *record)
{
	return (struct config_place){ *(const char *const *)(const void *)(record + kind->file),
		*(const int *)(const void *)(record + kind->line) };
}

static void
warn_replaced(struct load *load, const struct config_entry_kind *kind, const unsigned char *old,
    const unsigned char *record)
{
	struct config_place at = place_of(kind, record), was = place_of(kind, old);
	char quoted[CONFIG_QUOTED], number[CONFIG_FIELD_TEXT];

	config_report_warning(&load->report, at, "%s %s replaces that of %s line %d", kind->noun,
	    config_report_quote(quoted, config_entry_name(kind, record, number)), was.file,
	    was.line);
}

/* The records sorted by name, in the arena. Of several with one name the last counts, as in
 * PgBouncer. */
static const void *
settle(struct load *load, const struct list *list, size_t *n)
{
	const struct config_entry_kind *kind = list->kind;
	unsigned char **order, *sorted;
	size_t i;

	*n = 0;
	if (list->n == 0)
		return NULL;
	order = calloc(list->n, sizeof(*order));
	sorted = config_arena_alloc(config_memory(load->cfg), list->n * kind->size);
	if (order == NULL || sorted == NULL) {
		config_report_no_memory(&load->report);
		free(order);
		return NULL;
	}
	for (i = 0; i < list->n; i++)
		order[i] = list->records + i * kind->size;
	qsort_r(order, list->n, sizeof(*order), compare_records, (void *)(uintptr_t)kind);
	for (i = 0; i < list->n; i++) {
		if (i + 1 < list->n && config_entry_compare(kind, order[i], order[i + 1]) == 0)
			warn_replaced(load, kind, order[i], order[i + 1]);
		else
			memcpy(sorted + (*n)++ * kind->size, order[i], kind->size);
	}
	free(order);
	return sorted;
}

/* A database serves the one of its name on the server, unless it says otherwise. */
static void
name_databases(struct list *databases)
{
	size_t i;

	for (i = 0; i < databases->n; i++) {
		struct config_database *db = (struct config_database *)(void *)databases->records +
					     i;

		if (db->dbname == NULL && strcmp(db->name, "*") != 0)
			db->dbname = db->name;
	}
}

/* Entries into the snapshot, then the rules between values. */
static void
complete(struct load *load, const char *path)
{
	struct config_origin origin = { load->where, load->bad,
		load->report.errors > load->bad_values };
	struct config *cfg = load->cfg;

	if (load->report.no_memory)
		return;
	name_databases(&load->databases);
	cfg->databases = settle(load, &load->databases, &cfg->n_databases);
	cfg->users = settle(load, &load->users, &cfg->n_users);
	cfg->peers = settle(load, &load->peers, &cfg->n_peers);
	cfg->secrets = settle(load, &load->secrets, &cfg->n_secrets);
	if ((cfg->conffile = config_arena_text(config_memory(cfg), path)) == NULL)
		config_report_no_memory(&load->report);
	if (!load->report.no_memory)
		config_check(cfg, &origin, &load->report);
}

struct config *
config_load(const char *path, config_say *say, void *arg)
{
	struct load load = {
		.report = { .say = say, .arg = arg },
		.databases = { .kind = &config_entry_databases },
		.users = { .kind = &config_entry_users },
		.peers = { .kind = &config_entry_peers },
		.secrets = { .kind = &config_entry_secrets },
	};
	const struct config_file_sink sink = { &load, on_section, on_entry };

	if ((load.cfg = config_blank()) == NULL) {
		config_report_no_memory(&load.report);
		return NULL;
	}
	if (config_file_read(path, &sink, &load.report) == 0)
		complete(&load, path);
	free(load.databases.records);
	free(load.users.records);
	free(load.peers.records);
	free(load.secrets.records);
	if (load.report.errors == 0)
		return load.cfg;
	config_unref(load.cfg);
	return NULL;
}
