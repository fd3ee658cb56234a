#include "pool/connector_params.h"

#include "pool/connector.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Cannot exist, as /dev/null is no folder. With /dev/null itself libpq complains on stderr that it
 * is no plain file; with nothing it looks into the home directory. */
#define NO_FILE "/dev/null/none"

static void
set(struct connector_params *p, const char *key, const char *value)
{
	if (value == NULL)
		return;
	assert(p->n < CONNECTOR_PARAMS_MAX);
	p->key[p->n] = key;
	p->value[p->n++] = value;
	p->key[p->n] = p->value[p->n] = NULL;
}

static const char *
file_or_none(const char *file)
{
	return file != NULL && file[0] != '\0' ? file : NO_FILE;
}

static const char *
word(const char *value)
{
	return value != NULL && value[0] != '\0' ? value : NULL;
}

static void
set_tls(struct connector_params *p, const struct connect_tls *t)
{
	bool verify = t->mode != NULL && strncmp(t->mode, "verify-", 7) == 0;

	set(p, "sslmode", word(t->mode));
	/* Without verify-* the certificate is not looked at, as with PgBouncer. libpq would verify as
	 * soon as it sees a CA file, and in mode prefer fall back to plain text when that fails. */
	set(p, "sslrootcert", verify ? file_or_none(t->ca_file) : NO_FILE);
	set(p, "sslcrl", NO_FILE);
	set(p, "sslcert", file_or_none(t->cert_file));
	set(p, "sslkey", file_or_none(t->key_file));
	set(p, "ssl_min_protocol_version", word(t->min_protocol));
	set(p, "ssl_max_protocol_version", word(t->max_protocol));
	set(p, "sslsni", "1");
}

static void
set_number(struct connector_params *p, const char *key, char room[12], int value)
{
	if (value <= 0)
		return;
	snprintf(room, 12, "%d", value);
	set(p, key, room);
}

static void
set_keepalive(struct connector_params *p, const struct connect_target *t)
{
	set(p, "keepalives", t->keepalive ? "1" : "0");
	if (t->keepalive) {
		set_number(p, "keepalives_idle", p->numbers[0], t->keepidle);
		set_number(p, "keepalives_interval", p->numbers[1], t->keepintvl);
		set_number(p, "keepalives_count", p->numbers[2], t->keepcnt);
	}
	set_number(p, "tcp_user_timeout", p->numbers[3], t->user_timeout);
}

/* " -c name=value", with a backslash before blanks and backslashes. Nothing when it does not fit. */
static void
add_option(struct connector_params *p, const char *name, const char *value)
{
	size_t at = strlen(p->options), start = at;

	if (word(value) == NULL)
		return;
	at += (size_t)snprintf(p->options + at, sizeof(p->options) - at,
	    "%s-c %s=", at > 0 ? " " : "", name);
	for (const char *c = value; *c != '\0' && at + 3 < sizeof(p->options); c++) {
		if (*c == ' ' || *c == '\\' || (*c >= '\t' && *c <= '\r'))
			p->options[at++] = '\\';
		p->options[at++] = *c;
		if (c[1] == '\0') {
			p->options[at] = '\0';
			return;
		}
	}
	p->options[start] = '\0';
}

void
connector_params_fill(struct connector_params *p, const struct connect_target *t, const char *host,
    const char *addr)
{
	memset(p, 0, sizeof(*p));
	snprintf(p->port, sizeof(p->port), "%d", t->port);
	set(p, "host", host);
	set(p, "hostaddr", addr);
	set(p, "port", p->port);
	set(p, "dbname", t->dbname);
	set(p, "user", t->user);
	set(p, "password", word(t->password));
	set(p, "passfile", NO_FILE);
	set(p, "application_name", t->application_name);
	set(p, "client_encoding", word(t->client_encoding));
	set(p, "replication", word(t->replication));
	/* libpq has no keywords for these two, only environment variables of the whole process */
	add_option(p, "datestyle", t->datestyle);
	add_option(p, "timezone", t->timezone);
	set(p, "options", word(p->options));
	/* the socket could not be taken over */
	set(p, "gssencmode", "disable");
	set(p, "target_session_attrs", "any");
	set_tls(p, &t->tls);
	set_keepalive(p, t);
}
