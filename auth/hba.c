#include "auth/hba.h"

#include "auth/hba_rule.h"
#include "auth/name_regex.h"
#include "proxy/config/config_arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hba *
hba_ref(struct hba *h)
{
	atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
	return h;
}

void
hba_unref(struct hba *h)
{
	if (h == NULL || atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
		return;
	name_regex_free(h->regexes);
	free(h->rules);
	config_arena_free(h->arena);
	free(h);
}

size_t
hba_count(const struct hba *h)
{
	return h->n;
}

const struct hba_line *
hba_line_at(const struct hba *h, size_t i)
{
	return i < h->n ? &h->rules[i].line : NULL;
}

const char *
hba_method_name(enum hba_method m)
{
	static const char *const names[] = {
		[HBA_TRUST] = "trust",
		[HBA_REJECT] = "reject",
		[HBA_MD5] = "md5",
		[HBA_PASSWORD] = "password",
		[HBA_SCRAM] = "scram-sha-256",
		[HBA_CERT] = "cert",
		[HBA_PEER] = "peer",
		[HBA_LDAP] = "ldap",
		[HBA_PAM] = "pam",
		[HBA_JWT] = "jwt",
		[HBA_IAM] = "iam",
	};

	return names[m];
}

const char *
hba_reject_message(char buf[HBA_MESSAGE_BYTES], const struct hba_query *q, enum hba_outcome outcome)
{
	struct inet_addr peer = inet_addr_of(q->is_local ? NULL : q->peer);
	char text[INET_ADDR_TEXT];
	const char *host = q->is_local ? "[local]" : inet_addr_text(&peer, text);
	const char *tls = q->tls ? "SSL encryption" : "no encryption";
	bool found = outcome == HBA_MATCH;

	if (outcome == HBA_NO_CERT)
		snprintf(buf, HBA_MESSAGE_BYTES, "connection requires a valid client certificate");
	else if (q->replication)
		snprintf(buf, HBA_MESSAGE_BYTES, "%s host \"%s\", user \"%.150s\", %s",
		    found ? "pg_hba.conf rejects replication connection for"
			  : "no pg_hba.conf entry for replication connection from",
		    host, q->user, tls);
	else
		snprintf(buf, HBA_MESSAGE_BYTES,
		    "%s host \"%s\", user \"%.150s\", database \"%.150s\", %s",
		    found ? "pg_hba.conf rejects connection for" : "no pg_hba.conf entry for", host,
		    q->user, q->database, tls);
	return buf;
}
