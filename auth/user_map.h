/* user_map.h -- which outside name (of a Unix user, a certificate, a token) may log in as which user:
 * the maps of PostgreSQL's pg_ident.conf, an unchangeable snapshot, made at load and reload, counted
 * by references. Everything may be called from any thread.
 * A line is MAP SYSTEM-USER DATABASE-USER, lexed as hba_token.h says, includes too. SYSTEM-USER is a
 * name or /regex; DATABASE-USER is a name, all, or /regex, and a name may have one \1, which stands
 * for what the first parentheses of SYSTEM-USER took. Quotes take the meaning from all (not from / and
 * \1, as in PostgreSQL); what \1 makes is a plain name. +role is refused.
 * Must not know rules, methods or where names come from. */
#ifndef AUTH_USER_MAP_H
#define AUTH_USER_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct user_map;

/* As hba_say. */
typedef void user_map_say(void *arg, bool error, const char *file, int line, const char *text);

/* The maps of a file, with one reference for the caller. All faults are told (say may be NULL); NULL
 * when there was one, out of memory included. */
struct user_map *user_map_load(const char *path, user_map_say *say, void *arg);
struct user_map *user_map_ref(struct user_map *);
void user_map_unref(struct user_map *); /* the last one frees; NULL is harmless */

/* Is there a map of that name? For checks at load. False for NULL. */
bool user_map_has(const struct user_map *, const char *name);

/* May system_user log in as db_user, by any line of the map `name`? Without a name (NULL or "") they
 * must be equal. A map that is not there, or no snapshot (NULL), allows nobody. */
bool user_map_allows(const struct user_map *, const char *name, const char *system_user,
    const char *db_user);

#endif
