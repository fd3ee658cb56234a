#include "proxy/session/console_job.h"

#include "pool/pool.h"
#include "pool/pool_set.h"
#include "proxy/admin/console.h"
#include "proxy/admin/table.h"
#include "proxy/base/log.h"
#include "proxy/session/console_names.h"
#include "proxy/session/console_rows.h"
#include "proxy/session/console_views.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/wire/pgwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct console_job {
	struct tour tour;
	struct console_errand errand;
	struct console_order
	    order; /* session: not to be touched while under way; line: a reference */
	struct worker *home;
	uint32_t slot;
	uint64_t id;
	struct table table;
	void *state; /* of the view */
	bool found;  /* KILL_CLIENT */
};

/* ---- answers ---- */

static void
put_fault(struct buf *out, enum fault f, const char *message)
{
	if (message == NULL || message[0] == '\0')
		message = fault_sentence(f);
	pgwrite_error(out, "ERROR", fault_sqlstate(f), message, NULL,
	    f == FAULT_CONSOLE_SYNTAX ? "SHOW HELP lists the commands." : NULL);
}

static void
put_help(struct buf *out)
{
	struct buf text;

	buf_init(&text, 65536);
	console_help(&text, console_views);
	buf_put_u8(&text, '\0');
	if (buf_failed(&text))
		out->failed = true;
	else
		pgwrite_notice(out, "NOTICE", "00000", "Console usage",
		    (const char *)buf_data(&text));
	buf_release(&text);
}

static void
put_tag(struct buf *out, const struct console_command *c)
{
	char tag[320];

	snprintf(tag, sizeof(tag), "%s", c->tag);
	if (c->verb == CONSOLE_SET)
		snprintf(tag, sizeof(tag), "SET %.100s=%.200s", c->name, c->value);
	pgwrite_command_complete(out, tag);
}

static void
put_table(struct buf *out, const struct console_order *o, const struct table *t)
{
	if (o->describe)
		console_rows_description(out, t->columns, o->binary);
	console_rows_data(out, t, o->binary);
	put_tag(out, &o->line->command);
}

static enum console_outcome
refuse(struct buf *out, enum fault f, const char *message)
{
	put_fault(out, f, message);
	return CONSOLE_REFUSED;
}

/* ---- jobs ---- */

static struct console_job *
job_new(const struct console_order *o)
{
	struct console_job *j = calloc(1, sizeof(*j));

	if (j == NULL)
		return NULL;
	j->order = *o;
	j->order.line->refs++;
	j->home = session_worker(o->session);
	j->slot = o->session->slot;
	j->id = o->session->id;
	return j;
}

static void
job_free(struct console_job *j)
{
	const struct view *v = j->order.line->command.view;

	if (j->state != NULL)
		v->discard(j->state);
	table_release(&j->table);
	console_line_unref(j->order.line);
	free(j);
}

void
console_job_abandon(struct console_job *j)
{
	if (j != NULL)
		atomic_store(&j->errand.abandoned, true);
}

/* Home again: the answer goes to the session, if there still is one. */
static void
job_ends(struct console_job *j, enum fault f, const char *message)
{
	struct session_set *set = session_set_of(j->home);
	struct session *s = j->slot < set->n_slots ? set->slots[j->slot] : NULL;
	struct console_order o = j->order;
	struct buf out;

	if (atomic_load(&j->errand.abandoned) || s == NULL || s->id != j->id) {
		job_free(j);
		return;
	}
	buf_init(&out, BUF_CAP_MAX);
	if (f != FAULT_NONE)
		put_fault(&out, f, message);
	else if (o.line->command.verb == CONSOLE_SHOW)
		put_table(&out, &o, &j->table);
	else
		put_tag(&out, &o.line->command);
	job_free(j);
	o.done(s, &out, f == FAULT_NONE);
	buf_release(&out);
}

static void
start_tour(struct console_job *j, void (*visit)(struct worker *, struct tour *),
    void (*done)(struct worker *, struct tour *))
{
	struct session_set *set = session_set_of(j->home);

	j->tour.home = j->home;
	j->tour.workers = set->workers;
	j->tour.n = set->n_workers;
	j->tour.visit = visit;
	j->tour.done = done;
	tour_start(&j->tour);
}

/* ---- SHOW ---- */

static void
visit_view(struct worker *w, struct tour *t)
{
	struct console_job *j = list_entry(t, struct console_job, tour);

	if (!atomic_load(&j->errand.abandoned))
		j->order.line->command.view->visit(w, &j->table, j->state);
}

static void
view_done(struct worker *home, struct tour *t)
{
	struct console_job *j = list_entry(t, struct console_job, tour);
	const struct view *v = j->order.line->command.view;

	if (v->finish != NULL && !atomic_load(&j->errand.abandoned))
		v->finish(home, j->order.host, &j->table, j->state);
	job_ends(j, table_failed(&j->table) ? FAULT_MEMORY : FAULT_NONE, NULL);
}

static enum console_outcome
show(const struct console_order *o, struct buf *out, struct console_job **job)
{
	const struct view *v = o->line->command.view;
	struct console_job *j;
	struct table t;
	bool failed;

	if (v->visit == NULL) {
		table_init(&t, v->columns);
		v->finish(session_worker(o->session), o->host, &t, NULL);
		failed = table_failed(&t);
		if (!failed)
			put_table(out, o, &t);
		table_release(&t);
		return failed ? refuse(out, FAULT_MEMORY, NULL) : CONSOLE_ANSWERED;
	}
	j = job_new(o);
	if (j == NULL)
		return refuse(out, FAULT_MEMORY, NULL);
	table_init(&j->table, v->columns);
	if (v->begin != NULL && (j->state = v->begin()) == NULL) {
		job_free(j);
		return refuse(out, FAULT_MEMORY, NULL);
	}
	*job = j;
	start_tour(j, visit_view, view_done);
	return CONSOLE_UNDER_WAY;
}

static enum console_outcome
show_value(const struct console_order *o, struct buf *out)
{
	struct table t;
	bool failed;

	table_init(&t, console_line_columns(o->line));
	table_text(&t, o->line->command.value);
	failed = table_failed(&t);
	if (!failed)
		put_table(out, o, &t);
	table_release(&t);
	return failed ? refuse(out, FAULT_MEMORY, NULL) : CONSOLE_ANSWERED;
}

/* ---- KILL_CLIENT ---- */

static void
visit_kill(struct worker *w, struct tour *t)
{
	struct console_job *j = list_entry(t, struct console_job, tour);
	uint64_t id = j->order.line->command.number;

	list_each(n, tmp, &session_set_of(w)->all)
	{
		struct session *s = list_entry(n, struct session, place);

		if (s->id == id && s->state != SESSION_CLOSING) {
			j->found = true;
			(void)session_fail(s, FAULT_KILLED, NULL);
			return;
		}
	}
}

static void
kill_done(struct worker *home, struct tour *t)
{
	struct console_job *j = list_entry(t, struct console_job, tour);

	(void)home;
	job_ends(j, j->found ? FAULT_NONE : FAULT_CONSOLE_OBJECT,
	    "there is no client with that id");
}

/* ---- RECONNECT ---- */

/* Pools of a database (NULL = all): raises the epoch, or with a worker closes what is idle there. */
static void
each_pool(const char *database, struct worker *w)
{
	struct pool **pools;
	size_t n = pool_set_pools(&pools);

	for (size_t i = 0; pools != NULL && i < n; i++) {
		struct pool *p = pools[i];

		if (database == NULL || strcmp(p->db->quota.name, database) == 0) {
			if (w == NULL)
				atomic_fetch_add(&p->epoch, 1);
			else
				pool_close_idle(p, w, false, "RECONNECT");
		}
		pool_unref(p);
	}
	free(pools);
}

static void
visit_reconnect(struct worker *w, struct tour *t)
{
	each_pool(list_entry(t, struct console_job, tour)->order.line->command.name, w);
}

static void
reconnect_done(struct worker *home, struct tour *t)
{
	(void)home;
	job_ends(list_entry(t, struct console_job, tour), FAULT_NONE, NULL);
}

/* ---- errands to the main thread ---- */

static void
errand_done(struct worker *home, struct console_errand *e)
{
	(void)home;
	job_ends(list_entry(e, struct console_job, errand), e->fault, e->message);
}

static void
start_errand(struct console_job *j)
{
	j->errand.host = j->order.host;
	j->errand.home = j->home;
	j->errand.command = &j->order.line->command;
	j->errand.done = errand_done;
	j->order.host->ask(j->order.host, &j->errand);
}

/* ---- all commands ---- */

static enum console_outcome
able(const struct console_command *c, struct buf *out)
{
	struct database *db = pool_set_database(c->name);

	if (db == NULL)
		return refuse(out, FAULT_CONSOLE_OBJECT, "no such database");
	atomic_store(&db->disabled, c->verb == CONSOLE_DISABLE);
	put_tag(out, c);
	return CONSOLE_ANSWERED;
}

static void
log_command(const struct console_order *o)
{
	const struct console_command *c = &o->line->command;

	log_info("C-%llu: pgsluice/%s: %s%s%s command issued", (unsigned long long)o->session->id,
	    o->user, c->tag, c->name != NULL ? " " : "", c->name != NULL ? c->name : "");
}

enum console_outcome
console_job_run(const struct console_order *o, struct buf *out, struct console_job **job)
{
	const struct console_command *c = &o->line->command;
	struct console_job *j;

	switch (c->verb) {
	case CONSOLE_EMPTY:
		pgwrite_empty(out, 'I');
		return CONSOLE_ANSWERED;
	case CONSOLE_SHOW:
		return show(o, out, job);
	case CONSOLE_VALUE:
		return show_value(o, out);
	case CONSOLE_HELP:
		put_help(out);
		put_tag(out, c);
		return CONSOLE_ANSWERED;
	case CONSOLE_SET_VALUE:
		pgwrite_command_complete(out, "SET");
		return CONSOLE_ANSWERED;
	default:
		break;
	}
	log_command(o);
	if (c->verb == CONSOLE_DISABLE || c->verb == CONSOLE_ENABLE)
		return able(c, out);
	if (c->verb == CONSOLE_RECONNECT && c->name != NULL && pool_set_database(c->name) == NULL)
		return refuse(out, FAULT_CONSOLE_OBJECT, "no such database");
	*job = j = job_new(o);
	if (j == NULL)
		return refuse(out, FAULT_MEMORY, NULL);
	if (c->verb == CONSOLE_RECONNECT) {
		each_pool(c->name, NULL);
		start_tour(j, visit_reconnect, reconnect_done);
	} else if (c->verb == CONSOLE_KILL_CLIENT) {
		start_tour(j, visit_kill, kill_done);
	} else {
		start_errand(j);
	}
	return CONSOLE_UNDER_WAY;
}
