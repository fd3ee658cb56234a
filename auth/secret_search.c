/* secret_search.c -- the version in use does not do: PostgreSQL refuses it, or a client shows a password
 * that nobody knows. The provider is asked, a bounded number of times, for a newer one, then for the
 * one that a rotation has prepared, then for the one before. Main thread. */
#include "auth/secret_state.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <string.h>

#define CLIENT_PATIENCE_MS 2000 /* a client waits that long for the next question that is allowed */

#define COLD_RETRY 1000

enum { PENDING, PREVIOUS };

static uint64_t
now_ms(const struct secret *s)
{
	return loop_now_ms(&s->all->use.main->loop);
}

static void
tell_client(struct secret *s)
{
	if (!s->client_asks)
		return;
	s->client_asks = false;
	secret_search_ends(s);
}

void
secret_search_over(struct secret *s)
{
	if (s->forced)
		secret_pace_count(&s->forced_pace, now_ms(s), s->entry->min_refresh_interval,
		    s->entry->retry_max);
	if (s->client_asks)
		secret_pace_count(&s->client_pace, now_ms(s), s->entry->min_refresh_interval,
		    s->entry->retry_max);
	s->forced = false;
	tell_client(s);
}

void
secret_search_on(struct secret *s)
{
	secret_ask(s, ASK_PENDING);
}

/* ---- the other stages ---- */

/* Is the other stage's version worth a try, and not the same thing again? */
static bool
is_news(const struct secret *s, const struct secret_answer *a, int which)
{
	return s->current != NULL && !secret_version_is(s->current, a->version) &&
	       !secret_id_is(s->tried[which], a->version) &&
	       !secret_version_says(s->current, a->value);
}

static bool
is_other_user(const struct secret *s, const struct secret_answer *a)
{
	const char *user = s->current != NULL ? s->current->user : NULL;

	return strcmp(user != NULL ? user : "", a->value->user) != 0;
}

/* For servers and clients, for clients alone, or for nobody. */
static bool
offer(struct secret *s, const struct secret_answer *a, int which)
{
	bool for_servers = which == PENDING || (s->forced && is_other_user(s, a));
	struct secret_version *v;

	if (!is_news(s, a, which))
		return false;
	/* The password before this one opens nothing at the server, unless users alternate; and clients
	 * have had their time with a version that was in use here. */
	if (!for_servers && (!s->client_asks || secret_id_is(s->former, a->version)))
		return false;
	v = secret_version_of(s, a);
	if (v == NULL)
		return false;
	snprintf(s->tried[which], sizeof(s->tried[which]), "%s", a->version);
	if (for_servers)
		secret_publish_early(s, v, which == PENDING ? "pending" : "previous");
	else
		secret_publish_previous(s, v);
	return true;
}

void
secret_on_other(struct secret *s, const struct secret_answer *a, enum secret_asking stage)
{
	bool found = a->error == SECRET_OK &&
		     offer(s, a, stage == ASK_PENDING ? PENDING : PREVIOUS);

	if (!found && stage == ASK_PENDING) {
		secret_ask(s, ASK_PREVIOUS);
		return;
	}
	secret_search_over(s);
	secret_tell_changed(s);
}

/* ---- what other threads have seen ---- */

/* Now, or when it is allowed; a search that is under way serves as well. */
static void
search_after(struct secret *s, uint64_t at_ms)
{
	if (at_ms < s->not_before_ms)
		at_ms = s->not_before_ms;
	if (s->asking == ASK_CURRENT || s->asking == ASK_PENDING || s->asking == ASK_PREVIOUS)
		return;
	if (now_ms(s) < at_ms)
		secret_wake_by(s, at_ms);
	else
		secret_ask(s, ASK_CURRENT);
}

/* The early version is of no use: back to the current one. Its reference, when v is that version. */
static struct secret_version *
drop_early(struct secret *s, struct secret_version *v)
{
	struct secret_version *dropped = NULL;

	pthread_mutex_lock(&s->lock);
	if (v == s->early) {
		dropped = s->early;
		/* what was said about the current one was said before */
		if (s->early_proven)
			s->refused_until_ms = 0;
		s->early = NULL;
		s->early_proven = false;
	}
	pthread_mutex_unlock(&s->lock);
	if (dropped != NULL && s->current != NULL && s->current->lease == NULL &&
	    !secret_version_same_user(s->current, dropped)) {
		atomic_store(&s->current->retired, false);
		atomic_store(&dropped->retired, true);
	}
	return dropped;
}

void
secret_on_refused(struct secret *s, struct secret_version *v)
{
	struct secret_version *dropped = drop_early(s, v);
	uint64_t until;

	secret_version_unref(dropped);
	if (s->source == NULL || (v != s->current && dropped == NULL))
		return; /* another one has taken its place already */
	if (v == s->current) {
		until = secret_now_ms() + (uint64_t)secret_schedule_forced(s->forced_pace.in_row,
					      s->entry->min_refresh_interval, s->entry->retry_max);
		pthread_mutex_lock(&s->lock);
		if (s->refused_until_ms < until)
			s->refused_until_ms = until;
		pthread_mutex_unlock(&s->lock);
	}
	if (v->serial != s->refused_serial)
		log_warning("secret %s: the server refused version %s", s->name, v->id);
	s->refused_serial = v->serial;
	if (s->forced)
		return;
	s->forced = true;
	s->forces++;
	search_after(s, s->forced_pace.after_ms);
}

void
secret_on_proven(struct secret *s, struct secret_version *v)
{
	bool early;

	if (v != s->current && v != s->early)
		return;
	pthread_mutex_lock(&s->lock);
	early = v == s->early && !s->early_proven;
	s->early_proven |= early;
	pthread_mutex_unlock(&s->lock);
	s->forced_pace.in_row = 0;
	if (v->serial == s->refused_serial)
		s->refused_serial = 0;
	if (early)
		log_info("secret %s: the server takes version %s %s", s->name, v->id,
		    secret_id_is(s->tried[PENDING], v->id) ? "before it is the current one"
							   : "although it is not the current one");
	/* the other user is the one to use: connections of the first end as they become free */
	if (early && s->current != NULL && !secret_version_same_user(s->current, v))
		atomic_store(&s->current->retired, true);
	secret_tell_changed(s);
}

void
secret_on_wanted(struct secret *s)
{
	uint64_t at = now_ms(s);

	if (s->source == NULL || s->asking != ASK_NOTHING || !secret_has_none(s))
		return;
	if (s->failures_in_row == 0 && at >= s->not_before_ms) {
		secret_ask(s, ASK_CURRENT);
		return;
	}
	/* nobody waited when this pause began, so it may be long; what people must repair is in no hurry */
	at += COLD_RETRY;
	if (s->last_class != SECRET_GONE && s->last_class != SECRET_BAD_VALUE)
		secret_wake_by(s, at > s->not_before_ms ? at : s->not_before_ms);
}

void
secret_on_client_refused(struct secret *s)
{
	uint64_t at = s->client_pace.after_ms;
	bool allowed;

	s->client_asks = true;
	/* a search for the servers' sake answers clients too; one that clients alone want leaves half of
	 * the budget alone; and of a lease there is nothing that clients could know better */
	if (s->source != NULL && s->forced && s->asking != ASK_NOTHING)
		return;
	if (at < s->not_before_ms)
		at = s->not_before_ms;
	allowed = s->source != NULL && (s->current == NULL || s->current->lease == NULL) &&
		  at <= now_ms(s) + CLIENT_PATIENCE_MS &&
		  secret_budget_pause(&s->budget, now_ms(s),
		      (uint32_t)s->entry->max_calls_per_hour) == 0;
	if (allowed) {
		search_after(s, at);
		return;
	}
	tell_client(s);
	secret_tell_changed(s);
}
