/* name_regex.h -- the regular expressions of PostgreSQL's authentication files, on the C library's
 * matcher. Served is what PostgreSQL's advanced and POSIX extended expressions have in common, and
 * \d \D \w \W \s \S; whatever would mean another thing here (other letters behind a backslash,
 * back-references, (?...), lazy quantifiers) is refused, never reinterpreted, and so is the repetition
 * of what may match nothing, with which that matcher may not come to an end. Like PostgreSQL's it
 * matches any part of a name unless ^ and $ hold it; unlike it, . and [ ] take bytes, not characters.
 * Unchangeable once made; any thread may match. Size is bounded, so that neither making nor matching
 * one can take all memory. */
#ifndef AUTH_NAME_REGEX_H
#define AUTH_NAME_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#define NAME_REGEX_BYTES 512  /* longest pattern */
#define NAME_REGEX_ATOMS 2000 /* after counts like {8} are multiplied out */
#define NAME_REGEX_WHY	 160
#define NAME_REGEX_TEXT	 1024 /* no longer text matches */

struct name_regex;

/* `pattern`: without its slash. NULL with `why`, a phrase fit to follow a colon. */
struct name_regex *name_regex_new(const char *pattern, char why[NAME_REGEX_WHY]);
/* Puts r before the others of a list, which name_regex_free() frees as one. Returns r. */
struct name_regex *name_regex_chain(struct name_regex *r, struct name_regex *others);
void name_regex_free(struct name_regex *list); /* NULL is harmless */

/* How many parentheses capture. */
size_t name_regex_captures(const struct name_regex *);
bool name_regex_match(const struct name_regex *, const char *text);
/* The same, and the part of text that the first parentheses took; false also when they took no part
 * in the match. */
bool name_regex_capture(const struct name_regex *, const char *text, size_t *from, size_t *len);

#endif
