#include "proxy/session/session_set.h"

#include "auth/userlist.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"
#include "proxy/session/login.h"
#include "proxy/session/login_auth_names.h"
#include "proxy/session/login_auth_rules.h"
#include "proxy/session/session.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX (1u << 25)

struct session_env *
session_env_ref(struct session_env *e)
{
	atomic_fetch_add(&e->refs, 1);
	return e;
}

void
session_env_unref(struct session_env *e)
{
	if (e == NULL || atomic_fetch_sub(&e->refs, 1) != 1)
		return;
	config_unref(e->cfg);
	userlist_unref(e->users);
	login_auth_rules_free(e->rules);
	tls_ctx_free(e->tls);
	free(e);
}

int
session_set_init(struct worker *w, struct session_totals *totals, struct session_env *env,
    struct worker *workers, int n_workers)
{
	struct session_set *set = calloc(1, sizeof(*set));

	if (set == NULL)
		return -1;
	list_init(&set->all);
	list_init(&set->logins);
	set->totals = totals;
	set->env = session_env_ref(env);
	set->workers = workers;
	set->n_workers = n_workers;
	buf_init(&set->scratch, BUF_CAP_MAX);
	buf_init(&set->fakes, BUF_CAP_MAX);
	w->sessions = set;
	return 0;
}

void
session_set_destroy(struct worker *w)
{
	struct session_set *set = w->sessions;

	if (set == NULL)
		return;
	session_env_unref(set->env);
	login_auth_names_free(set->names);
	buf_release(&set->scratch);
	buf_release(&set->fakes);
	free(set->slots);
	free(set);
	w->sessions = NULL;
}

bool
session_set_number(struct session_set *set, struct session *s)
{
	uint32_t i = set->first_free;

	while (i < set->n_slots && set->slots[i] != NULL)
		i++;
	if (i == set->n_slots) {
		uint32_t n = set->n_slots == 0 ? 64 : set->n_slots * 2;
		struct session **slots;

		if (n > SLOTS_MAX ||
		    (slots = realloc(set->slots, n * sizeof(struct session *))) == NULL)
			return false;
		memset(slots + set->n_slots, 0, (n - set->n_slots) * sizeof(struct session *));
		set->slots = slots;
		set->n_slots = n;
	}
	set->slots[i] = s;
	set->first_free = i + 1;
	s->slot = i;
	return true;
}

void
session_set_forget(struct session_set *set, struct session *s)
{
	if (s->slot >= set->n_slots || set->slots[s->slot] != s)
		return;
	set->slots[s->slot] = NULL;
	if (s->slot < set->first_free)
		set->first_free = s->slot;
}

struct session *
session_set_by_id(struct session_set *set, uint32_t slot, uint64_t id)
{
	struct session *s = slot < set->n_slots ? set->slots[slot] : NULL;

	return s != NULL && s->id == id ? s : NULL;
}

struct session *
session_set_by_key(struct session_set *set, uint32_t slot, const uint8_t *key, size_t n)
{
	struct session *s = slot < set->n_slots ? set->slots[slot] : NULL;

	if (s == NULL || s->key_len == 0 || s->key_len != n)
		return NULL;
	return secret_equal(session_key(s), key, n) ? s : NULL;
}

bool
session_set_login_begins(struct session_set *set, struct session *s)
{
	int max = set->env->cfg->max_login_connections;
	struct session *oldest;

	if (max == 0)
		max = set->env->cfg->max_client_conn;
	list_push_back(&set->logins, &s->place);
	if (atomic_fetch_add(&set->totals->logins, 1) < max)
		return true;
	/* who has kept us waiting longest goes, so that silence locks nobody out */
	oldest = list_entry(list_first(&set->logins), struct session, place);
	session_drop(oldest, FAULT_TOO_MANY_LOGINS);
	return oldest != s;
}

void
session_set_login_ends(struct session_set *set, struct session *s)
{
	list_del(&s->place);
	atomic_fetch_sub(&set->totals->logins, 1);
}

bool
session_set_enter(struct session_set *set)
{
	int have = atomic_load(&set->totals->clients), max = set->env->cfg->max_client_conn;

	do {
		if (have >= max)
			return false;
	} while (!atomic_compare_exchange_weak(&set->totals->clients, &have, have + 1));
	return true;
}

void
session_set_leave(struct session_set *set)
{
	atomic_fetch_sub(&set->totals->clients, 1);
}

void
session_set_recheck(struct worker *w)
{
	struct session_set *set = w->sessions;

	list_each(n, tmp, &set->logins)(void) login_recheck(list_entry(n, struct session, place));
}

void
session_set_drain(struct worker *w)
{
	struct session_set *set = w->sessions;

	list_each(n, tmp, &set->logins)(void)
	    session_fail(list_entry(n, struct session, place), FAULT_SHUTDOWN, NULL);
	list_each(m, tmp2, &set->all)
	{
		struct session *s = list_entry(m, struct session, place);

		if (s->state == SESSION_IDLE || s->state == SESSION_QUEUED ||
		    s->state == SESSION_WELCOME)
			(void)session_fail(s, FAULT_SHUTDOWN, NULL);
		else if (s->state == SESSION_ACTIVE && s->server != NULL && s->body_left == 0 &&
			 requests_idle(&s->server->requests) && s->server->status == 'I')
			/* pinned, or session pooling: it keeps its server but asks nothing */
			(void)session_fail(s, FAULT_SHUTDOWN, NULL);
		else if (s->state == SESSION_ACTIVE)
			s->closing_after = true;
	}
}

void
session_set_end_all(struct worker *w, const char *reason)
{
	struct session_set *set = w->sessions;
	struct list_node *n;

	while ((n = list_first(&set->logins)) != NULL)
		session_end(list_entry(n, struct session, place), reason);
	while ((n = list_first(&set->all)) != NULL)
		session_end(list_entry(n, struct session, place), reason);
}
