#include "auth/login_ldap_options.h"

#include "auth/login_ldap_url.h"
#include "proxy/base/secret.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VALUE_MAX    4096
#define ALNUM	     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define HOST_CHARS   ALNUM ".-_:[]%"
#define ATTR_CHARS   ALNUM ".-;"
#define USERNAME_VAR "$username"

static int
fail(char *err, size_t errlen, const char *what, const char *why)
{
	snprintf(err, errlen, "%s%s%s", what, *what != '\0' ? " " : "", why);
	return -1;
}

struct login_ldap_options *
login_ldap_options_new(void)
{
	struct login_ldap_options *o = calloc(1, sizeof(*o));

	if (o != NULL)
		atomic_init(&o->refs, 1);
	return o;
}

struct login_ldap_options *
login_ldap_options_ref(struct login_ldap_options *o)
{
	atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
	return o;
}

static const struct {
	const char *name;
	size_t at; /* of a char * in the struct */
} fields[] = {
#define FIELD(name, member)                                                                        \
	{                                                                                          \
		name, offsetof(struct login_ldap_options, member)                                  \
	}
	FIELD("ldapserver", server),
	FIELD("ldapport", port),
	FIELD("ldapscheme", scheme),
	FIELD("ldaptls", tls),
	FIELD("ldapprefix", prefix),
	FIELD("ldapsuffix", suffix),
	FIELD("ldapbasedn", basedn),
	FIELD("ldapbinddn", binddn),
	FIELD("ldapbindpasswd", bindpasswd),
	FIELD("ldapsearchattribute", attribute),
	FIELD("ldapsearchfilter", filter),
	FIELD("ldapcafile", cafile),
#undef FIELD
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static char **
field(struct login_ldap_options *o, size_t i)
{
	return (char **)((char *)o + fields[i].at);
}

void
login_ldap_options_unref(struct login_ldap_options *o)
{
	if (o == NULL || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < N_FIELDS; i++) {
		char *text = *field(o, i);

		secret_free(text, text != NULL ? strlen(text) : 0);
	}
	for (int i = 0; i < o->n_uris; i++)
		free(o->uris[i]);
	free(o);
}

/* ---- one option ---- */

static int
set_scope(struct login_ldap_options *o, const char *value, char *err, size_t errlen)
{
	if (o->scope != LOGIN_LDAP_UNSET)
		return fail(err, errlen, "ldapscope", "is given twice");
	o->scope = strcasecmp(value, "base") == 0  ? LOGIN_LDAP_BASE
		   : strcasecmp(value, "one") == 0 ? LOGIN_LDAP_ONE
		   : strcasecmp(value, "sub") == 0 ? LOGIN_LDAP_SUB
						   : LOGIN_LDAP_UNSET;
	if (o->scope == LOGIN_LDAP_UNSET)
		return fail(err, errlen, "ldapscope", "must be base, one or sub");
	return 0;
}

/* What a URL says becomes the options that say the same. */
static int
set_url(struct login_ldap_options *o, const char *value, char *err, size_t errlen)
{
	struct login_ldap_url u;
	int rc;

	if (login_ldap_url_parse(&u, value, err, errlen) == -1)
		return -1;
	rc = login_ldap_options_set(o, "ldapscheme", u.ldaps ? "ldaps" : "ldap", err, errlen);
	if (rc == 0 && u.host[0] != '\0')
		rc = login_ldap_options_set(o, "ldapserver", u.host, err, errlen);
	if (rc == 0 && u.basedn[0] != '\0')
		rc = login_ldap_options_set(o, "ldapbasedn", u.basedn, err, errlen);
	if (rc == 0 && u.attribute[0] != '\0')
		rc = login_ldap_options_set(o, "ldapsearchattribute", u.attribute, err, errlen);
	if (rc == 0 && u.filter[0] != '\0')
		rc = login_ldap_options_set(o, "ldapsearchfilter", u.filter, err, errlen);
	/* RFC 4516: base, where nothing is said */
	if (rc == 0)
		rc = set_scope(o, u.scope[0] != '\0' ? u.scope : "base", err, errlen);
	return rc;
}

int
login_ldap_options_set(struct login_ldap_options *o, const char *name, const char *value, char *err,
    size_t errlen)
{
	if (strlen(value) > VALUE_MAX)
		return fail(err, errlen, name, "is too long");
	if (strcmp(name, "ldapurl") == 0)
		return set_url(o, value, err, errlen);
	if (strcmp(name, "ldapscope") == 0)
		return set_scope(o, value, err, errlen);
	for (size_t i = 0; i < N_FIELDS; i++) {
		if (strcmp(name, fields[i].name) != 0)
			continue;
		if (*field(o, i) != NULL)
			return fail(err, errlen, name, "is given twice");
		*field(o, i) = secret_dup(value, strlen(value));
		return *field(o, i) != NULL ? 0 : fail(err, errlen, "", "out of memory");
	}
	snprintf(err, errlen, "unknown option \"%.64s\"", name);
	return -1;
}

/* ---- the text ---- */

/* Unquotes one word of *text into out; 1, 0 at the end of the text, -1 with err. */
static int
next_word(const char **text, char *out, size_t size, char *err, size_t errlen)
{
	const char *p = *text + strspn(*text, " \t\r\n");
	bool quoted = false;
	size_t n = 0;

	if (*p == '\0')
		return 0;
	for (; *p != '\0' && (quoted || strchr(" \t\r\n", *p) == NULL); p++) {
		if (*p == '"' && !(quoted && p[1] == '"')) {
			quoted = !quoted;
			continue;
		}
		if (*p == '"')
			p++;
		if (n + 1 == size)
			return fail(err, errlen, "", "an option is too long");
		out[n++] = *p;
	}
	if (quoted)
		return fail(err, errlen, "", "a closing quote is missing");
	out[n] = '\0';
	*text = p;
	return 1;
}

struct login_ldap_options *
login_ldap_options_parse(const char *text, char *err, size_t errlen)
{
	struct login_ldap_options *o = login_ldap_options_new();
	char word[VALUE_MAX + 64];
	int rc = -1;

	if (o == NULL) {
		fail(err, errlen, "", "out of memory");
		return NULL;
	}
	while ((rc = next_word(&text, word, sizeof(word), err, errlen)) == 1) {
		char *eq = strchr(word, '=');

		if (eq == NULL) {
			rc = fail(err, errlen, "", "an option lacks its =");
			break;
		}
		*eq = '\0';
		rc = login_ldap_options_set(o, word, eq + 1, err, errlen);
		if (rc == -1)
			break;
	}
	explicit_bzero(word, sizeof(word));
	if (rc == 0 && login_ldap_options_finish(o, err, errlen) == 0)
		return o;
	login_ldap_options_unref(o);
	return NULL;
}

/* ---- all together ---- */

/* One of ldapserver; "::1" is put in brackets. */
static int
add_server(struct login_ldap_options *o, const char *host, size_t len, char *err, size_t errlen)
{
	const char *scheme = o->ldaps ? "ldaps" : "ldap", *port = o->port, *open = "", *close = "";
	const char *colon = memchr(host, ':', len);

	if (o->n_uris == LOGIN_LDAP_SERVERS_MAX || len > 255)
		return fail(err, errlen, "ldapserver",
		    "lists too many servers, or one is too long");
	if (strspn(host, HOST_CHARS) < len)
		return fail(err, errlen, "ldapserver", "must list host names or addresses");
	if (*host == '[') {
		if (host[len - 1] != ']')
			port = NULL; /* its own */
	} else if (colon != NULL &&
		   memchr(colon + 1, ':', (size_t)(host + len - colon - 1)) != NULL) {
		open = "[";
		close = "]";
	} else if (colon != NULL) {
		port = NULL;
	}
	if (asprintf(&o->uris[o->n_uris], "%s://%s%.*s%s%s%s", scheme, open, (int)len, host, close,
		port != NULL ? ":" : "", port != NULL ? port : "") == -1)
		return fail(err, errlen, "", "out of memory");
	o->n_uris++;
	return 0;
}

static int
finish_servers(struct login_ldap_options *o, char *err, size_t errlen)
{
	const char *p = o->server != NULL ? o->server : "";

	if (o->scheme != NULL && strcmp(o->scheme, "ldap") != 0 && strcmp(o->scheme, "ldaps") != 0)
		return fail(err, errlen, "ldapscheme", "must be ldap or ldaps");
	if (o->tls != NULL && strcmp(o->tls, "0") != 0 && strcmp(o->tls, "1") != 0)
		return fail(err, errlen, "ldaptls", "must be 0 or 1");
	o->ldaps = o->scheme != NULL && strcmp(o->scheme, "ldaps") == 0;
	o->start_tls = o->tls != NULL && strcmp(o->tls, "1") == 0;
	if (o->ldaps && o->start_tls)
		return fail(err, errlen, "ldaptls", "cannot be 1 with ldaps, which is TLS already");
	if (o->port != NULL) {
		char *end;
		long port = strtol(o->port, &end, 10);

		if (*end != '\0' || o->port[0] < '0' || o->port[0] > '9' || port < 1 ||
		    port > 65535)
			return fail(err, errlen, "ldapport", "must be a number from 1 to 65535");
	}
	for (p += strspn(p, " \t"); *p != '\0'; p += strspn(p, " \t")) {
		size_t len = strcspn(p, " \t");

		if (add_server(o, p, len, err, errlen) == -1)
			return -1;
		p += len;
	}
	return o->n_uris > 0 ? 0
			     : fail(err, errlen, "ldapserver", "or a server in ldapurl is needed");
}

static int
finish_search(struct login_ldap_options *o, char *err, size_t errlen)
{
	if (o->basedn == NULL)
		return fail(err, errlen, "ldapbasedn", "or ldapprefix or ldapsuffix is needed");
	if (o->prefix != NULL || o->suffix != NULL)
		return fail(err, errlen, "", "ldapprefix and ldapsuffix exclude search options");
	if ((o->binddn == NULL || *o->binddn == '\0') !=
	    (o->bindpasswd == NULL || *o->bindpasswd == '\0'))
		return fail(err, errlen, "", "ldapbinddn and ldapbindpasswd need each other");
	if (o->attribute != NULL && o->filter != NULL)
		return fail(err, errlen, "",
		    "ldapsearchattribute and ldapsearchfilter exclude each other");
	if (o->attribute != NULL &&
	    (*o->attribute == '\0' || o->attribute[strspn(o->attribute, ATTR_CHARS)] != '\0'))
		return fail(err, errlen, "ldapsearchattribute", "must be the name of an attribute");
	/* the same entry for everybody would let everybody in with its password */
	if (o->filter != NULL && strstr(o->filter, USERNAME_VAR) == NULL)
		return fail(err, errlen, "ldapsearchfilter", "must contain $username");
	if (o->scope == LOGIN_LDAP_UNSET)
		o->scope = LOGIN_LDAP_SUB;
	return 0;
}

int
login_ldap_options_finish(struct login_ldap_options *o, char *err, size_t errlen)
{
	if (finish_servers(o, err, errlen) == -1)
		return -1;
	o->search = o->basedn != NULL || o->binddn != NULL || o->bindpasswd != NULL ||
		    o->attribute != NULL || o->filter != NULL ||
		    (o->prefix == NULL && o->suffix == NULL);
	return o->search ? finish_search(o, err, errlen) : 0;
}

bool
login_ldap_options_are_plain(const struct login_ldap_options *o)
{
	return !o->ldaps && !o->start_tls;
}
