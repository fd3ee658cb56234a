#include "auth/source/aws_keys.h"

#include "auth/source/source_text.h"
#include "proxy/base/secret.h"
#include "proxy/base/secure.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX 16384

static void
wipe_text(char **text)
{
	secure_free(*text);
	*text = NULL;
}

void
aws_keys_wipe(struct aws_keys *k)
{
	wipe_text(&k->access_key_id);
	wipe_text(&k->secret_access_key);
	wipe_text(&k->session_token);
	k->expires_unix_ms = 0;
}

void
aws_keys_move(struct aws_keys *to, struct aws_keys *from)
{
	aws_keys_wipe(to);
	*to = *from;
	memset(from, 0, sizeof(*from));
}

int
aws_keys_set(struct aws_keys *k, const char *id, const char *secret, const char *token,
    int64_t expires_unix_ms)
{
	struct aws_keys fresh = { .expires_unix_ms = expires_unix_ms };
	bool with_token = token != NULL && *token != '\0';

	aws_keys_wipe(k);
	if (!source_text_plain(id) || !source_text_plain(secret) ||
	    (with_token && !source_text_plain(token)))
		return -1;
	fresh.access_key_id = secure_dup(id, strlen(id));
	fresh.secret_access_key = secure_dup(secret, strlen(secret));
	if (with_token)
		fresh.session_token = secure_dup(token, strlen(token));
	if (fresh.access_key_id == NULL || fresh.secret_access_key == NULL ||
	    (with_token && fresh.session_token == NULL)) {
		aws_keys_wipe(&fresh);
		return -1;
	}
	*k = fresh;
	return 0;
}

static bool
same_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return secret_equal_text(a, strlen(a), b, strlen(b));
}

bool
aws_keys_same(const struct aws_keys *a, const struct aws_keys *b)
{
	return same_text(a->access_key_id, b->access_key_id) &&
	       same_text(a->secret_access_key, b->secret_access_key) &&
	       same_text(a->session_token, b->session_token);
}

/* ---- reading ---- */

static int
read_texts(struct aws_keys *k, const struct source_json *doc, const char *token_name, char *room,
    char *err, size_t errlen)
{
	char *id = room, *secret = room + TEXT_MAX, *token = room + 2 * TEXT_MAX, date[64];
	int64_t expires = 0;

	if (source_json_text(doc, 0, "AccessKeyId", id, TEXT_MAX) == 0 ||
	    source_json_text(doc, 0, "SecretAccessKey", secret, TEXT_MAX) == 0) {
		snprintf(err, errlen, "no AccessKeyId or no SecretAccessKey in the answer");
		return -1;
	}
	source_json_text(doc, 0, token_name, token, TEXT_MAX);
	source_json_text(doc, 0, "Expiration", date, sizeof(date));
	if (date[0] != '\0' && (expires = aws_keys_time(date)) == -1) {
		snprintf(err, errlen, "the answer's Expiration is no date");
		return -1;
	}
	if (aws_keys_set(k, id, secret, token, expires) == -1) {
		snprintf(err, errlen, "the answer's keys have blanks in them, or no memory");
		return -1;
	}
	return 0;
}

int
aws_keys_read(struct aws_keys *k, const char *json, size_t len, const char *token_name, char *err,
    size_t errlen)
{
	struct source_json doc = { .tape = NULL };
	char *room = NULL, code[64];
	int result = -1;

	if (source_json_read(&doc, json, len) == -1) {
		snprintf(err, errlen, "the answer is no JSON");
		return -1;
	}
	source_json_printable(&doc, SOURCE_JSON_AT(&doc, "Code"), code, sizeof(code));
	if (code[0] != '\0' && strcmp(code, "Success") != 0) {
		snprintf(err, errlen, "the answer says %s", code);
		goto out;
	}
	room = malloc(3 * TEXT_MAX);
	if (room == NULL) {
		snprintf(err, errlen, "out of memory");
		goto out;
	}
	result = read_texts(k, &doc, token_name, room, err, errlen);
out:
	secret_free(room, 3 * TEXT_MAX);
	source_json_release(&doc);
	return result;
}

/* The part behind the seconds: "[.fraction](Z|+hh:mm|-hh:mm)"; the offset in seconds. */
static int
read_zone(const char *text, int *offset_s)
{
	int hours, minutes, n = 0;

	if (*text == '.')
		for (text++; isdigit((unsigned char)*text);)
			text++;
	*offset_s = 0;
	if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
		return 0;
	if ((*text != '+' && *text != '-') || !isdigit((unsigned char)text[1]) ||
	    sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 || text[1 + n] != '\0')
		return -1;
	*offset_s = (hours * 60 + minutes) * (*text == '-' ? -60 : 60);
	return 0;
}

int64_t
aws_keys_time(const char *text)
{
	struct tm tm;
	const char *rest;
	int64_t seconds;
	int offset_s;

	memset(&tm, 0, sizeof(tm));
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest == NULL || read_zone(rest, &offset_s) == -1)
		return -1;
	seconds = (int64_t)timegm(&tm) - offset_s;
	return seconds <= 0 ? -1 : seconds * 1000;
}
