#include "proxy/config/config_file.h"

#include <ctype.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/config/config_source.h"

/* inih as Debian builds it has lines of 200 bytes that are cut silently, comments after " ;", ':'
 * as a separator and goes on with the previous entry at a line that starts with a blank. So what it
 * gets to read is not the file but lines made here: one entry per line of the file, cut into pieces
 * that inih joins again because all but the first start with a blank, and every byte that means
 * something to it written as %XX. */

#define KEY_BYTES     256 /* a whole encoded key must fit into one line of inih's */
#define SECTION_BYTES 48  /* inih's own limit is 50 */

struct reader {
	const struct config_file_sink *sink;
	struct config_report *report;
	struct config_source files[CONFIG_FILE_DEPTH + 1]; /* the innermost include last */
	int depth;
	const char *line; /* what is left to look at of the line of the innermost file */
	size_t left;
	/* The entry that is on its way through inih. */
	bool under_way;
	struct config_place at;
	const char *to_feed;
	size_t to_feed_len;
	char section[SECTION_BYTES + 1], key[KEY_BYTES];
	char *value;
	size_t value_len, value_size; /* collected; as long as it was in the file */
	bool has_key;
};

static struct config_place
here(const struct reader *r)
{
	const struct config_source *file = &r->files[r->depth - 1];

	return (struct config_place){ file->name, file->line };
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void
skip(struct reader *r, size_t n)
{
	r->line += n;
	r->left -= n;
}

static void
skip_blanks(struct reader *r)
{
	while (r->left > 0 && is_blank(*r->line))
		skip(r, 1);
}

static bool
means_nothing_to_inih(unsigned char c)
{
	return c > 0x20 && c < 0x7f && strchr("%;#:=[]", c) == NULL;
}

/* Encode as much of *text as fits into room; returns the bytes written. */
static size_t
encode(char *out, size_t room, const char **text, size_t *len)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;

	while (*len > 0) {
		unsigned char c = (unsigned char)**text;

		if (means_nothing_to_inih(c) && n < room) {
			out[n++] = (char)c;
		} else if (n + 3 <= room) {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		} else {
			break;
		}
		(*text)++;
		(*len)--;
	}
	return n;
}

static unsigned
hex_digit(char c)
{
	return (unsigned)(c >= 'A' ? c - 'A' + 10 : c - '0');
}

/* Undo encode(), up to room bytes; returns the bytes written. Reads only what encode() wrote. */
static size_t
decode(char *out, size_t room, const char *text)
{
	size_t n = 0;

	for (; *text != '\0' && n < room; text++) {
		if (*text == '%' && text[1] != '\0' && text[2] != '\0') {
			out[n++] = (char)(hex_digit(text[1]) << 4 | hex_digit(text[2]));
			text += 2;
		} else {
			out[n++] = *text;
		}
	}
	return n;
}

/* inih's handler: one piece of the entry under way comes out again. */
static int
collect(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;

	if (!r->under_way)
		return 0;
	if (!r->has_key) {
		r->key[decode(r->key, sizeof(r->key) - 1, name)] = '\0';
		r->section[decode(r->section, sizeof(r->section) - 1, section)] = '\0';
		r->has_key = true;
	}
	r->value_len += decode(r->value + r->value_len, r->value_size - r->value_len, value);
	return 1;
}

static void
drop_value(struct reader *r)
{
	if (r->value != NULL)
		explicit_bzero(r->value, r->value_size);
	free(r->value);
	r->value = NULL;
	r->under_way = false;
}

/* All pieces went in: hand the entry on, if all came out. */
static void
finish_entry(struct reader *r)
{
	if (!r->under_way)
		return;
	if (r->has_key && r->value_len == r->value_size) {
		r->value[r->value_len] = '\0';
		r->sink->entry(r->sink->arg, r->at, r->section, r->key, r->value);
	} else {
		config_report_error(r->report, r->at, "libinih kept %zu of %zu bytes of this value",
		    r->value_len, r->value_size);
	}
	drop_value(r);
}

/* Move on to the next bytes that are not blank; false when all files are read. */
static bool
next(struct reader *r)
{
	skip_blanks(r);
	while (r->left == 0 && r->depth > 0) {
		struct config_source *file = &r->files[r->depth - 1];

		if (!config_source_line(file, &r->line, &r->left)) {
			config_source_close(file);
			r->depth--;
			continue;
		}
		if (memchr(r->line, '\0', r->left) != NULL) {
			config_report_error(r->report, here(r), "found a NUL byte, expected text");
			r->left = 0;
		}
		skip_blanks(r);
	}
	return r->left > 0;
}

static void
end_line(char *out, size_t n)
{
	out[n] = '\n';
	out[n + 1] = '\0';
}

static bool
feed_section(struct reader *r, char *out, size_t room)
{
	const char *end = memchr(r->line, ']', r->left), *name = r->line + 1;
	char text[SECTION_BYTES + 1];
	size_t len, n;

	if (end == NULL) {
		config_report_error(r->report, here(r), "expected ] after the name of a section");
		r->left = 0;
		return false;
	}
	len = (size_t)(end - name);
	skip(r, len + 2);
	for (; len > 0 && is_blank(*name); len--)
		name++;
	while (len > 0 && is_blank(name[len - 1]))
		len--;
	n = len < sizeof(text) ? len : sizeof(text) - 1;
	memcpy(text, name, n);
	text[n] = '\0';
	r->sink->section(r->sink->arg, here(r), text);
	/* inih would cut a long name; none that is known is long, so any part of it will do. */
	len = len < SECTION_BYTES / 3 ? len : SECTION_BYTES / 3;
	out[0] = '[';
	n = 1 + encode(out + 1, room - 2, &name, &len);
	out[n] = ']';
	end_line(out, n + 1);
	return true;
}

/* The key at the start of the line, without quotes, into key. false: there is none. */
static bool
take_key(struct reader *r, char key[KEY_BYTES], size_t *len)
{
	bool quoted = *r->line == '\'';

	*len = 0;
	if (quoted)
		skip(r, 1);
	while (r->left > 0) {
		char c = *r->line;

		if (quoted && c == '\'') {
			skip(r, 1);
			if (r->left == 0 || *r->line != '\'')
				return *len > 0;
		} else if (!quoted && !isalnum((unsigned char)c) && strchr("_.*-", c) == NULL) {
			break;
		}
		if (*len == KEY_BYTES)
			return false;
		key[(*len)++] = c;
		skip(r, 1);
	}
	return !quoted && *len > 0;
}

/* Only the first word of a wrong line is shown: the rest may be a password. */
static void
bad_line(struct reader *r, const char *line, size_t len)
{
	char word[24], quoted[CONFIG_QUOTED];
	size_t n = 0;

	for (; n < len && n < sizeof(word) - 1 && !is_blank(line[n]) && line[n] != '='; n++)
		word[n] = line[n];
	word[n] = '\0';
	config_report_error(r->report, here(r),
	    "found a line that starts with %s, expected key = value, [section], %%include FILE or a "
	    "comment (a key with other characters than letters, digits and _ . * - needs 'quotes')",
	    config_report_quote(quoted, word));
	r->left = 0;
}

static bool
start_entry(struct reader *r, char *out, size_t room, const char *key, size_t key_len)
{
	size_t n = encode(out, room - 1, &key, &key_len);

	if (key_len > 0) {
		config_report_error(r->report, here(r), "found a key that is too long");
		return false;
	}
	if ((r->value = malloc(r->to_feed_len + 1)) == NULL) {
		config_report_no_memory(r->report);
		return false;
	}
	r->value_len = 0;
	r->value_size = r->to_feed_len;
	r->at = here(r);
	r->has_key = false;
	r->under_way = true;
	out[n++] = '=';
	n += encode(out + n, room - n, &r->to_feed, &r->to_feed_len);
	end_line(out, n);
	return true;
}

static bool
feed_entry(struct reader *r, char *out, size_t room)
{
	const char *line = r->line;
	size_t len = r->left, key_len;
	char key[KEY_BYTES];
	bool fed;

	if (!take_key(r, key, &key_len)) {
		bad_line(r, line, len);
		return false;
	}
	skip_blanks(r);
	if (r->left == 0 || *r->line != '=') {
		bad_line(r, line, len);
		return false;
	}
	skip(r, 1);
	skip_blanks(r);
	while (r->left > 0 && is_blank(r->line[r->left - 1]))
		r->left--;
	r->to_feed = r->line;
	r->to_feed_len = r->left;
	r->left = 0;
	if (!(fed = start_entry(r, out, room, key, key_len)))
		r->to_feed_len = 0;
	return fed;
}

static bool
is_include(const struct reader *r)
{
	return r->left > 8 && memcmp(r->line, "%include", 8) == 0 && is_blank(r->line[8]);
}

static void
include(struct reader *r)
{
	struct config_place at = here(r);
	char quoted[CONFIG_QUOTED], *name;
	struct config_source *file;
	int i;

	skip(r, 8);
	skip_blanks(r);
	while (r->left > 0 && is_blank(r->line[r->left - 1]))
		r->left--;
	name = strndup(r->line, r->left);
	r->left = 0;
	if (name == NULL) {
		config_report_no_memory(r->report);
		return;
	}
	if (r->depth == CONFIG_FILE_DEPTH + 1) {
		config_report_error(r->report, at,
		    "found %%include inside %d includes, expected at most %d", CONFIG_FILE_DEPTH,
		    CONFIG_FILE_DEPTH);
		goto done;
	}
	file = &r->files[r->depth];
	if (config_source_open(file, name, true, at, r->report) == -1)
		goto done;
	for (i = 0; i < r->depth; i++) {
		if (r->files[i].dev == file->dev && r->files[i].ino == file->ino) {
			config_report_error(r->report, at, "%%include %s: the file includes itself",
			    config_report_quote(quoted, name));
			config_source_close(file);
			goto done;
		}
	}
	r->depth++;
done:
	free(name);
}

/* inih's reader, as fgets(): the next line made for it. At the end its buffer is wiped, as it held
 * secrets. */
static char *
feed(char *out, int size, void *stream)
{
	struct reader *r = stream;
	size_t room = (size_t)size - 2; /* for the newline and the NUL */

	if (r->to_feed_len > 0) {
		out[0] = ' ';
		end_line(out, 1 + encode(out + 1, room - 1, &r->to_feed, &r->to_feed_len));
		return out;
	}
	finish_entry(r);
	while (next(r)) {
		if (*r->line == ';' || *r->line == '#')
			r->left = 0;
		else if (is_include(r))
			include(r);
		else if (*r->line == '[') {
			if (feed_section(r, out, room))
				return out;
		} else if (feed_entry(r, out, room)) {
			return out;
		}
	}
	explicit_bzero(out, (size_t)size);
	return NULL;
}

int
config_file_read(const char *path, const struct config_file_sink *sink,
    struct config_report *report)
{
	struct config_place at = { path, 0 };
	struct reader *r;
	int rc = -1;

	if ((r = calloc(1, sizeof(*r))) == NULL) {
		config_report_no_memory(report);
		return -1;
	}
	r->sink = sink;
	r->report = report;
	if (config_source_open(&r->files[0], path, false, at, report) == -1)
		goto done;
	r->depth = 1;
	if (ini_parse_stream(feed, r, collect, r) != 0)
		config_report_error(report, at, "libinih could not read the file");
	drop_value(r); /* this and the loop find nothing unless inih gave up early */
	while (r->depth > 0)
		config_source_close(&r->files[--r->depth]);
	rc = 0;
done:
	explicit_bzero(r, sizeof(*r));
	free(r);
	return rc;
}
