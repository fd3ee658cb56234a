/* config_field.h -- one value of one type inside a record: read from text, stored, shown, compared,
 * copied. The same code serves the global options and the entries of databases, users and peers.
 * Times are stored as milliseconds and written as seconds; min and max are in the unit in which a
 * value is written. Must not know files, sections or keys other than its own. */
#ifndef PROXY_CONFIG_CONFIG_FIELD_H
#define PROXY_CONFIG_CONFIG_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/config/config.h"

struct config_arena;

struct config_field {
	const char *key;
	enum option_type type;
	int64_t min, max;
	size_t offset; /* in its record */
	bool secret;   /* its value is never shown */
};

/* The words of an ENUM, NULL after the last; the index of a word is the value. NULL for other
 * keys. */
const char *const *config_words(const char *key);

/* Store what text says in record; the text of an STR is copied into arena. -1 with a sentence in
 * err ("found ..., expected ...") when it does not fit, or with an empty err when out of memory. */
#define CONFIG_FIELD_ERR 640
int config_field_set(const struct config_field *field, void *record, const char *text,
    struct config_arena *arena, char err[CONFIG_FIELD_ERR]);

/* The value as it is written in the file, "" for an unset STR. Numbers are written into buf. A -1
 * that means "inherit" shows as -1. Shows secrets too. */
#define CONFIG_FIELD_TEXT 32
const char *config_field_text(const struct config_field *field, const void *record,
    char buf[CONFIG_FIELD_TEXT]);

/* What may be written: "a whole number from 0 to 9". */
void config_field_expected(const struct config_field *field, char *buf, size_t size);

bool config_field_equal(const struct config_field *field, const void *a, const void *b);
int config_field_copy(const struct config_field *field, void *to, const void *from,
    struct config_arena *arena); /* -1: out of memory */

#endif
