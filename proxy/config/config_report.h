/* config_report.h -- where the faults and warnings of one load go, and how their texts are worded.
 * Keeps count, so that a load goes on after a fault and finds them all. Must not know what is
 * read. */
#ifndef PROXY_CONFIG_CONFIG_REPORT_H
#define PROXY_CONFIG_CONFIG_REPORT_H

#include <stdbool.h>
#include <stddef.h>

struct config_place { /* line 0: no particular line */
	const char *file;
	int line;
};

struct config_report {
	void (*say)(void *arg, bool is_error, const char *file, int line,
	    const char *text); /* or NULL */
	void *arg;
	unsigned errors;
	bool no_memory; /* told once, however often it strikes */
};

void config_report_error(struct config_report *report, struct config_place at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void config_report_warning(struct config_report *report, struct config_place at, const char *fmt,
    ...) __attribute__((format(printf, 3, 4)));
void config_report_no_memory(struct config_report *report);

/* text between double quotes, fit for a log line or an error message in any encoding: bytes other
 * than printable ASCII are escaped, and "..." stands for what comes after 60 bytes. Returns buf. */
#define CONFIG_QUOTED 288
const char *config_report_quote(char buf[CONFIG_QUOTED], const char *text);

/* Of n words the one that text was probably meant to be, NULL when none is near. word(i) may return
 * NULL. */
const char *config_report_nearest(const char *text, const char *(*word)(const void *arg, size_t i),
    const void *arg, size_t n);

#endif
