/* login_ldap_url.h -- an LDAP URL (RFC 4516) taken apart: ldap[s]://host:port/base?attr?scope?filter.
 * Pure. Must not know what the pieces are for. */
#ifndef AUTH_LOGIN_LDAP_URL_H
#define AUTH_LOGIN_LDAP_URL_H

#include <stdbool.h>
#include <stddef.h>

#define LOGIN_LDAP_URL_MAX 2048

/* "" = not given. Percent-encoding is undone. */
struct login_ldap_url {
	bool ldaps;
	char host[256]; /* with :port perhaps */
	char basedn[LOGIN_LDAP_URL_MAX];
	char attribute[64];
	char scope[8];
	char filter[LOGIN_LDAP_URL_MAX];
};

/* -1 with one line in err; extensions and more than one attribute are refused. */
int login_ldap_url_parse(struct login_ldap_url *, const char *url, char *err, size_t errlen);

#endif
