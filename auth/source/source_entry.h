/* source_entry.h -- what all providers do with their line of [secrets]: refuse keys they do not take,
 * and turn the text that the service gave into a value by the entry's format and member names.
 * Copies what it needs: the configuration may go before the source. Must not know any provider. */
#ifndef AUTH_SOURCE_SOURCE_ENTRY_H
#define AUTH_SOURCE_SOURCE_ENTRY_H

#include "auth/secret_value.h"

struct config_secret;

/* 0 when every provider-specific key that is set is among `taken` (ends in NULL), else -1 and one
 * line that names the first one that is not and lists those that are. Keys of the cache and of the
 * value's form are always taken. */
int source_entry_check(const struct config_secret *, const char *const *taken, char *err,
    size_t errlen);

struct source_form {
	struct secret_names names; /* owned; NULL = the default */
	enum { SOURCE_FORM_AUTO, SOURCE_FORM_JSON, SOURCE_FORM_PLAIN } format;
};

/* 0, or -1 with one line in err: unknown format, or no memory. */
int source_form_init(struct source_form *, const struct config_secret *, char *err, size_t errlen);
void source_form_release(struct source_form *); /* of all zeros is harmless */
/* As secret_value_parse(). */
int source_form_read(const struct source_form *, struct secret_value *, const char *text,
    size_t len, char *err, size_t errlen);

#endif
