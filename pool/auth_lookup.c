#include "pool/auth_lookup.h"

#include "auth/userlist.h"
#include "pool/command.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "pool/server.h"
#include "proxy/base/buf.h"
#include "proxy/base/log.h"
#include "proxy/base/secret.h"
#include "proxy/wire/pgmsg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOKUP_MS 15000 /* for a server and its answer together */

struct lookup {
	struct pool_ticket ticket;
	struct server_holder holder;
	struct deadline deadline; /* while it waits for a server */
	struct worker *worker;
	struct pool *pool; /* reference */
	auth_lookup_done *done;
	struct auth_lookup_answer answer;
	bool malformed, row;
	char *user, *query; /* in `key` and behind it */
	size_t key_len;
	char key[];
};

static void
end(struct lookup *l, bool ok, const char *why)
{
	if (!ok)
		log_warning("%s/%s: auth_query: %s", l->pool->db->quota.name, l->pool->user->name,
		    why);
	l->answer.ok = ok;
	loop_deadline_remove(&l->worker->loop, &l->deadline);
	l->done(l->worker, l->key, l->key_len, &l->answer);
	userlist_unref(l->answer.users);
	pool_unref(l->pool);
	free(l);
}

/* ---- the row ---- */

static void
put_quoted(struct buf *b, const uint8_t *p, size_t n)
{
	buf_put_u8(b, '"');
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '"')
			buf_put_u8(b, '"');
		buf_put_u8(b, p[i]);
	}
	buf_put_u8(b, '"');
}

/* As a line of auth_file, so that both are judged alike. */
static struct userlist *
list_of(const uint8_t *name, size_t name_len, const uint8_t *secret, size_t secret_len)
{
	struct userlist *users = NULL;
	struct buf text;

	buf_init(&text, 4 * 65536);
	text.wipe = true;
	if (memchr(name, '\n', name_len) == NULL && memchr(secret, '\n', secret_len) == NULL &&
	    memchr(name, '\0', name_len) == NULL && memchr(secret, '\0', secret_len) == NULL) {
		put_quoted(&text, name, name_len);
		buf_put_u8(&text, ' ');
		put_quoted(&text, secret, secret_len);
		buf_put_u8(&text, '\n');
		if (!buf_failed(&text))
			users = userlist_parse("auth_query", (const char *)buf_data(&text),
			    buf_len(&text), NULL, NULL);
	}
	buf_release(&text);
	return users;
}

static void
on_row(struct server *s, const uint8_t *payload, size_t n, void *arg)
{
	struct pgcur c = pgcur_over(payload, n);
	unsigned columns = pgcur_u16(&c);
	const uint8_t *text[3] = { NULL };
	size_t len[3] = { 0 };
	struct lookup *l = arg;
	char until[24] = "";

	(void)s;
	if (l->row)
		return; /* the first one counts */
	l->row = true;
	l->malformed = columns < 2 || columns > 3;
	for (unsigned i = 0; i < columns && !l->malformed; i++) {
		uint32_t size = pgcur_u32(&c);

		if (size == UINT32_MAX)
			continue;
		text[i] = pgcur_bytes(&c, size);
		len[i] = size;
	}
	l->malformed |= !pgcur_ok(&c);
	if (l->malformed || text[0] == NULL || text[1] == NULL || len[1] == 0)
		return;
	/* a query that answers for another name is not to be believed */
	if (len[0] != strlen(l->user) || memcmp(text[0], l->user, len[0]) != 0) {
		l->malformed = true;
		return;
	}
	l->answer.users = list_of(text[0], len[0], text[1], len[1]);
	l->malformed |= l->answer.users == NULL;
	if (text[2] != NULL && len[2] < sizeof(until)) {
		memcpy(until, text[2], len[2]);
		l->answer.valid_until = strtoll(until, NULL, 10);
	}
}

static void
on_ran(struct server *s, const struct command_result *r, void *arg)
{
	struct lookup *l = arg;

	pool_give_back(s);
	if (!r->ok)
		end(l, false, r->why);
	else if (l->malformed)
		end(l, false,
		    "the answer is not a name and a secret, as in auth_file, and perhaps the end of its "
		    "validity");
	else
		end(l, true, NULL);
}

static const struct command_ops command_ops = { .done = on_ran, .row = on_row };

/* ---- the server ---- */

static void
run(struct lookup *l, struct server *s)
{
	loop_deadline_remove(&l->worker->loop, &l->deadline);
	s->used = false; /* nobody else ever has it */
	if (command_run_with(s, l->query, l->user, LOOKUP_MS, &command_ops, l))
		return;
	pool_close_server(s, "auth_query failed");
	end(l, false, "out of memory");
}

static void
granted(struct pool_ticket *t, struct server *s)
{
	run(list_entry(t, struct lookup, ticket), s);
}

static void
refused(struct pool_ticket *t, const struct pool_refusal *why)
{
	end(list_entry(t, struct lookup, ticket), false, why->message);
}

static const struct pool_ticket_ops ticket_ops = { .granted = granted, .refused = refused };

static void
on_deadline(struct deadline *d)
{
	struct lookup *l = list_entry(d, struct lookup, deadline);
	char sqlstate[6], message[512] = "no server connection in time";

	pool_withdraw(l->pool, l->worker, &l->ticket);
	(void)pool_failure(l->pool, sqlstate, sizeof(sqlstate), message, sizeof(message));
	end(l, false, message);
}

bool
auth_lookup(struct worker *w, const struct config *cfg, const char *database, const char *auth_user,
    const char *user, const char *query, const char *key, size_t key_len, auth_lookup_done *done)
{
	size_t user_len = strlen(user) + 1, query_len = strlen(query) + 1;
	struct lookup *l = calloc(1, sizeof(*l) + key_len + user_len + query_len);
	struct server *s;

	if (l == NULL)
		return false;
	if (pool_set_get(cfg, database, auth_user, pool_for_auth, &l->pool) != FAULT_NONE) {
		free(l);
		return false;
	}
	l->worker = w;
	l->done = done;
	l->key_len = key_len;
	l->user = l->key + key_len;
	l->query = l->user + user_len;
	memcpy(l->key, key, key_len);
	memcpy(l->user, user, user_len);
	memcpy(l->query, query, query_len);
	l->ticket.ops = &ticket_ops;
	list_init(&l->ticket.place);
	deadline_init(&l->deadline, on_deadline);
	loop_deadline(&w->loop, &l->deadline, loop_now_ms(&w->loop) + LOOKUP_MS);
	s = pool_take(l->pool, w, &l->ticket);
	if (s != NULL)
		run(l, s);
	return true;
}
