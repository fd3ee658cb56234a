/* json.h -- JSON (RFC 8259) read into a tape of tokens over the caller's text, and written into a
 * buf. Strict: UTF-8, one value, no duplicate checks but on look-up, nesting of JSON_DEPTH_MAX at
 * most. The reader allocates nothing and copies nothing; a tape points into the text, which must
 * outlive it. Must not know what a document means. Pure. */
#ifndef PROXY_WIRE_JSON_H
#define PROXY_WIRE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

#define JSON_DEPTH_MAX 32

enum json_type {
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL
};

/* One value, or the name of a member (a string just before its value). */
struct json_token {
	uint32_t at, len; /* in the text: strings without their quotes, still escaped */
	uint32_t next;	  /* token after this value and all that is in it */
	uint8_t type;	  /* enum json_type */
	bool escaped;	  /* a string with a backslash in it */
	uint16_t depth;
};

struct json {
	const char *text;
	const struct json_token *tok;
	size_t n; /* tokens; the document is tok[0] */
};

/* Reads a document of len bytes (4 GB at most) into tok[max]. 0, or -1 with one line in err that
 * says what is wrong at which byte and never quotes the text (it may hold a secret). */
int json_parse(struct json *, const char *text, size_t len, struct json_token *tok, size_t max,
    char *err, size_t errlen);

#define JSON_NONE      ((size_t)-1)
#define JSON_DUPLICATE ((size_t)-2)

/* The value of that member of object token `object`; JSON_NONE when it has none (or is no object),
 * JSON_DUPLICATE when the name occurs more than once. Names are compared unescaped. */
size_t json_member(const struct json *, size_t object, const char *name);
/* First value in an array or first member name of an object; then the next of the same container.
 * JSON_NONE at the end. In an object a name is followed by its value at index + 1. */
size_t json_first(const struct json *, size_t container);
size_t json_next(const struct json *, size_t container, size_t value);

static inline bool
json_is(const struct json *j, size_t i, enum json_type t)
{
	return i < j->n && j->tok[i].type == t;
}

/* Unescapes string token i into out[size] with a NUL; the length, or -1 when it is no string, does
 * not fit, has a lone surrogate, or holds U+0000. */
long json_string(const struct json *, size_t i, char *out, size_t size);
/* Is string token i this text? Not for secrets. */
bool json_equals(const struct json *, size_t i, const char *text);
/* Number token i; -1 when it is none, no integer, or out of range. 1.5E2 is the integer 150. */
int json_int(const struct json *, size_t i, int64_t *out);
int json_double(const struct json *, size_t i, double *out);

/* ---- writing: the caller puts the brackets, commas and colons ---- */

/* "text" with quotes, escaped; bytes that are not UTF-8 become U+FFFD. */
void json_put_string(struct buf *, const char *text, size_t len);

#endif
