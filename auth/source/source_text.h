/* source_text.h -- texts that providers exchange with services: small files, percent-encoding, and
 * members of the JSON that comes back. Pure but for source_text_file().
 * Must not know any provider. */
#ifndef AUTH_SOURCE_SOURCE_TEXT_H
#define AUTH_SOURCE_SOURCE_TEXT_H

#include "proxy/wire/json.h"

struct buf;

/* A small file of credentials, less blanks at its end; in locked memory: secure_free() it. NULL
 * with one line in err: unreadable, empty, over 64 KiB, or with control bytes (it goes into headers
 * and bodies). */
char *source_text_file(const char *path, size_t *len, char *err, size_t errlen);

/* Everything but unreserved characters as %XX; '/' stays when keep_slash. */
void source_text_encode(struct buf *, const char *text, size_t len, bool keep_slash);

/* May this be in a URL's path or a header as it is: printable ASCII without blanks, at least one? */
bool source_text_plain(const char *text);

/* Takes the slashes off its end. */
void source_text_trim_slashes(char *text);

/* A document with its tape. */
struct source_json {
	struct json json;
	struct json_token *tape;
};

/* 0, or -1: no JSON, too many values or no memory; then it is empty, and the getters find nothing. */
int source_json_read(struct source_json *, const char *text, size_t len);
void source_json_release(struct source_json *);

/* Value of a member at the end of a path of names, e.g. "data", "metadata", NULL; or JSON_NONE. */
size_t source_json_at(const struct source_json *, const char *const *path);
#define SOURCE_JSON_AT(sj, ...) source_json_at(sj, (const char *const[]){ __VA_ARGS__, NULL })

/* The member as text, "" when it is missing, no string or too long. Returns its length. */
size_t source_json_text(const struct source_json *, size_t object, const char *name, char *out,
    size_t size);
/* As an integer, also when it is written as a string; -1 when it is neither. */
int64_t source_json_number(const struct source_json *, size_t object, const char *name);
/* What a service said, fit for a log line: control bytes and more than size - 1 bytes are cut. */
void source_json_printable(const struct source_json *, size_t string, char *out, size_t size);

#endif
