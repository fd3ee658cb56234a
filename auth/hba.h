/* hba.h -- host-based rules in PostgreSQL's format (pg_hba.conf of PostgreSQL 16 and later): an
 * unchangeable snapshot, made at load and reload, counted by references so that a login under way
 * outlives the reload that replaces its rules. Everything may be called from any thread.
 * Decides which line stands for a client; must not know how a method is carried out, and asks nobody:
 * what only others know comes with the query, or is asked for by the outcome.
 *
 * Served: local, host, hostssl, hostnossl, hostnogssenc (= host); include, include_if_exists,
 * include_dir and @file; in the database list all, sameuser, samerole, samegroup, replication, names
 * and /regex; in the user list all, +role, names and /regex; addresses as IP/bits, IP and mask, all,
 * samehost, samenet, host names and .suffixes. Quotes make a word a name. Methods: enum hba_method
 * (plain = password; ident is peer, on local lines only; jwt and iam are ours) with
 *	map=		   cert, peer, ident, jwt
 *	clientcert=	   verify-ca, verify-full; on hostssl lines
 *	clientname=CN	   on hostssl lines
 *	pamservice=, pam_use_hostname=	pam
 *	ldap...=	   ldap; as login_ldap_options.h says
 * Refused, with the line: what PostgreSQL refuses, GSSAPI, SSPI, RADIUS, and any option that has no
 * effect on its line. Lines count from the top; the first that fits decides, even if its method fails
 * then. */
#ifndef AUTH_HBA_H
#define AUTH_HBA_H

#include <stdbool.h>
#include <stddef.h>

struct hba;
struct interfaces;
struct sockaddr;

enum hba_method {
	HBA_TRUST,
	HBA_REJECT,
	HBA_MD5,
	HBA_PASSWORD, /* in clear */
	HBA_SCRAM,
	HBA_CERT, /* implies clientcert=verify-full */
	HBA_PEER,
	HBA_LDAP,
	HBA_PAM,
	HBA_JWT,
	HBA_IAM
};

/* What a client must show besides. HBA_CERT_FULL: the common name of its certificate must be the
 * user, after the line's map; that is the caller's to check, with user_map_allows(). */
enum hba_cert { HBA_CERT_NONE, HBA_CERT_CA, HBA_CERT_FULL };

/* What the caller needs of a line; lives as long as its snapshot. */
struct hba_line {
	const char *file; /* the one it stands in, perhaps an included one */
	int number;	  /* its line there, from 1 */
	enum hba_method method;
	enum hba_cert cert;
	const char *map; /* NULL: the names must be equal */
	const char
	    *ldap; /* its options as `name="value" name="value"`, "" for one quote; NULL: other
				  * method. May hold a password: for no log and no message */
	const char *pam_service; /* NULL: the default */
	bool pam_use_hostname;
};

/* Told of every fault and warning (error false), by file and line (0 = the file as a whole). */
typedef void hba_say(void *arg, bool error, const char *file, int line, const char *text);

/* ---- the snapshot ---- */

/* The rules of a file, with one reference for the caller. All faults are told (say may be NULL); NULL
 * when there was one, out of memory included. A file without rules is allowed, and lets nobody in. */
struct hba *hba_load(const char *path, hba_say *say, void *arg);
struct hba *hba_ref(struct hba *);
void hba_unref(struct hba *); /* the last one wipes and frees; NULL is harmless */

/* For checks at load (does an ldap line parse, is a map known, is TLS on) and for views. */
size_t hba_count(const struct hba *);
const struct hba_line *hba_line_at(const struct hba *, size_t i);
const char *hba_method_name(enum hba_method); /* as in the file */

/* ---- matching ---- */

struct hba_query {
	bool is_local;	    /* through a Unix socket; peer is not looked at then */
	bool tls;	    /* the connection is encrypted */
	bool cert_verified; /* a client certificate was shown, and its chain is good */
	bool replication;   /* physical (replication=true); replication=database is no such */
	const struct sockaddr *peer; /* the client's address */
	const char *database, *user;

	/* The host name of the client: found by its address, in lower or upper case, and only if that
	 * name leads back to the address. "" = it has none, or none that can be trusted. NULL = not
	 * looked up yet. */
	const char *dns_name;
	/* This machine's networks; NULL = not at hand. */
	const struct interfaces *interfaces;
	/* Is `user` a member of the role, directly or by other roles? (That a superuser counts as a
	 * member of every role does not count here.) NULL = not known yet. Not asked about the role
	 * that is the user itself. */
	bool (*member)(void *arg, const char *role);
	void *arg; /* of member */
};

enum hba_outcome {
	HBA_MATCH,    /* *line decides, perhaps by its method HBA_REJECT */
	HBA_NO_MATCH, /* 28000; *line is NULL */
	HBA_NO_CERT,  /* 28000; *line decides, but wants a client certificate, and there is none */
	/* The outcome depends on what the query does not tell: give it and ask again, of the same
	 * snapshot. *line is the first that needs it. At most one of each follows. */
	HBA_NEEDS_INTERFACES,
	HBA_NEEDS_DNS,
	HBA_NEEDS_MEMBERSHIP
};

/* Pure: same query, same outcome. Asks for no more than needed: a line whose other fields do not fit
 * needs nothing, nor do lines below the one that decides. DNS is asked for before membership: a
 * stranger should not cause queries at the server. Takes time linear in the number of lines, some
 * tens of nanoseconds each. */
enum hba_outcome hba_match(const struct hba *, const struct hba_query *,
    const struct hba_line **line);

/* The message, in PostgreSQL's words, of the ErrorResponse 28000 that follows from HBA_NO_MATCH,
 * HBA_NO_CERT or HBA_MATCH with method HBA_REJECT. Names longer than fit are cut. Returns buf. */
#define HBA_MESSAGE_BYTES 512
const char *hba_reject_message(char buf[HBA_MESSAGE_BYTES], const struct hba_query *,
    enum hba_outcome);

#endif
