#include "proxy/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const struct {
	const char *word;
	int priority;
} levels[] = {
	[LOG_LEVEL_FATAL] = { "FATAL", LOG_CRIT },
	[LOG_LEVEL_ERROR] = { "ERROR", LOG_ERR },
	[LOG_LEVEL_WARNING] = { "WARNING", LOG_WARNING },
	[LOG_LEVEL_LOG] = { "LOG", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "DEBUG", LOG_DEBUG },
	[LOG_LEVEL_NOISE] = { "NOISE", LOG_DEBUG },
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int threshold = LOG_LEVEL_LOG;
static int file_fd = -1;
static bool to_stderr = true;
static bool to_syslog;
static char ident[64];

static int
facility_of(const char *name)
{
	static const struct {
		const char *name;
		int value;
	} table[] = {
		{ "auth", LOG_AUTH },
		{ "authpriv", LOG_AUTHPRIV },
		{ "daemon", LOG_DAEMON },
		{ "user", LOG_USER },
		{ "local0", LOG_LOCAL0 },
		{ "local1", LOG_LOCAL1 },
		{ "local2", LOG_LOCAL2 },
		{ "local3", LOG_LOCAL3 },
		{ "local4", LOG_LOCAL4 },
		{ "local5", LOG_LOCAL5 },
		{ "local6", LOG_LOCAL6 },
		{ "local7", LOG_LOCAL7 },
	};

	for (size_t i = 0; name != NULL && i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(name, table[i].name) == 0)
			return table[i].value;
	return LOG_DAEMON;
}

int
log_setup(const struct log_settings *s)
{
	int fd = -1;

	if (s->file != NULL && s->file[0] != '\0') {
		fd = open(s->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
		if (fd == -1)
			return -1;
	}
	pthread_mutex_lock(&lock);
	if (file_fd != -1)
		close(file_fd);
	file_fd = fd;
	to_stderr = s->to_stderr;
	if (to_syslog)
		closelog();
	to_syslog = s->to_syslog;
	if (to_syslog) {
		snprintf(ident, sizeof(ident), "%s", s->ident != NULL ? s->ident : "pgsluice");
		openlog(ident, LOG_PID, facility_of(s->facility));
	}
	pthread_mutex_unlock(&lock);
	atomic_store_explicit(&threshold,
	    s->verbose <= 0   ? LOG_LEVEL_LOG
	    : s->verbose == 1 ? LOG_LEVEL_DEBUG
			      : LOG_LEVEL_NOISE,
	    memory_order_relaxed);
	return 0;
}

bool
log_wanted(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* A peer chooses names and messages that end up here: no line of its own making, no terminal codes. */
static size_t
escape(char *out, size_t room, const char *text)
{
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p != '\0' && n + 5 < room;
	     p++) {
		if (*p >= 0x20 && *p != 0x7f)
			out[n++] = (char)*p;
		else
			n += (size_t)snprintf(out + n, room - n, "\\x%02x", *p);
	}
	return n;
}

static size_t
timestamp(char *out, size_t room)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	n = strftime(out, room, "%Y-%m-%d %H:%M:%S", &tm);
	n += (size_t)snprintf(out + n, room - n, ".%03ld ", now.tv_nsec / 1000000);
	n += strftime(out + n, room - n, "%Z", &tm);
	return n;
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char message[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 512];
	va_list ap;
	size_t n, start;

	if (!log_wanted(level))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	n = timestamp(line, 80);
	n += (size_t)snprintf(line + n, sizeof(line) - n, " [%d] %s ", (int)getpid(),
	    levels[level].word);
	start = n;
	n += escape(line + n, sizeof(line) - n - 1, message);
	line[n] = '\0';
	pthread_mutex_lock(&lock);
	if (to_syslog)
		syslog(levels[level].priority, "%s", line + start);
	line[n++] = '\n';
	/* a log that cannot be written must not stop the service */
	if (to_stderr && write(STDERR_FILENO, line, n) == -1)
		errno = 0;
	if (file_fd != -1 && write(file_fd, line, n) == -1)
		errno = 0;
	pthread_mutex_unlock(&lock);
}
