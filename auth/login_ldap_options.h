/* login_ldap_options.h -- how to ask an LDAP server, read from PgBouncer's auth_ldap_options or from
 * the options of an HBA line, named and meant as in PostgreSQL's pg_hba.conf. Unchangeable once
 * finished, counted by references. Pure: speaks to nobody. Must not know libldap.
 *
 * ldapserver (several, separated by blanks, each with :port perhaps), ldapport, ldapscheme (ldap,
 * ldaps), ldaptls (0, 1: StartTLS), and either ldapprefix and ldapsuffix, or ldapbasedn, ldapbinddn,
 * ldapbindpasswd, ldapsearchattribute or ldapsearchfilter (with $username), ldapscope (base, one,
 * sub); ldapurl for the same in one. Ours: ldapcafile, the CA for TLS instead of the system's. */
#ifndef AUTH_LOGIN_LDAP_OPTIONS_H
#define AUTH_LOGIN_LDAP_OPTIONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define LOGIN_LDAP_SERVERS_MAX 8

enum login_ldap_scope { LOGIN_LDAP_UNSET, LOGIN_LDAP_BASE, LOGIN_LDAP_ONE, LOGIN_LDAP_SUB };

struct login_ldap_options {
	atomic_uint refs;
	char *server, *port, *scheme, *tls, *prefix, *suffix, *basedn, *binddn, *bindpasswd,
	    *attribute, *filter, *cafile; /* as they were given; NULL = not */
	enum login_ldap_scope scope;
	/* made by login_ldap_options_finish() */
	bool start_tls, ldaps;
	bool search; /* search and bind; else bind as prefix, user, suffix */
	int n_uris;
	char *uris[LOGIN_LDAP_SERVERS_MAX]; /* in the order in which they are tried */
};

/* Empty, with one reference for the caller; NULL = no memory. */
struct login_ldap_options *login_ldap_options_new(void);
/* One option. -1 with one line in err: unknown, given twice, not acceptable. */
int login_ldap_options_set(struct login_ldap_options *, const char *name, const char *value,
    char *err, size_t errlen);
/* Are they complete and consistent? Not changed afterwards. -1 with one line in err. */
int login_ldap_options_finish(struct login_ldap_options *, char *err, size_t errlen);
/* All three for a text of name=value pairs separated by blanks; "..." keeps blanks, "" in quotes is
 * one quote. NULL with err. */
struct login_ldap_options *login_ldap_options_parse(const char *text, char *err, size_t errlen);

struct login_ldap_options *login_ldap_options_ref(struct login_ldap_options *);
/* Wipes the password. NULL is harmless. */
void login_ldap_options_unref(struct login_ldap_options *);

/* Do passwords cross the network unencrypted with these? */
bool login_ldap_options_are_plain(const struct login_ldap_options *);

#endif
