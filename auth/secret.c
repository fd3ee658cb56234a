#include "auth/secret.h"

#include "auth/secret_state.h"
#include "proxy/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROBE_MS 1000 /* how long a refused pair rests until the cache knows better */

uint64_t
secret_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const char *
secret_name(const struct secret *s)
{
	return s->name;
}

/* ---- letters to the main thread ---- */

enum news { NEWS_WANTED, NEWS_REFUSED, NEWS_PROVEN, NEWS_CLIENT_REFUSED };

struct secret_letter {
	struct letter letter;
	enum news news;
	struct secret *secret;
	struct secret_version *version; /* reference or NULL */
};

static void
deliver(struct worker *main, struct letter *letter)
{
	struct secret_letter *l = list_entry(letter, struct secret_letter, letter);

	(void)main;
	switch (l->news) {
	case NEWS_WANTED:
		atomic_store(&l->secret->asked, false);
		secret_on_wanted(l->secret);
		break;
	case NEWS_REFUSED:
		secret_on_refused(l->secret, l->version);
		break;
	case NEWS_PROVEN:
		secret_on_proven(l->secret, l->version);
		break;
	case NEWS_CLIENT_REFUSED:
		secret_on_client_refused(l->secret);
		break;
	}
	secret_version_unref(l->version);
	free(l);
}

static bool
tell(struct secret *s, enum news news, struct secret_version *v)
{
	struct secret_letter *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		log_error("secret %s: out of memory", s->name);
		return false;
	}
	list_init(&l->letter.node);
	l->letter.deliver = deliver;
	l->news = news;
	l->secret = s;
	l->version = secret_version_ref(v);
	worker_post(s->all->use.main, &l->letter);
	return true;
}

static void
want(struct secret *s)
{
	atomic_store(&s->wanted, true);
	if (!atomic_exchange(&s->asked, true) && !tell(s, NEWS_WANTED, NULL))
		atomic_store(&s->asked, false);
}

/* ---- which version ---- */

static bool
has_ended(const struct secret_version *v, int64_t unix_ms)
{
	int64_t end = atomic_load(&v->expires_unix_ms);

	/* a lease that nobody could prolong or replace is left before it ends */
	if (v->lease != NULL && atomic_load(&v->retired))
		return true;
	return end != 0 && unix_ms >= end;
}

static bool
is_too_stale(const struct secret *s, uint64_t now)
{
	uint64_t answered = atomic_load(&s->answered_ms);

	return s->max_stale_ms > 0 && answered + (uint64_t)s->max_stale_ms < now;
}

bool
secret_has_version(const struct secret *s, int64_t unix_ms, uint64_t now_ms)
{
	return s->current != NULL && !has_ended(s->current, unix_ms) && !is_too_stale(s, now_ms);
}

static bool
is_good(const struct secret_version *v, int64_t unix_ms)
{
	return v != NULL && !has_ended(v, unix_ms) && !atomic_load(&v->refused);
}

struct secret_version *
secret_login(struct secret *s)
{
	int64_t unix_ms = s->all->env.unix_ms();
	uint64_t now = secret_now_ms();
	struct secret_version *v = NULL;

	pthread_mutex_lock(&s->lock);
	if (!secret_has_version(s, unix_ms, now)) {
		v = NULL;
	} else if (s->early_proven && is_good(s->early, unix_ms)) {
		v = s->early;
	} else if (is_good(s->current, unix_ms)) {
		v = s->current;
	} else if (is_good(s->early, unix_ms)) {
		v = s->early;
	} else if (now >= s->refused_until_ms) {
		/* one of those who ask tries; the others hear of it */
		s->refused_until_ms = now + PROBE_MS;
		v = s->current;
	}
	secret_version_ref(v);
	pthread_mutex_unlock(&s->lock);
	if (v == NULL)
		want(s);
	else
		atomic_fetch_add_explicit(&s->hits, 1, memory_order_relaxed);
	return v;
}

void
secret_login_refused(struct secret *s, struct secret_version *v)
{
	uint64_t until = secret_now_ms() + PROBE_MS;

	pthread_mutex_lock(&s->lock);
	atomic_store(&v->refused, true);
	if (v == s->current && s->refused_until_ms < until)
		s->refused_until_ms = until;
	pthread_mutex_unlock(&s->lock);
	(void)tell(s, NEWS_REFUSED, v);
}

void
secret_login_worked(struct secret *s, struct secret_version *v)
{
	bool news = !atomic_exchange(&v->worked, true);

	pthread_mutex_lock(&s->lock);
	/* here and not where the letter arrives: a refusal may come in between */
	news |= atomic_exchange(&v->refused, false) || (v == s->early && !s->early_proven);
	if (v == s->current)
		s->refused_until_ms = 0;
	pthread_mutex_unlock(&s->lock);
	if (news)
		(void)tell(s, NEWS_PROVEN, v);
}

void
secret_why_not(struct secret *s, char *out, size_t size)
{
	pthread_mutex_lock(&s->lock);
	if (s->current == NULL)
		snprintf(out, size, "secret \"%s\" is not available yet%s%s", s->name,
		    s->error[0] != '\0' ? ": " : "", s->error);
	else if (atomic_load(&s->current->refused))
		snprintf(out, size,
		    "the server refused the user name and password of secret \"%s\"", s->name);
	else
		snprintf(out, size, "secret \"%s\" has ended and cannot be renewed%s%s", s->name,
		    s->error[0] != '\0' ? ": " : "", s->error);
	pthread_mutex_unlock(&s->lock);
}

/* ---- clients ---- */

static size_t
add_candidate(struct secret_version **out, size_t n, struct secret_version *v, const char *user,
    int64_t unix_ms)
{
	if (v == NULL || v->user == NULL || v->verifier == NULL || strcmp(v->user, user) != 0 ||
	    has_ended(v, unix_ms))
		return n;
	out[n] = secret_version_ref(v);
	return n + 1;
}

size_t
secret_candidates(struct secret *s, const char *user, struct secret_version *out[SECRET_CANDIDATES])
{
	int64_t unix_ms = s->all->env.unix_ms();
	uint64_t now = secret_now_ms();
	size_t n = 0;

	pthread_mutex_lock(&s->lock);
	if (secret_has_version(s, unix_ms, now)) {
		n = add_candidate(out, n, s->current, user, unix_ms);
		n = add_candidate(out, n, s->early, user, unix_ms);
		if (now < s->previous_until_ms)
			n = add_candidate(out, n, s->previous, user, unix_ms);
	}
	pthread_mutex_unlock(&s->lock);
	if (n > 0)
		atomic_fetch_add_explicit(&s->hits, 1, memory_order_relaxed);
	return n;
}

bool
secret_has_none(struct secret *s)
{
	int64_t unix_ms = s->all->env.unix_ms();
	uint64_t now = secret_now_ms();
	bool none;

	pthread_mutex_lock(&s->lock);
	none = !secret_has_version(s, unix_ms, now);
	pthread_mutex_unlock(&s->lock);
	return none;
}

bool
secret_is_cold(struct secret *s)
{
	if (!secret_has_none(s))
		return false;
	want(s);
	return true;
}

unsigned
secret_client_refused(struct secret *s)
{
	unsigned searches = atomic_load(&s->searches);

	/* who comes while a search is on its way waits for its end */
	if (!atomic_exchange(&s->searching, true) && !tell(s, NEWS_CLIENT_REFUSED, NULL))
		secret_search_ends(s);
	return searches;
}

unsigned
secret_searches(const struct secret *s)
{
	return atomic_load(&s->searches);
}

void
secret_search_ends(struct secret *s)
{
	atomic_store(&s->searching, false);
	atomic_fetch_add(&s->searches, 1);
}

uint32_t
secret_iterations(const struct secret *s)
{
	return (uint32_t)s->all->iterations;
}

const char *
secret_state_word(struct secret *s)
{
	int64_t unix_ms = s->all->env.unix_ms();
	const char *word = "ok";

	pthread_mutex_lock(&s->lock);
	if (!atomic_load(&s->live))
		word = "removed";
	else if (s->current == NULL)
		word = s->error[0] != '\0' ? "failing" : "cold";
	else if (has_ended(s->current, unix_ms) || is_too_stale(s, secret_now_ms()))
		word = "expired";
	else if (s->early != NULL && s->early_proven)
		word = "rotating";
	else if (atomic_load(&s->current->refused))
		word = "refused";
	else if (s->deleted)
		word = "deleted";
	else if (s->error[0] != '\0')
		word = "stale";
	pthread_mutex_unlock(&s->lock);
	return word;
}
