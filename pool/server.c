#include "auth/secret_version.h"
#include "pool/server.h"

#include "pool/connector.h"
#include "pool/params.h"
#include "pool/statement.h"
#include "proxy/base/log.h"
#include "proxy/wire/pgmsg.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_uint_fast64_t last_id;

static bool
on_readable(struct stream *st)
{
	struct server *s = list_entry(st, struct server, stream);

	return s->holder->ops->readable(s->holder, s);
}

static bool
on_drained(struct stream *st)
{
	struct server *s = list_entry(st, struct server, stream);

	return s->holder->ops->drained == NULL || s->holder->ops->drained(s->holder, s);
}

static const struct stream_ops ops = { .readable = on_readable, .drained = on_drained };

/* ParameterStatus values as the connector collected them: the session's own ones. */
static struct params *
reported(const char *text, size_t len)
{
	struct params *p = params_empty(), *next;
	const char *at = text;

	while (at < text + len) {
		const char *name = at, *value = at + strlen(at) + 1;

		at = value + strlen(value) + 1;
		if (params_is_fixed(name))
			continue;
		if (strcasecmp(name, "session_authorization") == 0)
			value = "";
		next = params_with(p, name, value);
		if (next == NULL) {
			params_unref(p);
			return NULL;
		}
		p = next;
	}
	return p;
}

static bool
note_login_user(struct server *s, const char *text, size_t len)
{
	for (const char *at = text; at < text + len;) {
		const char *value = at + strlen(at) + 1;

		if (strcasecmp(at, "session_authorization") == 0) {
			s->login_user = strdup(value);
			return s->login_user != NULL;
		}
		at = value + strlen(value) + 1;
	}
	return true;
}

struct server *
server_adopt(struct connect_job *job, struct pool *pool, struct worker *w)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		goto fail;
	s->key = malloc(job->key_len + 1u);
	s->peer = malloc(sizeof(*s->peer));
	s->params = reported(job->params, job->params_len);
	if (s->key == NULL || s->peer == NULL || s->params == NULL ||
	    !note_login_user(s, job->params, job->params_len))
		goto fail_server;
	s->reported = params_ref(s->params);
	memcpy(s->key, job->key, job->key_len);
	s->key_len = job->key_len;
	*s->peer = job->peer;
	s->peer_len = job->peer_len;
	s->backend_pid = job->backend_pid;
	s->pg = job->pg;
	s->pool = pool;
	s->worker = w;
	s->status = 'I';
	s->state = SERVER_TESTED;
	s->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	s->connected_ms = s->idle_since_ms = loop_now_ms(&w->loop);
	list_init(&s->place);
	list_init(&s->letter.node);
	deadline_init(&s->deadline, NULL);
	server_statements_init(&s->statements);
	buf_init(&s->in, WORKER_RBUF_SIZE / 2);
	stream_init(&s->stream, job->fd, &ops);
	/* a server that has died must be known to be dead before a client of the same turn is given to it */
	watch_first(&s->stream.watch);
	if (job->ssl != NULL)
		stream_adopt_tls(&s->stream, job->ssl);
	job->pg = NULL;
	return s;
fail_server:
	params_unref(s->params);
	free(s->key);
	free(s->peer);
	free(s->login_user);
	free(s);
fail:
	connector_finish(job->pg);
	job->pg = NULL;
	return NULL;
}

void
server_open(struct server *s, struct worker *w)
{
	s->worker = w;
	stream_open(&s->stream, &w->loop);
}

static const struct requests_ops requests_ops;

void
server_free(struct server *s)
{
	static const uint8_t terminate[] = { 'X', 0, 0, 0, 4 };

	if (s == NULL)
		return;
	/* half a message on the way: the server would take the Terminate for the rest of it */
	if (requests_idle(&s->requests) && s->status == 'I' && stream_waiting(&s->stream) == 0)
		(void)stream_write(&s->stream, terminate, sizeof(terminate));
	loop_deadline_remove(&s->worker->loop, &s->deadline);
	requests_abandon(&s->requests, &requests_ops, s);
	server_statements_release(&s->statements);
	params_unref(s->params);
	params_unref(s->reported);
	secret_version_unref(s->secret);
	buf_release(&s->in);
	stream_detach(&s->stream);
	/* the descriptor and the SSL are libpq's to free */
	s->stream.watch.io.fd = -1;
	s->stream.ssl = NULL;
	stream_close(&s->stream, false);
	connector_finish(s->pg);
	explicit_bzero(s->key, s->key_len);
	free(s->key);
	free(s->peer);
	free(s->login_user);
	free(s);
}

void
server_move(struct server *s, struct worker *to, void (*arrived)(struct worker *, struct letter *))
{
	loop_deadline_remove(&s->worker->loop, &s->deadline);
	stream_detach(&s->stream);
	s->state = SERVER_MOVING;
	s->worker = to;
	s->letter.deliver = arrived;
	worker_post(to, &s->letter);
}

struct server *
server_of_letter(struct letter *l)
{
	return list_entry(l, struct server, letter);
}

void
server_hold(struct server *s, struct server_holder *h, enum server_state state)
{
	s->holder = h;
	s->state = state;
}

void
server_let_go(struct server *s)
{
	if (!requests_idle(&s->requests)) {
		requests_abandon(&s->requests, &requests_ops, s);
		s->close_when_free = true;
	}
	s->holder = NULL;
	/* it was not read while its holder's client was slow; the next one is not to suffer for that */
	stream_resume(&s->stream);
}

bool
server_is_clean(const struct server *s)
{
	return requests_idle(&s->requests) && s->status == 'I' && !s->requests.tainted &&
	       s->body_left == 0 && buf_len(&s->in) == 0 && stream_waiting(&s->stream) == 0 &&
	       !s->stream.broken && !s->stream.eof;
}

/* ---- requests ---- */

struct server_note server_unnamed_note, server_unnamed_ours;

static void
settled(void *owner, const struct request *r, bool ok)
{
	struct server *s = owner;
	struct server_note *note = r->note;

	if (note->no_matter)
		;
	else if (s->notes_before > 0)
		s->notes_before--;
	else
		s->notes_now--;
	if (note == &server_unnamed_note || note == &server_unnamed_ours) {
		if (note == &server_unnamed_note)
			s->unnamed_notes--;
		if (ok)
			return;
		s->unnamed_of = 0;
		/* one that was sent behind it counts; one that was put in is put in again */
		if (note == &server_unnamed_note && s->unnamed_notes == 0 && s->holder != NULL)
			s->holder->ops->settled(s->holder, s, r, ok);
		return;
	}
	if (note->parsed != NULL && ok)
		atomic_store_explicit(&note->parsed->st->proven, s->pool, memory_order_relaxed);
	if (note->parsed != NULL && !ok) {
		server_statements_take(&s->statements, note->parsed);
		server_statement_free(note->parsed);
	}
	if (note->closed != NULL) {
		if (ok)
			server_statement_free(note->closed);
		else
			server_statements_put_back(&s->statements, note->closed);
	}
	if (note->client != NULL && s->holder != NULL)
		s->holder->ops->settled(s->holder, s, r, ok);
	free(note);
}

static void
fake(void *owner, enum request_kind kind)
{
	struct server *s = owner;

	if (s->holder != NULL && s->holder->ops->fake != NULL)
		s->holder->ops->fake(s->holder, s, kind);
}

static const struct requests_ops requests_ops = { .settled = settled, .fake = fake };

bool
server_expect(struct server *s, enum request_kind kind, enum request_fate fate,
    struct server_note *note)
{
	if (kind == REQUEST_SYNC) {
		s->notes_before += s->notes_now;
		s->notes_now = 0;
	}
	if (note != NULL && !note->no_matter)
		s->notes_now++;
	if (note == &server_unnamed_note)
		s->unnamed_notes++;
	return requests_push(&s->requests, kind, fate, note, &requests_ops, s);
}

struct forgetting {
	struct server *s;
	struct params *kept;
};

static void
keep_reported(void *arg, const char *name, const char *value)
{
	struct forgetting *f = arg;
	struct params *p;

	if (params_get(f->s->reported, name) == NULL)
		return;
	p = params_with(f->kept, name, value);
	if (p != NULL)
		f->kept = p;
	else
		f->s->close_when_free = true;
}

void
server_forget_unreported(struct server *s)
{
	struct forgetting f = { .s = s, .kept = params_empty() };

	if (params_count(s->params) <= params_count(s->reported))
		return;
	params_each(s->params, keep_reported, &f);
	params_unref(s->params);
	s->params = f.kept;
}

const char *
server_value(const struct server *s, const char *name, const char *value)
{
	if (s->login_user != NULL && strcasecmp(name, "session_authorization") == 0 &&
	    strcmp(value, s->login_user) == 0)
		return "";
	return value;
}

static bool
take_parameter(struct server *s, const uint8_t *payload, size_t n)
{
	struct pgcur c = pgcur_over(payload, n);
	const char *name = pgcur_str(&c), *value = pgcur_str(&c);
	struct params *p;

	if (!pgcur_done(&c))
		return false;
	if (params_is_fixed(name))
		return true;
	p = params_with(s->params, name, server_value(s, name, value));
	if (p != NULL)
		s->params = p;
	else
		s->close_when_free = true; /* we no longer know what it has */
	return true;
}

/* Errors that say that what we believe of the server's prepared statements is out of date. */
static bool
is_stale_plan(const uint8_t *payload, size_t n)
{
	struct pgmsg_error e;

	if (!pgmsg_error(payload, n, &e))
		return false;
	if (strcmp(e.sqlstate, "0A000") == 0)
		return strstr(e.message, "cached plan must not change") != NULL;
	return strcmp(e.sqlstate, "26000") == 0;
}

enum request_verdict
server_answer(struct server *s, uint8_t type, const uint8_t *payload, size_t n)
{
	switch (type) {
	case 'Z':
		if (n != 1 || (payload[0] != 'I' && payload[0] != 'T' && payload[0] != 'E'))
			return REQUEST_BAD;
		s->status = (char)payload[0];
		break;
	case 'S':
		if (!take_parameter(s, payload, n))
			return REQUEST_BAD;
		break;
	case 'E':
		if (s->statements.map.count > 0 && is_stale_plan(payload, n))
			server_statements_all_stale(&s->statements);
		break;
	case 'C':
		if (n >= 11 && (memcmp(payload, "DISCARD ALL", 11) == 0 ||
				   (n >= 14 && memcmp(payload, "DEALLOCATE ALL", 14) == 0)))
			server_statements_all_stale(&s->statements);
		if (n >= 11 && memcmp(payload, "DISCARD ALL", 11) == 0)
			server_forget_unreported(s);
		break;
	default:
		break;
	}
	return requests_answer(&s->requests, type, &requests_ops, s);
}
