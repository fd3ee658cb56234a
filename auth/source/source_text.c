#include "auth/source/source_text.h"

#include "proxy/base/buf.h"
#include "proxy/base/secret.h"
#include "proxy/base/secure.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX 65536
#define TAPE_MAX 16384

static bool
is_clean(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

static char *
read_all(int fd, char *room, size_t *len)
{
	size_t n = 0;

	while (n < FILE_MAX + 1) {
		ssize_t got = read(fd, room + n, FILE_MAX + 1 - n);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return NULL;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*len = n;
	return room;
}

char *
source_text_file(const char *path, size_t *len, char *err, size_t errlen)
{
	char *room = malloc(FILE_MAX + 1), *out = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	*len = 0;
	if (room == NULL)
		snprintf(err, errlen, "out of memory");
	else if (fd == -1 || read_all(fd, room, len) == NULL)
		snprintf(err, errlen, "cannot read %s: %s", path, strerror(errno));
	else if (*len > FILE_MAX)
		snprintf(err, errlen, "%s is longer than %d bytes", path, FILE_MAX);
	else {
		while (*len != 0 && isspace((unsigned char)room[*len - 1]))
			--*len;
		if (*len == 0)
			snprintf(err, errlen, "%s is empty", path);
		else if (!is_clean(room, *len))
			snprintf(err, errlen, "%s has control bytes in it", path);
		else if ((out = secure_dup(room, *len)) == NULL)
			snprintf(err, errlen, "out of memory");
	}
	if (fd != -1)
		close(fd);
	secret_free(room, FILE_MAX + 1);
	return out;
}

void
source_text_encode(struct buf *b, const char *text, size_t len, bool keep_slash)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c != 0 && c < 0x80 &&
		    (isalnum(c) || strchr("-._~", c) != NULL || (keep_slash && c == '/')))
			buf_put_u8(b, c);
		else
			buf_printf(b, "%%%02X", c);
	}
}

bool
source_text_plain(const char *text)
{
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

void
source_text_trim_slashes(char *text)
{
	for (size_t n = strlen(text); n != 0 && text[n - 1] == '/'; n--)
		text[n - 1] = '\0';
}

int
source_json_read(struct source_json *sj, const char *text, size_t len)
{
	size_t max = len / 2 + 1 < TAPE_MAX ? len / 2 + 1 : TAPE_MAX;
	char err[128];

	*sj = (struct source_json){ .tape = calloc(max, sizeof(*sj->tape)) };
	if (sj->tape == NULL)
		return -1;
	if (json_parse(&sj->json, text, len, sj->tape, max, err, sizeof(err)) == 0)
		return 0;
	source_json_release(sj);
	return -1;
}

void
source_json_release(struct source_json *sj)
{
	free(sj->tape);
	*sj = (struct source_json){ .tape = NULL };
}

size_t
source_json_at(const struct source_json *sj, const char *const *path)
{
	size_t at = 0;

	for (; *path != NULL; path++) {
		if (!json_is(&sj->json, at, JSON_OBJECT))
			return JSON_NONE;
		at = json_member(&sj->json, at, *path);
	}
	return at < sj->json.n ? at : JSON_NONE;
}

size_t
source_json_text(const struct source_json *sj, size_t object, const char *name, char *out,
    size_t size)
{
	size_t at;
	long n = -1;

	out[0] = '\0';
	if (!json_is(&sj->json, object, JSON_OBJECT))
		return 0;
	at = json_member(&sj->json, object, name);
	if (json_is(&sj->json, at, JSON_STRING))
		n = json_string(&sj->json, at, out, size);
	if (n < 0)
		explicit_bzero(out, size);
	return n < 0 ? 0 : (size_t)n;
}

int64_t
source_json_number(const struct source_json *sj, size_t object, const char *name)
{
	char text[24], *end;
	int64_t value;
	size_t at;

	if (!json_is(&sj->json, object, JSON_OBJECT))
		return -1;
	at = json_member(&sj->json, object, name);
	if (json_is(&sj->json, at, JSON_NUMBER))
		return json_int(&sj->json, at, &value) == 0 ? value : -1;
	if (source_json_text(sj, object, name, text, sizeof(text)) == 0 ||
	    !isdigit((unsigned char)text[0]))
		return -1;
	errno = 0;
	value = strtoll(text, &end, 10);
	return errno != 0 || *end != '\0' ? -1 : value;
}

void
source_json_printable(const struct source_json *sj, size_t string, char *out, size_t size)
{
	const struct json_token *t;
	size_t n = 0;

	out[0] = '\0';
	if (!json_is(&sj->json, string, JSON_STRING))
		return;
	t = &sj->json.tok[string];
	for (size_t i = 0; i < t->len && n + 1 < size; i++) {
		char c = sj->json.text[t->at + i];

		/* still escaped: \n and \t become blanks, the rest loses its backslash */
		if (c == '\\' && i + 1 < t->len) {
			c = sj->json.text[t->at + ++i];
			if (c == 'n' || c == 't')
				c = ' ';
		}
		if ((unsigned char)c >= ' ' && c != 0x7f)
			out[n++] = c;
	}
	out[n] = '\0';
}
