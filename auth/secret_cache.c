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

#define COLD_RETRY_MAX	   2000	 /* while clients wait for the first version */
#define OLD_ANSWER_MS	   10000 /* a read may still give the version before the newest */
#define BUDGET_PAUSE_MS	   60000
#define CLIENT_PATIENCE_MS 2000 /* a client waits that long for the next question that is allowed */

static const char *const class_words[] = { "ok", "no answer", "throttled",
	"own credentials refused", "not available", "unusable value", "not served" };

static void ask(struct secret *, enum secret_asking);

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

static void
set_error(struct secret *s, const char *message)
{
	pthread_mutex_lock(&s->lock);
	snprintf(s->error, sizeof(s->error), "%s", message);
	pthread_mutex_unlock(&s->lock);
}

/* Who asked for more than the usual refresh has his answer. */
static void
search_over(struct secret *s)
{
	s->forced = false;
	if (!s->client_asks)
		return;
	s->client_asks = false;
	secret_search_ends(s);
}

/* ---- answers ---- */

static bool
is_cold(struct secret *s)
{
	bool cold;

	pthread_mutex_lock(&s->lock);
	cold = !secret_has_version(s, s->all->env.unix_ms(), secret_now_ms());
	pthread_mutex_unlock(&s->lock);
	return cold;
}

static void
on_failure(struct secret *s, const struct secret_answer *a)
{
	bool cold = is_cold(s);
	int64_t cap = s->entry->retry_max, wait;

	s->failures++;
	s->failures_in_row++;
	set_error(s, a->message != NULL ? a->message : class_words[a->error]);
	if (a->error != s->last_class)
		log_warning("secret %s: %s: %s%s", s->name, class_words[a->error],
		    a->message != NULL ? a->message : "no details",
		    cold ? "" : "; the last good version stays in use");
	s->last_class = a->error;
	if (cold && cap > COLD_RETRY_MAX && atomic_load(&s->wanted) && a->error != SECRET_THROTTLED)
		cap = COLD_RETRY_MAX;
	wait = secret_schedule_retry(s->failures_in_row + (a->error == SECRET_THROTTLED ? 3u : 0u),
	    cap, draw());
	/* what people must repair is looked at as often as a secret that works */
	if (!cold && (a->error == SECRET_GONE || a->error == SECRET_BAD_VALUE))
		wait = secret_schedule_refresh(s->entry->ttl, draw());
	if (wait < a->retry_after_ms)
		wait = a->retry_after_ms;
	wake_in(s, wait);
}

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
	set_error(s, "");
	atomic_store(&s->answered_ms, secret_now_ms());
}

static void
schedule(struct secret *s, const struct secret_answer *a)
{
	int64_t unix_ms = s->all->env.unix_ms(), wait, left;

	if (a->refresh_unix_ms > 0) {
		wait = a->refresh_unix_ms - unix_ms;
		if (wait < 1000)
			wait = 1000;
	} else if (a->expires_unix_ms > 0) {
		left = a->expires_unix_ms - unix_ms;
		s->renewable = a->renewable && a->lease != NULL && s->source->ops->renew != NULL;
		s->lease_life_ms = left;
		wait = s->renewable ? secret_schedule_renew(left)
				    : secret_schedule_replace(left, draw());
		if (wait < 200)
			wait = 200;
	} else {
		wait = secret_schedule_refresh(s->entry->ttl, draw());
	}
	wake_in(s, wait);
}

/* An answer that is older than what is in use: reads lag for seconds behind a change. */
static bool
lags(const struct secret *s, const struct secret_answer *a)
{
	return s->previous != NULL && strcmp(s->previous->id, a->version) == 0 &&
	       now_ms(s) - s->fetched_ms < OLD_ANSWER_MS;
}

static bool
tried(const struct secret *s, int which, const char *id)
{
	return strcmp(s->tried[which], id) == 0;
}

/* A refused login, or a client's unknown password, is not explained by the current version. */
static void
look_further(struct secret *s)
{
	s->forced_after_ms = now_ms(s) + (uint64_t)secret_schedule_forced(s->forced_in_row++,
					     s->entry->min_refresh_interval, s->entry->retry_max);
	ask(s, ASK_PENDING);
}

static void
on_current(struct secret *s, const struct secret_answer *a)
{
	bool searching = s->forced || s->client_asks;
	struct secret_version *v = NULL;

	if (a->error != SECRET_OK) {
		on_failure(s, a);
		search_over(s);
		secret_tell_changed(s);
		return;
	}
	on_answer(s, a);
	schedule(s, a);
	if (s->current != NULL && a->lease == NULL && strcmp(s->current->id, a->version) == 0 &&
	    secret_version_says(s->current, a->value)) {
		if (searching)
			look_further(s);
		else if (atomic_load(&s->wanted))
			secret_tell_changed(s);
		return;
	}
	if (lags(s, a)) {
		wake_in(s, 1000);
		return;
	}
	search_over(s);
	if (s->early != NULL && strcmp(s->early->id, a->version) == 0 &&
	    secret_version_says(s->early, a->value))
		v = secret_version_ref(s->early);
	else
		v = secret_version_of(s, a);
	if (v != NULL)
		secret_publish(s, v);
}

static void
on_other(struct secret *s, const struct secret_answer *a, enum secret_asking stage)
{
	int which = stage == ASK_PENDING ? 0 : 1;
	bool fits = a->error == SECRET_OK && s->current != NULL &&
		    strcmp(s->current->id, a->version) != 0 && !tried(s, which, a->version) &&
		    !secret_version_says(s->current, a->value);
	struct secret_version *v;
	bool for_servers,
	    others = a->error == SECRET_OK && s->current != NULL &&
		     strcmp(s->current->user != NULL ? s->current->user : "", a->value->user) != 0;

	/* The password before this one opens nothing at the server, unless users alternate. */
	if (stage == ASK_PREVIOUS && !s->client_asks && !others)
		fits = false;
	if (fits && (v = secret_version_of(s, a)) != NULL) {
		snprintf(s->tried[which], sizeof(s->tried[which]), "%s", a->version);
		for_servers = stage == ASK_PENDING || (s->forced && others);
		search_over(s);
		if (for_servers)
			secret_publish_early(s, v, stage == ASK_PENDING ? "pending" : "previous");
		else
			secret_publish_previous(s, v);
		return;
	}
	if (stage == ASK_PENDING) {
		ask(s, ASK_PREVIOUS);
		return;
	}
	search_over(s);
	secret_tell_changed(s);
}

static void
on_renewed(struct secret *s, const struct secret_answer *a)
{
	int64_t unix_ms = s->all->env.unix_ms(), left;

	if (a->error == SECRET_OK) {
		on_answer(s, a);
		if (s->current != NULL)
			atomic_store(&s->current->expires_unix_ms, a->expires_unix_ms);
		left = a->expires_unix_ms - unix_ms;
		if (left > s->lease_life_ms / 3) {
			wake_in(s, secret_schedule_renew(left));
			return;
		}
		/* its end cannot be put off any more: another one takes over */
		ask(s, ASK_CURRENT);
		return;
	}
	s->failures++;
	s->failures_in_row++;
	set_error(s, a->message != NULL ? a->message : class_words[a->error]);
	if (a->error != s->last_class)
		log_warning("secret %s: the lease cannot be renewed: %s", s->name,
		    a->message != NULL ? a->message : class_words[a->error]);
	s->last_class = a->error;
	left = s->current != NULL ? atomic_load(&s->current->expires_unix_ms) - unix_ms : 0;
	if (left < s->lease_life_ms / 4 || a->error == SECRET_GONE)
		ask(s, ASK_CURRENT);
	else
		wake_in(s, secret_schedule_retry(s->failures_in_row, s->entry->retry_max, draw()));
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

static void
on_fetched(void *arg, const struct secret_answer *a)
{
	struct secret *s = arg;
	enum secret_asking was = s->asking;

	if (a->error == SECRET_OK && a->value != NULL)
		apply_entry(s, a->value);
	s->asking = ASK_NOTHING;
	if (a->error == SECRET_NOT_SERVED)
		s->calls--; /* there was none */
	if (was == ASK_CURRENT)
		on_current(s, a);
	else if (was == ASK_RENEWAL)
		on_renewed(s, a);
	else
		on_other(s, a, was);
	if (s->again && s->asking == ASK_NOTHING) {
		s->again = false;
		ask(s, ASK_CURRENT);
	}
}

/* ---- questions ---- */

static void
ask(struct secret *s, enum secret_asking what)
{
	static const enum secret_stage stages[] = { SECRET_CURRENT, SECRET_CURRENT, SECRET_PENDING,
		SECRET_PREVIOUS, SECRET_CURRENT };

	if (s->source == NULL)
		return;
	if (s->asking != ASK_NOTHING) {
		s->again |= what == ASK_CURRENT && s->asking != ASK_CURRENT;
		return;
	}
	if (!secret_budget_take(&s->budget, now_ms(s), (uint32_t)s->entry->max_calls_per_hour)) {
		set_error(s, "max_calls_per_hour is reached");
		if (s->last_class != SECRET_THROTTLED)
			log_warning("secret %s: max_calls_per_hour=%d is reached", s->name,
			    s->entry->max_calls_per_hour);
		s->last_class = SECRET_THROTTLED;
		search_over(s);
		wake_in(s, BUDGET_PAUSE_MS);
		secret_tell_changed(s);
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

	ask(s, ASK_CURRENT);
}

void
secret_start(struct secret *s)
{
	if (s->source->ops->watch != NULL)
		s->source->ops->watch(s->source, on_source_changed, s);
	ask(s, ASK_CURRENT);
}

void
secret_ask_now(struct secret *s)
{
	ask(s, ASK_CURRENT);
}

void
secret_stop(struct secret *s)
{
	loop_deadline_remove(&s->all->use.main->loop, &s->timer);
	if (s->source != NULL)
		s->source->ops->close(s->source);
	s->source = NULL;
	s->asking = ASK_NOTHING;
	s->again = false;
	search_over(s);
}

void
secret_on_timer(struct deadline *d)
{
	struct secret *s = list_entry(d, struct secret, timer);
	int64_t left = 0;

	if (s->renewable && s->current != NULL && s->current->lease != NULL)
		left = atomic_load(&s->current->expires_unix_ms) - s->all->env.unix_ms();
	ask(s, left > s->lease_life_ms / 4 ? ASK_RENEWAL : ASK_CURRENT);
}

/* ---- what other threads have seen ---- */

void
secret_on_refused(struct secret *s, struct secret_version *v)
{
	struct secret_version *dropped = NULL;
	uint64_t now = now_ms(s);
	int64_t rest = secret_schedule_forced(s->forced_in_row, s->entry->min_refresh_interval,
	    s->entry->retry_max);

	pthread_mutex_lock(&s->lock);
	if (v == s->early) {
		dropped = s->early;
		s->early = NULL;
		s->early_proven = false;
	}
	if (v == s->current && s->refused_until_ms < secret_now_ms() + (uint64_t)rest)
		s->refused_until_ms = secret_now_ms() + (uint64_t)rest;
	pthread_mutex_unlock(&s->lock);
	secret_version_unref(dropped);
	if (v != s->current && dropped == NULL)
		return; /* another one has taken its place already */
	log_warning("secret %s: the server refused version %s", s->name, v->id);
	if (now < s->forced_after_ms || s->forced)
		return; /* asked a moment ago */
	s->forced = true;
	s->forces++;
	ask(s, ASK_CURRENT);
}

void
secret_on_proven(struct secret *s, struct secret_version *v)
{
	bool early;

	pthread_mutex_lock(&s->lock);
	atomic_store(&v->refused, false);
	early = v == s->early;
	s->early_proven |= early;
	if (v == s->current)
		s->refused_until_ms = 0;
	pthread_mutex_unlock(&s->lock);
	s->forced_in_row = 0;
	if (early)
		log_info("secret %s: the server takes version %s before it is the current one",
		    s->name, v->id);
	/* the other user is the one to use: connections of the first end as they become free */
	if (early && s->current != NULL && !secret_version_same_user(s->current, v))
		atomic_store(&s->current->retired, true);
	secret_tell_changed(s);
}

void
secret_on_wanted(struct secret *s)
{
	if (is_cold(s) && s->asking == ASK_NOTHING && s->failures_in_row == 0)
		ask(s, ASK_CURRENT);
}

void
secret_on_client_refused(struct secret *s)
{
	uint64_t now = now_ms(s);

	s->client_asks = true;
	if (s->source == NULL || now + CLIENT_PATIENCE_MS < s->forced_after_ms) {
		search_over(s);
		secret_tell_changed(s);
	} else if (now < s->forced_after_ms) {
		wake_in(s, (int64_t)(s->forced_after_ms - now));
	} else {
		ask(s, ASK_CURRENT);
	}
}
