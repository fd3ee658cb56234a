#include "auth/hba.h"

#include "auth/hba_rule.h"
#include "auth/interfaces.h"
#include "auth/name_regex.h"

#include <string.h>
#include <strings.h>

/* What one field of a line says of the query. The order counts: of several needs the first is told,
 * and a no outweighs them all. */
enum fit { FIT_YES, FIT_NEEDS_MEMBERSHIP, FIT_NEEDS_DNS, FIT_NEEDS_INTERFACES, FIT_NO };

/* A query, with what every line would work out anew. */
struct matcher {
	const struct hba_query *q;
	struct inet_addr peer;
	uint8_t conn;
	int same_host, same_net; /* of the interfaces: -1 = not asked yet */
};

/* ---- address ---- */

static enum fit
fits_dns(const struct hba_rule *r, const struct hba_query *q)
{
	size_t ours = strlen(r->dns), theirs;

	if (q->dns_name == NULL)
		return FIT_NEEDS_DNS;
	theirs = strlen(q->dns_name);
	if (r->dns[0] != '.')
		return strcasecmp(r->dns, q->dns_name) == 0 ? FIT_YES : FIT_NO;
	return theirs > ours && strcasecmp(q->dns_name + (theirs - ours), r->dns) == 0 ? FIT_YES
										       : FIT_NO;
}

static enum fit
fits_interfaces(struct matcher *m, enum hba_address_kind kind)
{
	const struct interfaces *own = m->q->interfaces;

	if (own == NULL)
		return FIT_NEEDS_INTERFACES;
	if (kind == HBA_ADDRESS_SAMEHOST) {
		if (m->same_host == -1)
			m->same_host = interfaces_same_host(own, &m->peer);
		return m->same_host ? FIT_YES : FIT_NO;
	}
	if (m->same_net == -1)
		m->same_net = interfaces_same_net(own, &m->peer);
	return m->same_net ? FIT_YES : FIT_NO;
}

static enum fit
fits_address(struct matcher *m, const struct hba_rule *r)
{
	switch (r->address) {
	case HBA_ADDRESS_ALL:
		return FIT_YES;
	case HBA_ADDRESS_RANGE:
		return inet_range_has(&r->range, &m->peer) ? FIT_YES : FIT_NO;
	case HBA_ADDRESS_SAMEHOST:
	case HBA_ADDRESS_SAMENET:
		return fits_interfaces(m, r->address);
	case HBA_ADDRESS_DNS:
		return fits_dns(r, m->q);
	}
	return FIT_NO;
}

/* ---- names ---- */

static enum fit
fits_member(const struct hba_query *q, const char *role)
{
	if (strcmp(role, q->user) == 0)
		return FIT_YES;
	if (q->member == NULL)
		return FIT_NEEDS_MEMBERSHIP;
	return q->member(q->arg, role) ? FIT_YES : FIT_NO;
}

static enum fit
fits_name(const struct hba_query *q, const struct hba_name *n, const char *name)
{
	bool fits = false;

	switch (n->kind) {
	case HBA_NAME:
		fits = strcmp(n->text, name) == 0;
		break;
	case HBA_NAME_ALL:
		fits = true;
		break;
	case HBA_NAME_SAMEUSER:
		fits = strcmp(q->database, q->user) == 0;
		break;
	case HBA_NAME_SAMEROLE:
		return fits_member(q, q->database);
	case HBA_NAME_ROLE:
		return fits_member(q, n->text);
	case HBA_NAME_REGEX:
		fits = name_regex_match(n->regex, name);
		break;
	case HBA_NAME_REPLICATION:
		break; /* a database of this name has to be quoted */
	}
	return fits ? FIT_YES : FIT_NO;
}

/* Any of a list will do; one that is certain saves the questions of the others. */
static enum fit
fits_names(const struct hba_query *q, const struct hba_names *names, const char *name)
{
	enum fit best = FIT_NO;

	for (size_t i = 0; i < names->n && best != FIT_YES; i++) {
		enum fit fit = fits_name(q, &names->item[i], name);

		if (fit < best)
			best = fit;
	}
	return best;
}

/* Physical replication belongs to no database: neither all nor a name stands for it. */
static enum fit
fits_database(const struct hba_query *q, const struct hba_names *names)
{
	if (!q->replication)
		return fits_names(q, names, q->database);
	for (size_t i = 0; i < names->n; i++) {
		if (names->item[i].kind == HBA_NAME_REPLICATION)
			return FIT_YES;
	}
	return FIT_NO;
}

/* ---- lines ---- */

static enum fit
fits(struct matcher *m, const struct hba_rule *r)
{
	enum fit address, database, user, worst;

	if ((r->conns & m->conn) == 0 || (address = fits_address(m, r)) == FIT_NO)
		return FIT_NO;
	if ((database = fits_database(m->q, &r->databases)) == FIT_NO)
		return FIT_NO;
	user = fits_names(m->q, &r->users, m->q->user);
	worst = address > database ? address : database;
	return worst > user ? worst : user;
}

enum hba_outcome
hba_match(const struct hba *h, const struct hba_query *q, const struct hba_line **line)
{
	struct matcher m = { .q = q, .same_host = -1, .same_net = -1 };

	if (!q->is_local)
		m.peer = inet_addr_of(q->peer);
	m.conn = q->is_local ? HBA_CONN_LOCAL : q->tls ? HBA_CONN_TLS : HBA_CONN_PLAIN;
	for (size_t i = 0; i < h->n; i++) {
		enum fit fit = fits(&m, &h->rules[i]);

		*line = &h->rules[i].line;
		switch (fit) {
		case FIT_YES:
			return (*line)->cert != HBA_CERT_NONE && !q->cert_verified ? HBA_NO_CERT
										   : HBA_MATCH;
		case FIT_NEEDS_MEMBERSHIP:
			return HBA_NEEDS_MEMBERSHIP;
		case FIT_NEEDS_DNS:
			return HBA_NEEDS_DNS;
		case FIT_NEEDS_INTERFACES:
			return HBA_NEEDS_INTERFACES;
		case FIT_NO:
			break;
		}
	}
	*line = NULL;
	return HBA_NO_MATCH;
}
