/* secret_cache.c -- the life of one secret on the main thread: when to ask, what an answer means, what
 * is published. The rules are those of reference/secrets-and-metrics.md section 1. */
#include "auth/secret_state.h"
#include "proxy/base/log.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLD_RETRY_MAX	  2000	/* while clients wait for the first version */
#define OLD_ANSWER_MS	  10000 /* a read may still give the version before the newest */
#define BUDGET_PAUSE_MS	  60000
#define RETRY_AFTER_MAX	  3600000 /* who asks for a longer pause is asked all the same */
#define LEASE_WAIT_LEAST  200
#define SOON_MS		  1000
#define LEASE_RETRY_LEAST 100

static const char *const class_words[] = { "ok", "no answer", "throttled",
	"own credentials refused", "not available", "unusable value", "not served" };

static uint32_t
draw(void)
{
	uint32_t r;

	return secret_random(&r, sizeof(r)) == 0 ? r : 0x80000000u;
}

static uint64_t
now_ms(const struct secret *s)
{
	return loop_now_ms(&s->all->use.main->loop);
}

static void
wake_in(struct secret *s, int64_t ms)
{
	uint64_t at = now_ms(s) + (uint64_t)(ms > 0 ? ms : 1);

	atomic_store(&s->due_ms, at);
	loop_deadline(&s->all->use.main->loop, &s->timer, at);
}

void
secret_wake_by(struct secret *s, uint64_t at_ms)
{
	uint64_t due = atomic_load(&s->due_ms), now = now_ms(s);

	if (due == 0 || due > at_ms)
		wake_in(s, at_ms > now ? (int64_t)(at_ms - now) : 1);
}

static void
set_error(struct secret *s, const char *message)
{
	pthread_mutex_lock(&s->lock);
	snprintf(s->error, sizeof(s->error), "%s", message);
	pthread_mutex_unlock(&s->lock);
}

/* Of the lease in use; -1 = there is none. */
static int64_t
lease_left(const struct secret *s)
{
	int64_t left;

	if (s->current == NULL || s->current->lease == NULL)
		return -1;
	left = atomic_load(&s->current->expires_unix_ms) - s->all->env.unix_ms();
	return left > 0 ? left : 0;
}

/* ---- failures ---- */

static int64_t
pause_after(struct secret *s, const struct secret_answer *a, bool cold)
{
	/* what people must repair is looked at as often as a secret that works */
	bool by_people = a->error == SECRET_GONE || a->error == SECRET_BAD_VALUE;
	bool hurry = cold && atomic_load(&s->wanted) && !by_people && a->error != SECRET_THROTTLED;
	int64_t cap = s->entry->retry_max, wait, least, left = lease_left(s);

	if (!cold && by_people)
		wait = secret_schedule_refresh(s->entry->ttl, draw());
	else
		wait = secret_schedule_retry(s->failures_in_row +
						 (a->error == SECRET_THROTTLED ? 3u : 0u),
		    hurry && cap > COLD_RETRY_MAX ? COLD_RETRY_MAX : cap, draw());
	if (left > 0 && wait > left / 4)
		wait = left / 4 > LEASE_RETRY_LEAST ? left / 4 : LEASE_RETRY_LEAST;
	least = secret_budget_pause(&s->budget, now_ms(s), (uint32_t)s->entry->max_calls_per_hour);
	if (least < a->retry_after_ms)
		least = a->retry_after_ms < RETRY_AFTER_MAX ? a->retry_after_ms : RETRY_AFTER_MAX;
	if (wait < least)
		wait = least;
	/* who waits, or is refused, may hurry the retry, but not past what the provider asks for */
	s->not_before_ms = a->error == SECRET_THROTTLED ? now_ms(s) + (uint64_t)wait
							: now_ms(s) + (uint64_t)least;
	return wait;
}

static void
note_failure(struct secret *s, const struct secret_answer *a, const char *what, const char *comfort)
{
	const char *message = a->message != NULL ? a->message : class_words[a->error];

	s->failures++;
	s->failures_in_row++;
	set_error(s, message);
	if (a->error != s->last_class)
		log_warning("secret %s: %s: %s%s", s->name, what, message, comfort);
	s->last_class = a->error;
}

static void
on_failure(struct secret *s, const struct secret_answer *a)
{
	bool cold = secret_has_none(s);

	note_failure(s, a, class_words[a->error],
	    cold ? "" : "; the last good version stays in use");
	wake_in(s, pause_after(s, a, cold));
	secret_search_over(s);
	secret_tell_changed(s);
}

/* ---- answers ---- */

static void
on_answer(struct secret *s, const struct secret_answer *a)
{
	if (s->last_class != SECRET_OK)
		log_info("secret %s: the provider answers again", s->name);
	if (a->deleted && !s->deleted)
		log_warning("secret %s: it is marked for deletion at the provider", s->name);
	s->deleted = a->deleted;
	s->last_class = SECRET_OK;
	s->failures_in_row = 0;
	s->not_before_ms = 0;
	set_error(s, "");
	atomic_store(&s->answered_ms, secret_now_ms());
}

static void
schedule(struct secret *s, const struct secret_answer *a)
{
	int64_t unix_ms = s->all->env.unix_ms(), wait, left;

	s->renewable = false;
	if (a->refresh_unix_ms > 0) {
		wait = a->refresh_unix_ms - unix_ms;
		if (wait < SOON_MS)
			wait = SOON_MS;
	} else if (a->expires_unix_ms > 0) {
		left = a->expires_unix_ms - unix_ms;
		s->renewable = a->renewable && a->lease != NULL && s->source->ops->renew != NULL;
		s->lease_life_ms = left;
		wait = s->renewable ? secret_schedule_renew(left)
				    : secret_schedule_replace(left, draw());
		if (wait < LEASE_WAIT_LEAST)
			wait = left > 0 ? LEASE_WAIT_LEAST : SOON_MS;
	} else {
		wait = secret_schedule_refresh(s->entry->ttl, draw());
	}
	wake_in(s, wait);
}

/* Is this what is in use already? */
static bool
is_known(const struct secret *s, const struct secret_answer *a)
{
	return s->current != NULL && a->lease == NULL &&
	       secret_version_is(s->current, a->version) &&
	       secret_version_says(s->current, a->value);
}

/* An answer that is older than what is in use: reads lag for seconds behind a change. */
static bool
lags(const struct secret *s, const struct secret_answer *a)
{
	return a->lease == NULL && secret_id_is(s->former, a->version) && s->current != NULL &&
	       !secret_version_is(s->current, a->version) &&
	       now_ms(s) - s->fetched_ms < OLD_ANSWER_MS;
}

static void
on_new_version(struct secret *s, const struct secret_answer *a)
{
	struct secret_version *v;
	bool early = s->early != NULL && secret_version_is(s->early, a->version) &&
		     secret_version_says(s->early, a->value);
	/* it was tried when it was pending, and has been refused since */
	bool refused = s->early == NULL && secret_id_is(s->tried[0], a->version);

	v = early ? secret_version_ref(s->early) : secret_version_of(s, a);
	if (v == NULL) {
		set_error(s, "out of memory");
		wake_in(s, SOON_MS);
	} else {
		if (refused)
			atomic_store(&v->refused, true);
		secret_publish(s, v);
		if (refused && s->forced) {
			secret_search_on(s);
			return;
		}
	}
	secret_search_over(s);
	secret_tell_changed(s);
}

static void
on_current(struct secret *s, const struct secret_answer *a)
{
	if (a->error != SECRET_OK) {
		on_failure(s, a);
		return;
	}
	on_answer(s, a);
	schedule(s, a);
	if (is_known(s, a)) {
		/* the same for longer, perhaps */
		atomic_store(&s->current->expires_unix_ms, a->expires_unix_ms);
		if (s->forced || s->client_asks)
			secret_search_on(s);
		else if (atomic_load(&s->wanted))
			secret_tell_changed(s);
	} else if (lags(s, a)) {
		wake_in(s, SOON_MS);
	} else {
		on_new_version(s, a);
	}
	/* it has ended already: no reason to ask without pause */
	if (secret_has_none(s))
		s->not_before_ms = now_ms(s) + SOON_MS;
}

static void
on_renewed(struct secret *s, const struct secret_answer *a)
{
	int64_t left;

	if (a->error != SECRET_OK) {
		note_failure(s, a, "the lease cannot be renewed", "");
		left = lease_left(s);
		if (left < s->lease_life_ms / 4 || a->error == SECRET_GONE)
			secret_ask(s, ASK_CURRENT);
		else
			wake_in(s, pause_after(s, a, false));
		return;
	}
	on_answer(s, a);
	if (s->current == NULL)
		return;
	atomic_store(&s->current->expires_unix_ms, a->expires_unix_ms);
	left = lease_left(s);
	if (left > s->lease_life_ms / 3) {
		atomic_store(&s->current->retired, false);
		secret_watch_end(s);
		wake_in(s, secret_schedule_renew(left));
	} else {
		/* its end cannot be put off any more: another one takes over */
		secret_ask(s, ASK_CURRENT);
	}
}

/* What the entry says counts before what the secret says. */
static void
apply_entry(const struct secret *s, struct secret_value *v)
{
	if (s->entry->user != NULL)
		snprintf(v->user, sizeof(v->user), "%s", s->entry->user);
	if (s->entry->host != NULL)
		snprintf(v->host, sizeof(v->host), "%s", s->entry->host);
	if (s->entry->dbname != NULL)
		snprintf(v->dbname, sizeof(v->dbname), "%s", s->entry->dbname);
	if (s->entry->port != 0)
		v->port = s->entry->port;
}

/* The secret was removed meanwhile. */
static void
too_late(struct secret *s, const struct secret_answer *a)
{
	if (a->error == SECRET_OK && a->value != NULL && a->lease != NULL &&
	    s->source->ops->revoke != NULL)
		s->source->ops->revoke(s->source, a->lease);
	wake_in(s, 1); /* the source is not to be closed from inside its answer */
}

static void
on_fetched(void *arg, const struct secret_answer *a)
{
	struct secret *s = arg;
	enum secret_asking was = s->asking;

	s->asking = ASK_NOTHING;
	if (!atomic_load(&s->live)) {
		too_late(s, a);
		return;
	}
	if (a->error == SECRET_OK && a->value != NULL)
		apply_entry(s, a->value);
	if (a->error == SECRET_NOT_SERVED) {
		/* there was none */
		s->calls--;
		secret_budget_give(&s->budget);
	}
	if (was == ASK_CURRENT)
		on_current(s, a);
	else if (was == ASK_RENEWAL)
		on_renewed(s, a);
	else
		secret_on_other(s, a, was);
	if (s->again && s->asking == ASK_NOTHING)
		secret_ask(s, ASK_CURRENT);
}

/* ---- questions ---- */

static void
budget_is_used_up(struct secret *s)
{
	set_error(s, "max_calls_per_hour is reached");
	if (s->last_class != SECRET_THROTTLED)
		log_warning("secret %s: max_calls_per_hour=%d is reached", s->name,
		    s->entry->max_calls_per_hour);
	s->last_class = SECRET_THROTTLED;
	s->not_before_ms = now_ms(s) + BUDGET_PAUSE_MS;
	secret_wake_by(s, s->not_before_ms);
	secret_search_over(s);
	secret_tell_changed(s);
}

void
secret_ask(struct secret *s, enum secret_asking what)
{
	static const enum secret_stage stages[] = { SECRET_CURRENT, SECRET_CURRENT, SECRET_PENDING,
		SECRET_PREVIOUS, SECRET_CURRENT };

	if (s->source == NULL || s->all->ending || !atomic_load(&s->live))
		return;
	if (s->asking != ASK_NOTHING) {
		s->again |= what == ASK_CURRENT && s->asking != ASK_CURRENT;
		return;
	}
	if (what == ASK_CURRENT)
		s->again = false;
	if (!secret_budget_take(&s->budget, now_ms(s), (uint32_t)s->entry->max_calls_per_hour)) {
		budget_is_used_up(s);
		return;
	}
	s->calls++;
	s->asking = what;
	if (what == ASK_RENEWAL)
		s->source->ops->renew(s->source, s->current->lease, on_fetched, s);
	else
		s->source->ops->fetch(s->source, stages[what], on_fetched, s);
}

static void
on_source_changed(void *arg)
{
	struct secret *s = arg;

	/* the answer that is awaited may have been read before the change */
	s->again |= s->asking != ASK_NOTHING;
	secret_ask(s, ASK_CURRENT);
}

void
secret_start(struct secret *s)
{
	if (s->source->ops->watch != NULL)
		s->source->ops->watch(s->source, on_source_changed, s);
	secret_ask(s, ASK_CURRENT);
}

void
secret_ask_now(struct secret *s)
{
	secret_ask(s, ASK_CURRENT);
}

void
secret_stop(struct secret *s)
{
	loop_deadline_remove(&s->all->use.main->loop, &s->timer);
	atomic_store(&s->due_ms, 0);
	if (s->source != NULL)
		s->source->ops->close(s->source);
	s->source = NULL;
	s->asking = ASK_NOTHING;
	s->again = s->renewable = false;
	secret_search_over(s);
	s->failures_in_row = 0;
	s->not_before_ms = 0;
	s->last_class = SECRET_OK;
	s->forced_pace = s->client_pace = (struct secret_pace){ 0 };
	s->former[0] = '\0';
	set_error(s, "");
}

/* A role that is just being made must be given back as well. */
static void
stop_when_idle(struct secret *s)
{
	if (s->source == NULL ||
	    (s->leases == 0 && (s->asking == ASK_NOTHING || s->source->ops->revoke == NULL)))
		secret_stop(s);
}

void
secret_remove(struct secret *s)
{
	atomic_store(&s->live, false);
	loop_deadline_remove(&s->all->use.main->loop, &s->timer);
	atomic_store(&s->due_ms, 0);
	secret_forget(s);
	secret_search_over(s);
	stop_when_idle(s);
	secret_tell_changed(s);
}

void
secret_lease_given_back(struct secret *s)
{
	s->leases--;
	if (!atomic_load(&s->live))
		stop_when_idle(s);
}

void
secret_on_timer(struct deadline *d)
{
	struct secret *s = list_entry(d, struct secret, timer);

	atomic_store(&s->due_ms, 0);
	if (!atomic_load(&s->live))
		stop_when_idle(s);
	else if (s->asking != ASK_NOTHING)
		wake_in(s, SOON_MS); /* what is under way may not concern the current version */
	else if (s->renewable && !s->forced && lease_left(s) > s->lease_life_ms / 4)
		secret_ask(s, ASK_RENEWAL);
	else
		secret_ask(s, ASK_CURRENT);
}
