/* userlist.h -- the users of auth_file: an unchangeable snapshot, made at load and reload, found by
 * a seeded hash, counted by references so that a login under way outlives the reload that replaces
 * its list.
 * Everything may be called from any thread. Must not know messages or methods.
 * The file, as PgBouncer's: one user per line, "name" "secret", "" inside quotes for one quote, the
 * rest of the line ignored, empty lines and lines that begin with ; skipped. */
#ifndef AUTH_USERLIST_H
#define AUTH_USERLIST_H

#include "auth/auth_user.h" /* auth_user_plain() and friends belong to what is found here */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct userlist;

/* Told of every fault, by line (0 = the file as a whole); the text holds no secret. error false: a
 * warning. */
typedef void userlist_say(void *arg, bool error, const char *file, int line, const char *text);

/* The users of a file, with one reference for the caller. NULL on any error, which `say` (may be
 * NULL) has been told. A name that appears twice is only warned of; its last line counts, as in
 * PgBouncer. */
struct userlist *userlist_load(const char *path, userlist_say *say, void *arg);
/* The same from memory; `file` is for messages only. */
struct userlist *userlist_parse(const char *file, const char *text, size_t len, userlist_say *say,
    void *arg);

struct userlist *userlist_ref(struct userlist *);
/* The last one wipes and frees. NULL is harmless. */
void userlist_unref(struct userlist *);

/* NULL = unknown. Lives as long as the list. */
const struct auth_user *userlist_find(const struct userlist *, const char *name);
size_t userlist_count(const struct userlist *);
/* How many users have a secret of this kind: what an unknown user should look like. */
size_t userlist_count_kind(const struct userlist *, enum auth_secret);
/* The iteration count of the first SCRAM secret, 0 if there is none. */
uint32_t userlist_iterations(const struct userlist *);

#endif
