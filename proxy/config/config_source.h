/* config_source.h -- one configuration file in memory, read line by line.
 * Owns its bytes and wipes them. Must not know what the lines mean. */
#ifndef PROXY_CONFIG_CONFIG_SOURCE_H
#define PROXY_CONFIG_CONFIG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "proxy/config/config_report.h"

struct config_source {
	char *name, *text;
	size_t len, at; /* at: the first byte not read */
	int line;	/* number of the line read last */
	dev_t dev;
	ino_t ino;
};

/* Read the whole file of that name; a fault is reported with its place `at`, and -1 returned. An
 * included file must be a regular one, so that no pipe or terminal can block a reload. */
int config_source_open(struct config_source *source, const char *name, bool included,
    struct config_place at, struct config_report *report);
void config_source_close(struct config_source *source);

/* The next line without its end, not terminated; false at the end of the file. */
bool config_source_line(struct config_source *source, const char **line, size_t *len);

#endif
