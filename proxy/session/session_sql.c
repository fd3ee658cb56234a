#include "proxy/session/session_sql.h"

#include "pool/command.h"
#include "pool/params.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/client_statements.h"
#include "proxy/session/relay_attach.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/session/sql_peek.h"
#include "proxy/wire/pgmsg.h"

#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_TIMEOUT_MS 15000
#define CUSTOM_MAX	    4096 /* bytes of custom parameter names of one client */

static void
pin(struct session *s, const char *why)
{
	char name[256];

	if (s->pinned)
		return;
	s->pinned = true;
	log_info("%s pinned to its server: %s", session_name(s, name, sizeof(name)), why);
}

void
session_sql_hints(struct session *s, uint8_t hints)
{
	if (hints & SQL_SETS)
		s->touched = s->touched_unknown = true;
	if ((hints & SQL_PINS) == 0)
		return;
	pin(s, hints & SQL_TEMP	      ? "temporary object"
	       : hints & SQL_ADVISORY ? "session advisory lock"
	       : hints & SQL_HOLD     ? "cursor WITH HOLD"
				      : "session authorization");
}

/* Custom parameters are hidden in pg_settings: their names are remembered, to be asked for one by one. */
static void
remember_custom(struct session *s, const char *name)
{
	struct client_statements *m = client_statements_of(s);
	const char *at, *end;

	if (m == NULL) {
		s->touched = s->touched_unknown = true;
		return;
	}
	at = (const char *)buf_data(&m->custom);
	end = at + buf_len(&m->custom);
	for (; at < end; at += strlen(at) + 1)
		if (strcmp(at, name) == 0)
			return;
	buf_put_str(&m->custom, name);
	/* too many to be remembered: what is not is the client's loss, but nobody else's find */
	if (buf_failed(&m->custom))
		s->touched = s->touched_unknown = true;
}

void
session_sql_text(struct session *s, const char *sql, size_t n)
{
	char name[128];

	if (sql_peek_custom(sql, n, name, sizeof(name)))
		remember_custom(s, name);
}

void
session_sql_query(struct session *s, const char *sql, size_t n)
{
	uint8_t hints = sql_peek_hints(sql, n);

	struct request *r = requests_last(&s->server->requests);

	if (hints & SQL_LOCAL_SET) {
		if (r != NULL)
			r->local_set = true;
	} else {
		session_sql_text(s, sql, n);
		if (r != NULL)
			r->known_set = sql_peek_plain_set(sql, n);
	}
	if (hints & ~SQL_LOCAL_SET)
		session_sql_hints(s, hints);
}

static bool
tag_is(const char *tag, size_t n, const char *word)
{
	return n == strlen(word) + 1 && memcmp(tag, word, n) == 0;
}

void
session_sql_tag(struct session *s, const char *tag, size_t n)
{
	const struct request *head;

	if (n == 0)
		return;
	switch (tag[0]) {
	case 'S':
		head = requests_head(&s->server->requests);
		if (!tag_is(tag, n, "SET") || (head != NULL && head->local_set))
			break;
		s->touched = true;
		/* in a longer text, behind a comment, or of a statement bound long ago: which one? */
		if (head == NULL || !head->known_set)
			s->touched_unknown = true;
		break;
	case 'R':
		if (tag_is(tag, n, "RESET"))
			s->touched = true;
		break;
	case 'D':
		if (tag_is(tag, n, "DISCARD ALL")) {
			s->touched = true;
			/* what was sent behind it may have pinned again already */
			if (s->server->requests.count <= 1)
				s->pinned = false;
		} else if (tag_is(tag, n, "DO")) {
			s->touched = s->touched_unknown = true;
		}
		break;
	case 'C':
		if (tag_is(tag, n, "CALL"))
			s->touched = s->touched_unknown = true;
		break;
	case 'L':
		if (tag_is(tag, n, "LISTEN") || tag_is(tag, n, "LOAD"))
			pin(s, tag);
		break;
	case 'P':
		if (tag_is(tag, n, "PREPARE"))
			pin(s, tag);
		break;
	default:
		break;
	}
}

/* ---- the snapshot ---- */

/* The query's way: the session may end meanwhile. */
struct snapshot {
	struct worker *worker;
	uint32_t slot;
	uint64_t id;
	struct params *params;
	bool failed;
	bool again;	/* a cancel request of the client has hit it once */
	bool was_reset; /* the server has nothing of the client any more */
};

static void
keep(void *arg, const char *name, const char *value)
{
	struct snapshot *t = arg;
	struct params *p = params_with(t->params, name, value);

	if (p != NULL)
		t->params = p;
	else
		t->failed = true;
}

/* A DataRow of two text columns, copied so that both end with a NUL. */
static void
on_row(struct server *server, const uint8_t *payload, size_t n, void *arg)
{
	struct pgcur c = pgcur_over(payload, n);
	struct snapshot *t = arg;
	char *text[2] = { NULL, NULL };

	if (pgcur_u16(&c) != 2)
		t->failed = true;
	for (int i = 0; i < 2 && !t->failed; i++) {
		uint32_t len = pgcur_u32(&c);
		const uint8_t *bytes = len == UINT32_MAX ? NULL : pgcur_bytes(&c, len);

		if (bytes == NULL && len == UINT32_MAX)
			break; /* NULL: not set */
		text[i] = bytes == NULL ? NULL : strndup((const char *)bytes, len);
		t->failed |= text[i] == NULL;
	}
	if (text[0] != NULL && text[1] != NULL && !params_is_fixed(text[0]) &&
	    !(strcmp(text[0], "role") == 0 && strcmp(text[1], "none") == 0))
		keep(t, text[0], server_value(server, text[0], text[1]));
	free(text[0]);
	free(text[1]);
}

static bool start_snapshot(struct session *, struct server *, struct snapshot *);

static void
on_snapshot(struct server *server, const struct command_result *r, void *arg)
{
	struct snapshot *t = arg;
	struct session *s = session_set_by_id(session_set_of(t->worker), t->slot, t->id);
	bool ok = r->ok && !t->failed;

	/* a cancel request that came a little late was meant for what is over already */
	if (!ok && s != NULL && !t->again && strcmp(r->sqlstate, "57014") == 0) {
		t->again = true;
		t->failed = false;
		params_unref(t->params);
		t->params = params_empty();
		if (start_snapshot(s, server, t))
			return;
	}

	if (ok && t->was_reset)
		server_forget_unreported(server);
	if (ok && !t->was_reset) {
		params_unref(server->params);
		server->params = params_ref(t->params);
	}
	if (ok) {
		params_set_proven(t->params);
		if (s != NULL) {
			params_unref(s->params);
			s->params = params_ref(t->params);
		}
	} else {
		server->close_when_free = true;
	}
	params_unref(t->params);
	free(t);
	pool_give_back(server);
	if (s == NULL)
		return;
	if (!ok) {
		(void)session_fail(s, FAULT_SERVER_LOST,
		    "the session parameters could not be saved");
		return;
	}
	session_enter(s, SESSION_IDLE);
	if (s->closing_after) {
		(void)session_fail(s, FAULT_SHUTDOWN, NULL);
		return;
	}
	stream_resume(&s->stream);
	(void)relay_refeed(s);
}

static const struct command_ops snapshot_ops = { .done = on_snapshot, .row = on_row };

static void
build_sql(const struct session *s, bool unknown, struct buf *sql)
{
	const struct buf *custom = s->statements != NULL ? &s->statements->custom : NULL;
	const char *at, *end;

	buf_printf(sql, "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session' "
			"UNION ALL SELECT 'role', pg_catalog.current_setting('role')");
	if (custom != NULL && buf_len(custom) > 0) {
		at = (const char *)buf_data(custom);
		end = at + buf_len(custom);
		for (; at < end; at += strlen(at) + 1) {
			buf_printf(sql, " UNION ALL SELECT");
			params_quote(sql, at);
			buf_printf(sql, ", pg_catalog.current_setting(");
			params_quote(sql, at);
			buf_printf(sql, ", true)");
		}
	}
	/* of parameters whose names nobody knows the next client must not find a trace */
	if (unknown)
		buf_printf(sql, "; RESET ALL; RESET ROLE");
	buf_put_u8(sql, '\0');
}

struct reporting {
	struct server *server;
	struct snapshot *t;
};

static void
keep_reported(void *arg, const char *name, const char *value)
{
	struct reporting *r = arg;

	if (params_get(r->server->reported, name) != NULL)
		keep(r->t, name, value);
}

static bool
start_snapshot(struct session *s, struct server *server, struct snapshot *t)
{
	struct reporting r = { server, t };
	struct buf sql;
	bool started;

	buf_init(&sql, 64 * 1024);
	build_sql(s, t->was_reset, &sql);
	params_each(server->params, keep_reported, &r);
	started = !buf_failed(&sql) && command_run(server, (const char *)buf_data(&sql),
					   SNAPSHOT_TIMEOUT_MS, &snapshot_ops, t);
	buf_release(&sql);
	return started;
}

bool
session_sql_snapshot(struct session *s)
{
	struct server *server = s->server;
	struct snapshot *t = calloc(1, sizeof(*t));
	bool unknown = s->touched_unknown;

	s->touched = s->touched_unknown = false;
	/* the server is between the two: input of the client waits as that of a queued one does */
	s->server = NULL;
	s->ticket.since_ms = session_now_ms(s);
	session_enter(s, SESSION_IDLE);
	session_enter(s, SESSION_QUEUED);
	server_let_go(server);
	if (t != NULL) {
		*t = (struct snapshot){ .worker = session_worker(s),
			.slot = s->slot,
			.id = s->id,
			.params = params_empty(),
			.was_reset = unknown };
		if (start_snapshot(s, server, t))
			return true;
		params_unref(t->params);
	}
	free(t);
	server->close_when_free = true;
	pool_give_back(server);
	return session_fail(s, FAULT_MEMORY, NULL);
}
