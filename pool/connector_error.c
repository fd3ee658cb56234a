#include "pool/connector_error.h"

#include <stdio.h>
#include <string.h>

#define ATTEMPT	     "connection to server "
#define FAILED	     " failed: "
#define CODE_LEN     5
#define SEVERITY_MAX 40 /* translated, in UTF-8 */

/* Will not pass by itself. A whole class, or one code. 57P03, 53300, 57P01 and all others may. */
static const char *const refusals[] = { "28", "3D", "42", "22", "0A", "55", "08P01" };

/* Words of libpq and OpenSSL. The first list wins: a connection that was lost during the TLS
 * handshake is a lost connection. */
static const char *const passing[] = {
	"EOF",
	"unexpected eof",
	"closed the connection",
	"Connection reset",
	"could not receive data",
	"could not send data",
	"out of memory",
};
static const char *const lasting[] = {
	"certificate",
	"private key",
	"does not support SSL",
	"SSL error",
	"no password supplied",
	"authentication method",
	"authentication mechanism",
	"authentication request",
	"channel binding",
	"SCRAM",
	"GSS",
	"SSPI",
	"invalid",
	"is too long",
	"min_protocol_version",
};

static bool
has_word(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strstr(text, words[i]) != NULL)
			return true;
	return false;
}

#define HAS_WORD(text, list) has_word(text, list, sizeof(list) / sizeof((list)[0]))

static enum connect_result
judge_code(const char *code)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (strncmp(code, refusals[i], strlen(refusals[i])) == 0)
			return CONNECT_REFUSED;
	return CONNECT_RETRY;
}

static void
judge_words(const char *line, struct connector_error *e)
{
	bool password = strstr(line, "no password supplied") != NULL;

	e->result = !HAS_WORD(line, passing) && HAS_WORD(line, lasting) ? CONNECT_REFUSED
									: CONNECT_RETRY;
	snprintf(e->sqlstate, sizeof(e->sqlstate), "%s", password ? "28P01" : "08006");
}

/* Where the server's words begin in "FATAL:  28P01: password ...", or NULL. */
static const char *
after_code(const char *line, const char *end, const char **code)
{
	const char *at = line;

	while (at < end && at < line + SEVERITY_MAX && *at != ':')
		at++;
	if (end - at < 3 + CODE_LEN + 2 || memcmp(at, ":  ", 3) != 0)
		return NULL;
	at += 3;
	if (strspn(at, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != CODE_LEN ||
	    memcmp(at + CODE_LEN, ": ", 2) != 0)
		return NULL;
	*code = at;
	return at + CODE_LEN + 2;
}

/* Cuts before a character of UTF-8 that may have lost its end. */
static void
cut_whole(char *text, size_t len)
{
	while (len > 0 && ((unsigned char)text[len - 1] & 0xc0) == 0x80)
		len--;
	if (len > 0 && (unsigned char)text[len - 1] >= 0xc0)
		len--;
	text[len] = '\0';
}

static void
add_line(struct connector_error *e, const char *from, const char *end)
{
	size_t at = strlen(e->text), room;

	if (at > 0)
		at += (size_t)snprintf(e->text + at, sizeof(e->text) - at, "; ");
	if (at >= sizeof(e->text))
		return;
	room = sizeof(e->text) - at;
	if (snprintf(e->text + at, room, "%.*s", (int)(end - from), from) >= (int)room)
		cut_whole(e->text, sizeof(e->text) - 1);
	for (char *p = e->text + at; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = ' ';
}

static void
take_line(struct connector_error *e, const char *from, const char *end)
{
	const char *code, *words = after_code(from, end, &code);
	char line[256];

	if (words != NULL) {
		snprintf(e->sqlstate, sizeof(e->sqlstate), "%.*s", CODE_LEN, code);
		e->result = judge_code(e->sqlstate);
		from = words;
	} else {
		snprintf(line, sizeof(line), "%.*s", (int)(end - from), from);
		judge_words(line, e);
	}
	add_line(e, from, end);
}

/* A text holds several attempts when libpq tried with and without TLS: the last one counts. Lines
 * that do not begin an attempt (LOCATION, hints) are left out. */
void
connector_error_read(const char *text, struct connector_error *e)
{
	const char *line, *end;

	memset(e, 0, sizeof(*e));
	for (line = text; *line != '\0'; line = *end != '\0' ? end + 1 : end) {
		const char *failed = strstr(line, FAILED);

		end = line + strcspn(line, "\n");
		if (strncmp(line, ATTEMPT, strlen(ATTEMPT)) == 0 && failed != NULL && failed < end)
			take_line(e, failed + strlen(FAILED), end);
	}
	if (e->text[0] == '\0') {
		end = text + strcspn(text, "\n");
		take_line(e, text, end);
	}
	if (e->text[0] == '\0')
		connector_error_set(e, "the connection failed");
}

void
connector_error_set(struct connector_error *e, const char *text)
{
	memset(e, 0, sizeof(*e));
	e->result = CONNECT_RETRY;
	snprintf(e->sqlstate, sizeof(e->sqlstate), "08006");
	add_line(e, text, text + strlen(text));
}
