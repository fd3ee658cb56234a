/* login_auth_rules.h -- what a configuration says about logins beyond auth_file: HBA lines, user-name maps,
 * how LDAP and PAM are asked, whose tokens are good. Made at load and reload by the main thread, which joins
 * the keys of tokens to it before workers see it; unchangeable after that. Owned by its session_env. Must not
 * know sessions. */
#ifndef PROXY_SESSION_LOGIN_AUTH_RULES_H
#define PROXY_SESSION_LOGIN_AUTH_RULES_H

#include "auth/jwt.h"

#include <stdbool.h>
#include <stddef.h>

struct config;
struct hba;
struct hba_line;
struct jwks_source;
struct login_method;
struct user_map;

/* Whom to ask about a password. */
struct login_auth_way {
	const struct hba_line *line; /* whose it is; NULL: that of auth_type */
	const struct login_method *method;
	void *settings; /* reference */
};

struct login_auth_rules {
	struct hba *hba;       /* NULL: auth_type is not hba */
	struct user_map *maps; /* NULL: no auth_ident_file */
	struct login_auth_way *ways;
	size_t n_ways;
	bool tokens;		  /* some clients log in with a JWT */
	struct jwks_source *keys; /* reference; joined later, NULL when nobody needs it */
	struct jwt_rules jwt;	  /* its texts are the configuration's, which lives as long */
};

typedef void login_auth_say(void *arg, bool is_error, const char *file, int line, const char *text);

/* NULL after any fault; say has been told of all of them. */
struct login_auth_rules *login_auth_rules_load(const struct config *, login_auth_say *say,
    void *arg);
void login_auth_rules_free(struct login_auth_rules *); /* NULL is harmless */

/* line NULL: auth_type's. NULL: none, which cannot be where the method is ldap or pam. */
const struct login_auth_way *login_auth_rules_way(const struct login_auth_rules *,
    const struct hba_line *line);

#endif
