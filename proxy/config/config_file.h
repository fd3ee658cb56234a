/* config_file.h -- PgBouncer's ini dialect: a file and its includes, as a row of sections and
 * entries.
 *
 * Comments stand alone on a line that starts with ; or #. An entry is one line, key = value, of any
 * length; the key is made of letters, digits and _ . - *, or is any text 'in quotes' ('' for a
 * quote). The value is the rest of the line without blanks at its ends. "%include FILE" is replaced
 * by that file, found from the working directory, up to ten deep. A file may start with a byte
 * order mark and end its lines with CR LF. Refused: NUL bytes, files over 16 MB, includes that are
 * no regular file or include themselves.
 *
 * Reading goes on after a fault. All texts are valid during the call only, and are wiped
 * afterwards. Must not know which sections and keys there are. */
#ifndef PROXY_CONFIG_CONFIG_FILE_H
#define PROXY_CONFIG_CONFIG_FILE_H

#include "proxy/config/config_report.h"

#define CONFIG_FILE_DEPTH 10	   /* files that may be included one in the other */
#define CONFIG_FILE_MAX	  16777216 /* bytes */

struct config_file_sink {
	void *arg;
	void (*section)(void *arg, struct config_place at, const char *section);
	void (*entry)(void *arg, struct config_place at, const char *section, const char *key,
	    const char *value); /* section "" = before the first one */
};

/* -1 when path itself could not be read, which is reported like every other fault; else 0. */
int config_file_read(const char *path, const struct config_file_sink *sink,
    struct config_report *report);

#endif
