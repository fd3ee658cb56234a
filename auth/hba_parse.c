#include "auth/hba.h"

#include "auth/auth_user.h"
#include "auth/hba_rule.h"
#include "auth/hba_token.h"
#include "auth/name_regex.h"
#include "proxy/config/config_arena.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DNS_NAME_MAX 254 /* bytes, with a suffix's dot */

struct parser {
	struct hba *h;
	struct config_report *report;
};

#define error(p, r, ...) config_report_error((p)->report, (r)->at, __VA_ARGS__)

/* ---- connection type ---- */

static const struct conn {
	const char *word;
	int conns; /* 0 = not served */
} conns[] = {
	{ "local", HBA_CONN_LOCAL },
	{ "host", HBA_CONN_PLAIN | HBA_CONN_TLS },
	{ "hostssl", HBA_CONN_TLS },
	{ "hostnossl", HBA_CONN_PLAIN },
	{ "hostnogssenc", HBA_CONN_PLAIN | HBA_CONN_TLS },
	{ "hostgssenc", 0 },
};

static const char *
conn_word(const void *arg, size_t i)
{
	(void)arg;
	return conns[i].conns != 0 ? conns[i].word : NULL;
}

static bool
read_conn(const struct parser *p, const struct hba_record *r, struct hba_rule *rule)
{
	const size_t n = sizeof(conns) / sizeof(conns[0]);
	const struct hba_field *f = &r->fields[0];
	char quoted[CONFIG_QUOTED];
	const char *near;

	if (f->n != 1) {
		error(p, r, "found %zu values for the connection type, expected one", f->n);
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(f->tokens->text, conns[i].word) == 0)
			rule->conns = (uint8_t)conns[i].conns;
	}
	if (rule->conns != 0)
		return true;
	near = config_report_nearest(f->tokens->text, conn_word, NULL, n);
	error(p, r,
	    "found %s, expected local, host, hostssl, hostnossl, hostnogssenc (GSSAPI is not served), "
	    "include, include_if_exists or include_dir%s%s%s",
	    config_report_quote(quoted, f->tokens->text), near != NULL ? "; did you mean " : "",
	    near != NULL ? near : "", near != NULL ? "?" : "");
	return false;
}

/* ---- databases and users ---- */

static const struct word {
	const char *text;
	enum hba_name_kind kind;
} database_words[] = {
	{ "all", HBA_NAME_ALL },
	{ "sameuser", HBA_NAME_SAMEUSER },
	{ "samerole", HBA_NAME_SAMEROLE },
	{ "samegroup", HBA_NAME_SAMEROLE },
	{ "replication", HBA_NAME_REPLICATION },
	{ NULL, HBA_NAME },
}, user_words[] = { { "all", HBA_NAME_ALL }, { NULL, HBA_NAME } };

static void
read_regex(const struct parser *p, const struct hba_record *r, const struct hba_token *t,
    struct hba_name *out)
{
	char why[NAME_REGEX_WHY], quoted[CONFIG_QUOTED];
	struct name_regex *regex = name_regex_new(t->text + 1, why);

	if (regex == NULL) {
		error(p, r, "regular expression %s: %s", config_report_quote(quoted, t->text), why);
		return;
	}
	p->h->regexes = name_regex_chain(regex, p->h->regexes);
	out->kind = HBA_NAME_REGEX;
	out->regex = regex;
}

static void
read_name(const struct parser *p, const struct hba_record *r, const struct hba_token *t,
    const struct word *words, struct hba_name *out)
{
	const char *what = words == user_words ? "user" : "database";
	char quoted[CONFIG_QUOTED];

	*out = (struct hba_name){ .kind = HBA_NAME, .text = t->text };
	for (; words->text != NULL; words++) {
		if (hba_token_is(t, words->text)) {
			out->kind = words->kind;
			return;
		}
	}
	if (t->text[0] == '/') {
		read_regex(p, r, t, out);
		return;
	}
	if (*what == 'u' && t->text[0] == '+' && !t->quoted) {
		out->kind = HBA_NAME_ROLE;
		out->text++;
	}
	if (*out->text == '\0')
		error(p, r, "found %s in the %s list, expected a name",
		    config_report_quote(quoted, t->text), what);
	if (strlen(out->text) > AUTH_USER_NAME_MAX)
		config_report_warning(p->report, r->at,
		    "found %s in the %s list, which has more than %d bytes: no name is that long",
		    config_report_quote(quoted, out->text), what, AUTH_USER_NAME_MAX);
}

static bool
read_names(const struct parser *p, const struct hba_record *r, size_t i, const struct word *words,
    struct hba_names *out)
{
	const struct hba_field *f;
	struct hba_name *items;

	if (i >= r->n) {
		error(p, r, "found the end of the line, expected a %s list",
		    words == user_words ? "user" : "database");
		return false;
	}
	f = &r->fields[i];
	if ((items = config_arena_alloc(p->h->arena, f->n * sizeof(*items))) == NULL) {
		config_report_no_memory(p->report);
		return false;
	}
	for (size_t k = 0; k < f->n; k++)
		read_name(p, r, &f->tokens[k], words, &items[k]);
	out->item = items;
	out->n = f->n;
	return true;
}

/* ---- address ---- */

/* "10.0.0.0/8", slash: where it is. */
static bool
read_cidr(const struct parser *p, const struct hba_record *r, const char *text, const char *slash,
    struct hba_rule *rule)
{
	char base[INET_ADDR_TEXT], quoted[CONFIG_QUOTED];
	size_t len = (size_t)(slash - text);
	unsigned bits = 0, most;
	const char *d;

	config_report_quote(quoted, text);
	memcpy(base, text, len < sizeof(base) ? len : 0);
	base[len < sizeof(base) ? len : 0] = '\0';
	if (!inet_addr_parse(&rule->range.base, base)) {
		error(p, r,
		    "found %s, expected an IP address before the slash (a name takes no mask)",
		    quoted);
		return false;
	}
	most = rule->range.base.len * 8u;
	for (d = slash + 1; isdigit((unsigned char)*d) && bits <= most; d++)
		bits = bits * 10 + (unsigned)(*d - '0');
	if (d == slash + 1 || *d != '\0' || bits > most) {
		error(p, r, "found %s, expected a number from 0 to %u behind the slash", quoted,
		    most);
		return false;
	}
	rule->range.mask = inet_addr_mask(rule->range.base.len, bits);
	return true;
}

/* The mask in a field of its own, behind the address. */
static bool
read_mask(const struct parser *p, const struct hba_record *r, size_t i, struct hba_rule *rule)
{
	const struct hba_field *f = i < r->n ? &r->fields[i] : NULL;
	char address[CONFIG_QUOTED], quoted[CONFIG_QUOTED] = "the end of the line";

	config_report_quote(address, r->fields[i - 1].tokens->text);
	if (f != NULL && f->n > 0)
		config_report_quote(quoted, f->tokens->text);
	if (f == NULL || f->n != 1 || !inet_addr_parse(&rule->range.mask, f->tokens->text)) {
		error(p, r,
		    "found %s behind the address %s, expected its mask (or write ADDRESS/BITS)",
		    quoted, address);
		return false;
	}
	if (rule->range.mask.len != rule->range.base.len) {
		error(p, r, "found the mask %s, expected an IPv%d one as the address %s is", quoted,
		    rule->range.base.len == 4 ? 4 : 6, address);
		return false;
	}
	return true;
}

static bool
read_dns(const struct parser *p, const struct hba_record *r, const char *text,
    struct hba_rule *rule)
{
	static const char good[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(text);
	char quoted[CONFIG_QUOTED];

	/* Names do not end in a number: that is an address with a fault. */
	if (len == 0 || len > DNS_NAME_MAX || strspn(text, good) != len ||
	    strspn(text, "0123456789.") == len) {
		error(p, r,
		    "found the address %s, expected ADDRESS/BITS, ADDRESS MASK, all, samehost, samenet, a "
		    "host name or a .suffix",
		    config_report_quote(quoted, text));
		return false;
	}
	rule->dns = text;
	rule->address = HBA_ADDRESS_DNS;
	return true;
}

/* Reads the address from field *i on and puts *i behind it. */
static bool
read_address(const struct parser *p, const struct hba_record *r, size_t *i, struct hba_rule *rule)
{
	const struct hba_field *f;
	char quoted[CONFIG_QUOTED];
	const struct hba_token *t;
	const char *slash;

	if (*i >= r->n) {
		error(p, r, "found the end of the line, expected an address");
		return false;
	}
	f = &r->fields[*i];
	if (f->n != 1) {
		error(p, r, "found %zu values for the address, expected one", f->n);
		return false;
	}
	t = f->tokens;
	++*i;
	if (hba_token_is(t, "all"))
		return true;
	if (hba_token_is(t, "samehost") || hba_token_is(t, "samenet")) {
		rule->address = t->text[4] == 'h' ? HBA_ADDRESS_SAMEHOST : HBA_ADDRESS_SAMENET;
		return true;
	}
	rule->address = HBA_ADDRESS_RANGE;
	if ((slash = strchr(t->text, '/')) != NULL) {
		if (!read_cidr(p, r, t->text, slash, rule))
			return false;
	} else if (inet_addr_parse(&rule->range.base, t->text)) {
		if (!read_mask(p, r, *i, rule))
			return false;
		++*i;
	} else {
		return read_dns(p, r, t->text, rule);
	}
	if (inet_range_is_loose(&rule->range))
		config_report_warning(p->report, r->at,
		    "found the address %s, which has bits set that its mask hides; they do not count",
		    config_report_quote(quoted, t->text));
	return true;
}

/* ---- lines and files ---- */

static void
add(struct hba *h, const struct hba_rule *rule, struct config_report *report)
{
	if (h->n == h->room) {
		size_t room = h->room == 0 ? 32 : h->room * 2;
		struct hba_rule *rules = reallocarray(h->rules, room, sizeof(*rules));

		if (rules == NULL) {
			config_report_no_memory(report);
			return;
		}
		h->rules = rules;
		h->room = room;
	}
	h->rules[h->n++] = *rule;
}

static void
read_record(void *arg, const struct hba_record *r)
{
	struct hba_rule rule = { .line = { .file = r->at.file, .number = r->at.line } };
	struct parser *p = arg;
	unsigned errors = p->report->errors;
	size_t i = 3;

	if (!read_conn(p, r, &rule) || !read_names(p, r, 1, database_words, &rule.databases) ||
	    !read_names(p, r, 2, user_words, &rule.users))
		return;
	if (rule.conns != HBA_CONN_LOCAL && !read_address(p, r, &i, &rule))
		return;
	hba_option_read(&rule, r, i, p->h->arena, p->report);
	if (p->report->errors == errors)
		add(p->h, &rule, p->report);
}

struct hba *
hba_load(const char *path, hba_say *say, void *arg)
{
	struct config_report report = { .say = say, .arg = arg };
	struct parser p = { .h = calloc(1, sizeof(*p.h)), .report = &report };

	if (p.h == NULL) {
		config_report_no_memory(&report);
		return NULL;
	}
	atomic_init(&p.h->refs, 1);
	if ((p.h->arena = config_arena_new()) == NULL)
		config_report_no_memory(&report);
	else
		hba_token_read(path, p.h->arena, &report, read_record, &p);
	if (report.errors == 0)
		return p.h;
	hba_unref(p.h);
	return NULL;
}
