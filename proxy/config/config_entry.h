/* config_entry.h -- the lines of [databases], [users], [peers] and [secrets]: their keys, and a line into its
 * record. Texts are copied into the arena of the snapshot. Must not know files or global
 * options. */
#ifndef PROXY_CONFIG_CONFIG_ENTRY_H
#define PROXY_CONFIG_CONFIG_ENTRY_H

#include <stddef.h>

#include "proxy/config/config_field.h"
#include "proxy/config/config_report.h"

struct config_arena;

struct config_entry_kind {
	const char *section, *noun; /* "databases", "database" */
	const struct config_field *fields;
	size_t n_fields;
	size_t size;		    /* of a record */
	size_t name;		    /* offset of the name in it; not used by peers */
	size_t line, file;	    /* offsets of where it was defined */
	void (*init)(void *record); /* everything unset */
};

extern const struct config_entry_kind config_entry_databases, config_entry_users,
    config_entry_peers, config_entry_secrets;

/* Fill record from "name = text". All faults of the line are reported; the record is of use all the
 * same. at.file must live as long as the record. */
void config_entry_read(const struct config_entry_kind *kind, void *record, const char *name,
    const char *text, struct config_place at, struct config_arena *arena,
    struct config_report *report);

/* A deep copy; -1: out of memory. */
int config_entry_copy(const struct config_entry_kind *kind, void *to, const void *from,
    struct config_arena *arena);

/* Name of a database or user, number of a peer, for messages; buf is used for the number. */
const char *config_entry_name(const struct config_entry_kind *kind, const void *record,
    char buf[CONFIG_FIELD_TEXT]);
int config_entry_compare(const struct config_entry_kind *kind, const void *a, const void *b);

#endif
