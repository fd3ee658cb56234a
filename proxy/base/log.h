/* log.h -- one line per event, to stderr, a file or syslog.
 * Line format (PgBouncer's): `YYYY-MM-DD HH:MM:SS.mmm TZ [pid] LEVEL message`; callers put the
 * `C-id: db/user@addr:port` prefix into the message. Thread-safe; a line is one write(2).
 * Secrets never come here: there is no printer for them. Control bytes of peers are escaped. */
#ifndef PROXY_BASE_LOG_H
#define PROXY_BASE_LOG_H

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_FATAL,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_LOG,
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_NOISE
};

struct log_settings {
	const char *file; /* NULL = none */
	bool to_stderr;
	bool to_syslog;
	const char *ident, *facility; /* of syslog */
	int verbose;		      /* 0 = up to LOG, 1 = DEBUG, 2 and more = NOISE */
};

/* Opens or reopens the targets; -1 with errno when the file cannot be opened, and the previous
 * targets stay in use. */
int log_setup(const struct log_settings *);

bool log_wanted(enum log_level);
void log_line(enum log_level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)	 log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)	 log_line(LOG_LEVEL_LOG, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_wanted(LOG_LEVEL_DEBUG))                                                   \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                                    \
	} while (0)

#endif
