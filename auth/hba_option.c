#include "auth/hba_rule.h"

#include "auth/hba_token.h"
#include "auth/login_ldap_options.h"
#include "proxy/config/config_arena.h"

#include <string.h>

#define BIT(m) (1u << (m))
#define ANY    (BIT(HBA_IAM + 1) - 1)
#define METHODS                                                                                    \
	"trust, reject, md5, password, plain, scram-sha-256, cert, peer, ident, ldap, pam, jwt or iam"

struct options {
	struct hba_rule *rule;
	const struct hba_record *record;
	struct config_arena *arena;
	struct config_report *report;
	const char *method; /* as it was written */
	unsigned seen;	    /* bits: rows of the table below */
	bool secret;	    /* a password was seen: what follows may be a part of it */
};

#define error(o, ...) config_report_error((o)->report, (o)->record->at, __VA_ARGS__)

/* ---- values; each gets its own copy, which stays ---- */

static void
set_map(struct options *o, const char *value)
{
	if (*value == '\0')
		error(o, "map: found no name, expected the name of a map");
	o->rule->line.map = value;
}

static void
set_clientcert(struct options *o, const char *value)
{
	char quoted[CONFIG_QUOTED];
	bool full = strcmp(value, "verify-full") == 0;

	if (!full && strcmp(value, "verify-ca") != 0)
		error(o, "clientcert: found %s, expected verify-ca or verify-full",
		    config_report_quote(quoted, value));
	else if (!full && o->rule->line.method == HBA_CERT)
		error(o, "clientcert: found verify-ca with the method cert, expected verify-full");
	o->rule->line.cert = full ? HBA_CERT_FULL : HBA_CERT_CA;
}

static void
set_clientname(struct options *o, const char *value)
{
	char quoted[CONFIG_QUOTED];

	if (strcmp(value, "CN") != 0)
		error(o, "clientname: found %s, expected CN (DN is not served)",
		    config_report_quote(quoted, value));
}

static void
set_pamservice(struct options *o, const char *value)
{
	char quoted[CONFIG_QUOTED];

	/* It becomes the name of a file in /etc/pam.d. */
	if (*value == '\0' || *value == '.' || strchr(value, '/') != NULL)
		error(o, "pamservice: found %s, expected the name of a service",
		    config_report_quote(quoted, value));
	o->rule->line.pam_service = value;
}

static void
set_pam_use_hostname(struct options *o, const char *value)
{
	char quoted[CONFIG_QUOTED];

	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		error(o, "pam_use_hostname: found %s, expected 0 or 1",
		    config_report_quote(quoted, value));
	o->rule->line.pam_use_hostname = *value == '1';
}

/* ---- the table ---- */

static const struct option {
	const char *name;
	void (*set)(struct options *, const char *value); /* NULL: kept as text */
	unsigned methods;
	const char *where; /* what is expected beside it */
	bool tls_only;
} options[] = {
	{ "map", set_map, BIT(HBA_CERT) | BIT(HBA_PEER) | BIT(HBA_JWT), "cert, peer, ident or jwt",
	    false },
	{ "clientcert", set_clientcert, ANY, NULL, true },
	{ "clientname", set_clientname, ANY, NULL, true },
	{ "pamservice", set_pamservice, BIT(HBA_PAM), "pam", false },
	{ "pam_use_hostname", set_pam_use_hostname, BIT(HBA_PAM), "pam", false },
	{ "ldapurl", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapserver", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapport", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapscheme", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldaptls", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapbinddn", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapbindpasswd", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapbasedn", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapsearchattribute", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapsearchfilter", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapprefix", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapsuffix", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapscope", NULL, BIT(HBA_LDAP), "ldap", false },
	{ "ldapcafile", NULL, BIT(HBA_LDAP), "ldap", false },
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

static const char *
expected(const struct hba_rule *rule)
{
	bool tls = rule->conns == HBA_CONN_TLS;

	switch (rule->line.method) {
	case HBA_CERT:
	case HBA_PEER:
	case HBA_JWT:
		return tls ? "map, clientcert or clientname" : "map";
	case HBA_PAM:
		return tls ? "pamservice, pam_use_hostname, clientcert or clientname"
			   : "pamservice or pam_use_hostname";
	case HBA_LDAP:
		return "ldapurl, ldapserver, ldapport, ldapscheme, ldaptls, ldapbinddn, ldapbindpasswd, "
		       "ldapbasedn, ldapsearchattribute, ldapsearchfilter, ldapscope, ldapprefix, ldapsuffix or "
		       "ldapcafile";
	default:
		return tls ? "clientcert or clientname" : "none with this method";
	}
}

/* ---- LDAP: options as they were, for who carries them out ---- */

static void
keep_ldap(struct options *o, const char *name, const char *value)
{
	const char *old = o->rule->line.ldap != NULL ? o->rule->line.ldap : "";
	size_t name_len = strlen(name), n = strlen(old);
	char *text = config_arena_alloc(o->arena, n + name_len + strlen(value) * 2 + 5);

	if (text == NULL) {
		config_report_no_memory(o->report);
		return;
	}
	memcpy(text, old, n);
	if (n > 0)
		text[n++] = ' ';
	memcpy(text + n, name, name_len);
	n += name_len;
	text[n++] = '=';
	text[n++] = '"';
	for (; *value != '\0'; value++) {
		if (*value == '"')
			text[n++] = '"';
		text[n++] = *value;
	}
	text[n] = '"'; /* the arena's zero ends it */
	o->rule->line.ldap = text;
}

/* ---- reading ---- */

static void
apply(struct options *o, size_t i, const char *value)
{
	const struct option *row = &options[i];

	if ((row->methods & BIT(o->rule->line.method)) == 0)
		error(o, "%s: found with the method %s, expected with %s", row->name, o->method,
		    row->where);
	else if (row->tls_only && o->rule->conns != HBA_CONN_TLS)
		error(o, "%s: expected on hostssl lines only", row->name);
	else if ((o->seen & BIT(i)) != 0)
		error(o, "%s: found twice, expected once", row->name);
	else if (row->set != NULL)
		row->set(o, value);
	else
		keep_ldap(o, row->name, value);
	o->seen |= BIT(i);
}

static void
read_option(struct options *o, const char *text)
{
	const char *equals = strchr(text, '=');
	char quoted[CONFIG_QUOTED] = "a word that is not shown", *name;

	if (equals == NULL) {
		error(o, "found %s behind the method %s, expected name=value",
		    o->secret ? quoted : config_report_quote(quoted, text), o->method);
		return;
	}
	if ((name = config_arena_text(o->arena, text)) == NULL) {
		config_report_no_memory(o->report);
		return;
	}
	name[equals - text] = '\0';
	for (size_t i = 0; i < OPTIONS; i++) {
		if (strcmp(name, options[i].name) == 0) {
			apply(o, i, name + (equals - text) + 1);
			o->secret = o->secret || strcmp(name, "ldapbindpasswd") == 0;
			return;
		}
	}
	error(o, "found the option %s, expected %s",
	    o->secret ? quoted : config_report_quote(quoted, name), expected(o->rule));
	o->secret = o->secret || strncmp(name, "ldap", 4) == 0; /* ldapbindpasword, say */
}

static const struct method {
	const char *word;
	int method; /* -1 = not served */
} methods[] = {
	{ "trust", HBA_TRUST },
	{ "reject", HBA_REJECT },
	{ "md5", HBA_MD5 },
	{ "password", HBA_PASSWORD },
	{ "plain", HBA_PASSWORD },
	{ "scram-sha-256", HBA_SCRAM },
	{ "cert", HBA_CERT },
	{ "peer", HBA_PEER },
	{ "ident", HBA_PEER },
	{ "ldap", HBA_LDAP },
	{ "pam", HBA_PAM },
	{ "jwt", HBA_JWT },
	{ "iam", HBA_IAM },
	{ "gss", -1 },
	{ "sspi", -1 },
	{ "radius", -1 },
	{ "bsd", -1 },
	{ "oauth", -1 },
};
#define METHOD_WORDS (sizeof(methods) / sizeof(methods[0]))

static const char *
method_word(const void *arg, size_t i)
{
	(void)arg;
	return methods[i].method != -1 ? methods[i].word : NULL;
}

static bool
read_method(struct options *o, const struct hba_field *f)
{
	char quoted[CONFIG_QUOTED];
	const char *near;
	size_t i;

	if (f->n != 1) {
		error(o, "found %zu values for the method, expected one", f->n);
		return false;
	}
	o->method = f->tokens->text;
	config_report_quote(quoted, o->method);
	for (i = 0; i < METHOD_WORDS && strcmp(o->method, methods[i].word) != 0;)
		i++;
	if (i < METHOD_WORDS && methods[i].method != -1) {
		o->rule->line.method = (enum hba_method)methods[i].method;
		return true;
	}
	if (i < METHOD_WORDS) {
		error(o, "found the method %s, which is not served, expected " METHODS, quoted);
		return false;
	}
	near = config_report_nearest(o->method, method_word, NULL, METHOD_WORDS);
	error(o, "found the method %s, expected " METHODS "%s%s%s", quoted,
	    near != NULL ? "; did you mean " : "", near != NULL ? near : "",
	    near != NULL ? "?" : "");
	return false;
}

/* Are the options of LDAP complete, and good together? Only their text is kept. */
static void
check_ldap(const struct options *o)
{
	struct login_ldap_options *ldap;
	char why[256];

	if (o->rule->line.ldap == NULL) {
		error(o, "ldap: found no options, expected %s", expected(o->rule));
		return;
	}
	ldap = login_ldap_options_parse(o->rule->line.ldap, why, sizeof(why));
	if (ldap == NULL)
		error(o, "ldap: %s", why);
	login_ldap_options_unref(ldap);
}

/* Does the method go with the connections of its line? */
static void
check_method(const struct options *o)
{
	const struct hba_rule *rule = o->rule;

	if (rule->line.method == HBA_PEER && rule->conns != HBA_CONN_LOCAL)
		error(o, "%s: expected on local lines only%s", o->method,
		    *o->method == 'i' ? " (ident servers are not asked)" : "");
	if (rule->line.method == HBA_CERT && rule->conns != HBA_CONN_TLS)
		error(o, "cert: expected on hostssl lines only");
	if ((rule->line.method == HBA_JWT || rule->line.method == HBA_IAM) &&
	    rule->conns == HBA_CONN_PLAIN)
		error(o, "%s: found on a hostnossl line, expected where there is TLS", o->method);
}

void
hba_option_read(struct hba_rule *rule, const struct hba_record *record, size_t i,
    struct config_arena *arena, struct config_report *report)
{
	struct options o = {
		.rule = rule,
		.record = record,
		.arena = arena,
		.report = report,
	};
	unsigned errors = report->errors;

	if (i >= record->n) {
		error(&o, "found the end of the line, expected a method: " METHODS);
		return;
	}
	if (!read_method(&o, &record->fields[i]))
		return;
	check_method(&o);
	while (++i < record->n) {
		for (size_t k = 0; k < record->fields[i].n; k++)
			read_option(&o, record->fields[i].tokens[k].text);
	}
	if (rule->line.method == HBA_CERT)
		rule->line.cert = HBA_CERT_FULL;
	if (rule->line.method == HBA_LDAP && report->errors == errors)
		check_ldap(&o);
}
