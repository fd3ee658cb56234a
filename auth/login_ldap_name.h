/* login_ldap_name.h -- a user's name put into a DN or a search filter, so that whatever is in the
 * name stays a name (RFC 4514, RFC 4515). Pure. Must not know servers or passwords. */
#ifndef AUTH_LOGIN_LDAP_NAME_H
#define AUTH_LOGIN_LDAP_NAME_H

#include <stddef.h>

/* prefix, user, suffix. Where these make no DN (no = in them: DOMAIN\user or user@domain of Active
 * Directory, which knows no escapes) only names of letters, digits and . _ - $ are accepted. -1:
 * such a name, an empty one, or too long. */
int login_ldap_name_dn(char *out, size_t size, const char *prefix, const char *user,
    const char *suffix);
/* The filter with each $username replaced; or (attribute=user), when filter is NULL. -1: too long. */
int login_ldap_name_filter(char *out, size_t size, const char *filter, const char *attribute,
    const char *user);

#endif
