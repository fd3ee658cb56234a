#include "proxy/session/console_session.h"

#include "pool/params.h"
#include "proxy/base/log.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"
#include "proxy/session/console_extended.h"
#include "proxy/session/login.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONSOLE_KEY_BYTES 4
#define PID_SLOT_BITS	  25
#define MESSAGE_MAX	  (CONSOLE_LINE_MAX + 256)
#define IN_HIGH		  (4u * MESSAGE_MAX) /* pipelined messages kept while a command is under way */
#define RETRY_MS	  50

/* Drivers read a number at the beginning of server_version and choose their catalogue queries by it. */
#define SERVER_VERSION "15.0 (pgsluice %s)"

bool
console_is(const char *database)
{
	return strcmp(database, "pgsluice") == 0 || strcmp(database, "pgbouncer") == 0;
}

bool
console_trusts(const struct session *s, const char *user)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return console_is(user) && s->local_socket &&
	       getsockopt(stream_fd(&s->stream), SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.uid == getuid();
}

const char *
console_user(const struct console *c)
{
	return c->user;
}

/* ---- login ---- */

static bool
greet(struct session *s, const struct console *c, struct buf *out)
{
	static const char *const fixed[][2] = {
		{ "client_encoding", "UTF8" },
		{ "server_encoding", "UTF8" },
		{ "DateStyle", "ISO" },
		{ "TimeZone", "GMT" },
		{ "integer_datetimes", "on" },
		{ "standard_conforming_strings", "on" },
		{ "is_superuser", "on" },
	};
	char version[64];

	s->key_len = CONSOLE_KEY_BYTES;
	if (secret_random(s->key, CONSOLE_KEY_BYTES) == -1)
		return false;
	snprintf(version, sizeof(version), SERVER_VERSION, c->host->version);
	pgwrite_parameter_status(out, "server_version", version);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		pgwrite_parameter_status(out, fixed[i][0], fixed[i][1]);
	pgwrite_backend_key(out, (uint32_t)session_worker(s)->index << PID_SLOT_BITS | s->slot,
	    s->key, s->key_len);
	pgwrite_ready(out, 'I');
	return !buf_failed(out) && stream_write(&s->stream, buf_data(out), buf_len(out)) == 0;
}

static void on_retry(struct deadline *);

static struct console *
console_new(struct session *s, const char *user, enum console_role role, struct console_host *host)
{
	struct console *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->user = strdup(user)) == NULL) {
		free(c);
		return NULL;
	}
	c->session = s;
	c->role = role;
	c->host = host;
	buf_init(&c->out, BUF_CAP_MAX);
	console_names_init(&c->statements);
	console_names_init(&c->portals);
	deadline_init(&c->retry, on_retry);
	return c;
}

void
console_session_free(struct console *c)
{
	if (c == NULL)
		return;
	console_job_abandon(c->job);
	loop_deadline_remove(&session_worker(c->session)->loop, &c->retry);
	console_names_clear(&c->statements);
	console_names_clear(&c->portals);
	buf_release(&c->out);
	free(c->user);
	free(c);
}

bool
console_begin(struct session *s, const char *user, struct buf *out)
{
	struct session_set *set = session_set_of(session_worker(s));
	const struct config *cfg = set->env->cfg;
	enum console_role role = console_trusts(s, user) ? CONSOLE_ADMIN : console_role(cfg, user);
	struct console *c;

	if (role == CONSOLE_NOBODY)
		return session_fail(s, FAULT_CONSOLE_RIGHTS,
		    "permission denied: the user is neither in admin_users nor in stats_users");
	if (set->console_owner == NULL)
		return session_fail_as(s, "57P03", "the console is starting up", NULL);
	c = console_new(s, user, role, set->console_owner);
	if (c == NULL)
		return session_fail(s, FAULT_MEMORY, NULL);
	if (!greet(s, c, out)) {
		console_session_free(c);
		session_end(s, "client went away");
		return false;
	}
	atomic_fetch_add(&c->host->logins, 1);
	if (cfg->log_connections)
		log_info("C-%llu: login attempt: db=pgsluice user=%s tls=%s",
		    (unsigned long long)s->id, c->user, s->stream.ssl != NULL ? "yes" : "no");
	session_set_login_ends(set, s);
	list_push_back(&set->all, &s->place);
	login_free(s->login);
	s->console = c;
	session_enter(s, SESSION_CONSOLE);
	return true;
}

/* ---- commands ---- */

void
console_refuse(struct console *c, const char *sqlstate, const char *message)
{
	pgwrite_error(&c->out, "ERROR", sqlstate, message, NULL, NULL);
}

static bool go_on(struct console *);

/* A job is home. */
static void
on_done(struct session *s, struct buf *out, bool ok)
{
	struct console *c = s->console;

	c->job = NULL;
	buf_put(&c->out, buf_data(out), buf_len(out));
	if (buf_failed(out))
		c->out.failed = true;
	if (c->simple)
		pgwrite_ready(&c->out, 'I');
	else if (!ok)
		c->skipping = true;
	(void)go_on(c);
}

enum console_outcome
console_carry_out(struct console *c, struct console_line *line, bool describe, uint32_t binary)
{
	struct console_order o = {
		.session = c->session,
		.host = c->host,
		.line = line,
		.user = c->user,
		.describe = describe,
		.binary = binary,
		.done = on_done,
	};

	atomic_fetch_add(&c->host->commands, 1);
	if (line->command.admin_only && c->role != CONSOLE_ADMIN) {
		console_refuse(c, fault_sqlstate(FAULT_CONSOLE_RIGHTS),
		    fault_sentence(FAULT_CONSOLE_RIGHTS));
		return CONSOLE_REFUSED;
	}
	return console_job_run(&o, &c->out, &c->job);
}

static void
query(struct console *c, const uint8_t *payload, size_t n)
{
	struct pgcur m = pgcur_over(payload, n);
	const char *text = pgcur_str(&m);
	struct console_line *line = NULL;
	char err[512] = "invalid Query message";
	enum fault f = FAULT_PROTOCOL;
	enum console_outcome o = CONSOLE_REFUSED;

	console_names_drop(&c->statements, "");
	console_names_drop(&c->portals, "");
	c->skipping = false;
	c->simple = true;
	if (pgcur_done(&m))
		line = console_line_new(text, &f, err, sizeof(err));
	if (line != NULL)
		o = console_carry_out(c, line, true, 0);
	else
		pgwrite_error(&c->out, "ERROR", fault_sqlstate(f),
		    err[0] != '\0' ? err : fault_sentence(f), NULL,
		    f == FAULT_CONSOLE_SYNTAX ? "SHOW HELP lists the commands." : NULL);
	console_line_unref(line);
	if (o != CONSOLE_UNDER_WAY)
		pgwrite_ready(&c->out, 'I');
}

/* ---- messages ---- */

/* Whatever has been answered so far. false: the session is gone. */
static bool
send_out(struct console *c)
{
	struct session *s = c->session;
	bool failed = buf_failed(&c->out);
	bool sent = failed || buf_len(&c->out) == 0 ||
		    stream_write(&s->stream, buf_data(&c->out), buf_len(&c->out)) == 0;

	buf_release(&c->out);
	if (failed)
		return session_fail(s, FAULT_MEMORY, NULL);
	if (!sent)
		session_end(s, "client went away");
	return sent;
}

static bool
fatal(struct console *c, enum fault f, const char *message)
{
	struct session *s = c->session;

	return send_out(c) ? session_fail(s, f, message) : false;
}

/* One whole message. false: the session is gone. */
static bool
message(struct console *c, char type, const uint8_t *payload, size_t n)
{
	switch (type) {
	case 'Q':
		query(c, payload, n);
		return true;
	case 'P':
	case 'B':
	case 'D':
	case 'E':
	case 'C':
		console_extended(c, type, payload, n);
		return true;
	case 'S':
		/* the end of a transaction: portals do not outlive it */
		console_names_clear(&c->portals);
		c->skipping = false;
		pgwrite_ready(&c->out, 'I');
		return true;
	case 'H':
	case 'd':
	case 'c':
	case 'f':
		return true;
	case 'F':
		console_refuse(c, "0A000", "the console has no functions");
		pgwrite_ready(&c->out, 'I');
		return true;
	case 'X':
		if (send_out(c))
			session_end(c->session, "client close request");
		return false;
	default:
		return fatal(c, FAULT_PROTOCOL, "unexpected message type on the console");
	}
}

/* Deals with the messages that are there, until one has to wait. false: the session is gone. */
static bool
go_on(struct console *c)
{
	struct session *s = c->session;

	while (c->job == NULL && buf_len(&s->in) >= PGMSG_HEADER) {
		const uint8_t *p = buf_data(&s->in);
		uint32_t len = pg_get_u32(p + 1);

		if (len < 4)
			return fatal(c, FAULT_PROTOCOL, "invalid message length");
		if (len > MESSAGE_MAX)
			return fatal(c, FAULT_MESSAGE_TOO_LARGE,
			    "a console message may have 64 kB");
		if (buf_len(&s->in) < len + 1)
			break;
		if (buf_len(&c->out) > STREAM_HIGH && !send_out(c))
			return false;
		if (stream_is_high(&s->stream)) {
			/* no more answers before these are read */
			loop_deadline(&session_worker(s)->loop, &c->retry,
			    session_now_ms(s) + RETRY_MS);
			break;
		}
		if (!message(c, (char)p[0], p + PGMSG_HEADER, len - 4))
			return false;
		buf_consume(&s->in, len + 1);
	}
	if (!send_out(c))
		return false;
	if (buf_len(&s->in) == 0)
		buf_release(&s->in);
	if (buf_len(&s->in) > IN_HIGH)
		stream_pause(&s->stream);
	else if (s->stream.paused)
		stream_resume(&s->stream);
	return true;
}

static void
on_retry(struct deadline *d)
{
	(void)go_on(list_entry(d, struct console, retry));
}

bool
console_continue(struct session *s)
{
	s->in.wipe = false;
	return buf_len(&s->in) == 0 || go_on(s->console);
}

bool
console_readable(struct session *s)
{
	ssize_t got = stream_read(&s->stream, session_worker(s)->rbuf, MESSAGE_MAX);

	if (got == 0)
		return true;
	if (got == -1) {
		session_end(s, "client unexpected eof");
		return false;
	}
	buf_put(&s->in, session_worker(s)->rbuf, (size_t)got);
	if (buf_failed(&s->in))
		return session_fail(s, FAULT_MEMORY, NULL);
	return go_on(s->console);
}
