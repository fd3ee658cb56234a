#include "proxy/config/config_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TEXT_BYTES   1024 /* a few quoted values and a sentence */
#define QUOTED_BYTES 60
#define WORD_BYTES   48 /* longer words are never near to a key */

static void
report_text(struct config_report *report, bool is_error, struct config_place at, const char *fmt,
    va_list ap)
{
	char text[TEXT_BYTES];

	if (is_error)
		report->errors++;
	if (report->say == NULL)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	report->say(report->arg, is_error, at.file != NULL ? at.file : "", at.line, text);
}

void
config_report_error(struct config_report *report, struct config_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_text(report, true, at, fmt, ap);
	va_end(ap);
}

void
config_report_warning(struct config_report *report, struct config_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report_text(report, false, at, fmt, ap);
	va_end(ap);
}

void
config_report_no_memory(struct config_report *report)
{
	if (!report->no_memory)
		config_report_error(report, (struct config_place){ 0 }, "out of memory");
	report->no_memory = true;
}

const char *
config_report_quote(char buf[CONFIG_QUOTED], const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0, i;

	buf[n++] = '"';
	for (i = 0; text[i] != '\0' && i < QUOTED_BYTES; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c == '"' || c == '\\' || c > 0x7e) {
			buf[n++] = '\\';
			buf[n++] = 'x';
			buf[n++] = hex[c >> 4];
			buf[n++] = hex[c & 15];
		} else {
			buf[n++] = (char)c;
		}
	}
	snprintf(buf + n, CONFIG_QUOTED - n, "%s\"", text[i] != '\0' ? "..." : "");
	return buf;
}

/* Levenshtein's distance, ignoring case; both words shorter than WORD_BYTES. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[WORD_BYTES + 1];
	size_t lb = strlen(b), i, j;

	for (j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (i = 1; a[i - 1] != '\0'; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (j = 1; j <= lb; j++) {
			unsigned best = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *
config_report_nearest(const char *text, const char *(*word)(const void *arg, size_t i),
    const void *arg, size_t n)
{
	size_t len = strlen(text), i;
	unsigned best = (unsigned)len / 3 + 2; /* a third of it may be wrong, and one more */
	const char *nearest = NULL;

	if (len == 0 || len >= WORD_BYTES)
		return NULL;
	for (i = 0; i < n; i++) {
		const char *w = word(arg, i);
		unsigned d;

		if (w == NULL || strlen(w) >= WORD_BYTES)
			continue;
		if ((d = distance(text, w)) < best) {
			best = d;
			nearest = w;
		}
	}
	return nearest;
}
