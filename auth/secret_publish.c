/* secret_publish.c -- versions of a secret put where other threads find them, and taken away. Main thread. */
#include "auth/secret_state.h"
#include "proxy/base/log.h"
#include "proxy/base/secure.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END_MARGIN_MAX 10000

/* ---- leases ---- */

struct gone_letter {
	struct letter letter;
	struct secret *secret;
	char lease[];
};

static void
deliver_gone(struct worker *main, struct letter *letter)
{
	struct gone_letter *l = list_entry(letter, struct gone_letter, letter);
	struct secret *s = l->secret;

	(void)main;
	if (s->source != NULL && s->source->ops->revoke != NULL) {
		log_info("secret %s: nobody uses a former lease any more, it is revoked", s->name);
		s->source->ops->revoke(s->source, l->lease);
	}
	secret_lease_given_back(s);
	free(l);
}

/* Nobody holds a server connection of it any more, so its role may go. Any thread. */
static void
on_gone(void *arg, const struct secret_version *v)
{
	struct secret *s = arg;
	struct gone_letter *l;

	if (v->lease == NULL)
		return;
	l = calloc(1, sizeof(*l) + strlen(v->lease) + 1);
	if (l == NULL)
		return; /* it ends by itself */
	list_init(&l->letter.node);
	l->letter.deliver = deliver_gone;
	l->secret = s;
	memcpy(l->lease, v->lease, strlen(v->lease) + 1);
	worker_post(s->all->use.main, &l->letter);
}

struct secret_version *
secret_version_of(struct secret *s, const struct secret_answer *a)
{
	struct secret_version *v = secret_version_new(a->value, a->version, a->lease,
	    a->expires_unix_ms, s->all->iterations);

	if (v == NULL)
		log_error("secret %s: out of memory", s->name);
	else {
		v->gone = on_gone;
		v->gone_arg = s;
		s->leases += v->lease != NULL;
	}
	return v;
}

/* How long before its end a lease is left: sessions of a role that is gone fail later, and badly. */
static int64_t
margin(const struct secret *s)
{
	int64_t part = s->lease_life_ms / 20;

	return part < END_MARGIN_MAX ? part : END_MARGIN_MAX;
}

void
secret_watch_end(struct secret *s)
{
	struct loop *loop = &s->all->use.main->loop;
	int64_t end = s->current != NULL ? atomic_load(&s->current->expires_unix_ms) : 0, left;

	if (s->current == NULL || s->current->lease == NULL || end == 0) {
		loop_deadline_remove(loop, &s->end);
		return;
	}
	left = end - margin(s) - s->all->env.unix_ms();
	loop_deadline(loop, &s->end, loop_now_ms(loop) + (uint64_t)(left > 0 ? left : 0));
}

void
secret_on_end(struct deadline *d)
{
	struct secret *s = list_entry(d, struct secret, end);
	struct secret_version *v = s->current;

	if (v == NULL || v->lease == NULL || atomic_load(&v->retired))
		return;
	if (atomic_load(&v->expires_unix_ms) - s->all->env.unix_ms() > margin(s)) {
		secret_watch_end(s);
		return;
	}
	log_warning(
	    "secret %s: the lease of version %s ends and there is no other; its connections are "
	    "closed",
	    s->name, v->id);
	atomic_store(&v->retired, true);
	secret_tell_changed(s);
}

/* ---- what is published ---- */

/* Keeps the version that another has replaced for clients who know it. Those of a lease are known to
 * nobody, and should be given back soon. The reference to drop. */
static struct secret_version *
step_back(struct secret *s, struct secret_version *old)
{
	struct secret_version *older;

	if (old == NULL || old->lease != NULL)
		return old;
	older = s->previous;
	s->previous = old;
	s->previous_until_ms = secret_now_ms() + (uint64_t)s->entry->grace;
	return older;
}

/* Once, when the first secret is there: RLIMIT_MEMLOCK may be small. */
static void
warn_unlocked(void)
{
	static bool warned;

	if (warned || secure_locked())
		return;
	warned = true;
	log_warning("secrets cannot be kept out of swap: raise the limit of locked memory "
		    "(LimitMEMLOCK=, ulimit -l)");
}

void
secret_publish(struct secret *s, struct secret_version *v)
{
	struct secret_version *old = secret_version_ref(s->current), *early, *dropped;

	warn_unlocked();
	pthread_mutex_lock(&s->lock);
	dropped = step_back(s, s->current);
	early = s->early;
	s->current = v;
	/* a rotation has ended, and with it what was tried meanwhile */
	s->early = NULL;
	s->early_proven = false;
	s->refused_until_ms = 0;
	pthread_mutex_unlock(&s->lock);
	s->fetched_ms = loop_now_ms(&s->all->use.main->loop);
	if (atomic_load(&v->expires_unix_ms) == 0)
		s->client_pace = (struct secret_pace){ 0 };
	memset(s->tried, 0, sizeof(s->tried));
	if (old != NULL) {
		s->changes++;
		snprintf(s->former, sizeof(s->former), "%s", old->id);
		if (!secret_version_same_user(old, v))
			atomic_store(&old->retired, true);
		if (s->previous == old)
			loop_deadline(&s->all->use.main->loop, &s->grace, s->previous_until_ms);
	}
	if (early != NULL && !secret_version_same_user(early, v))
		atomic_store(&early->retired, true);
	secret_watch_end(s);
	log_info("secret %s: version %s is in use%s%s", s->name, v->id,
	    old == NULL			       ? ""
	    : secret_version_same_user(old, v) ? ", new password of the same user"
					       : ", another user",
	    v->lease != NULL ? ", leased" : "");
	secret_version_unref(early);
	secret_version_unref(dropped);
	secret_version_unref(old);
}

void
secret_on_grace(struct deadline *d)
{
	struct secret *s = list_entry(d, struct secret, grace);
	struct secret_version *v;

	pthread_mutex_lock(&s->lock);
	v = s->previous;
	s->previous = NULL;
	pthread_mutex_unlock(&s->lock);
	secret_version_unref(v);
}

void
secret_publish_early(struct secret *s, struct secret_version *v, const char *stage)
{
	struct secret_version *old;

	pthread_mutex_lock(&s->lock);
	old = s->early;
	s->early = v;
	s->early_proven = false;
	pthread_mutex_unlock(&s->lock);
	secret_version_unref(old);
	log_info("secret %s: version %s (%s) is accepted beside the current one", s->name, v->id,
	    stage);
}

void
secret_publish_previous(struct secret *s, struct secret_version *v)
{
	struct secret_version *old;

	pthread_mutex_lock(&s->lock);
	old = s->previous;
	s->previous = v;
	s->previous_until_ms = secret_now_ms() + (uint64_t)s->entry->grace;
	pthread_mutex_unlock(&s->lock);
	loop_deadline(&s->all->use.main->loop, &s->grace, s->previous_until_ms);
	secret_version_unref(old);
	log_info("secret %s: clients may use version %s (previous) for a while", s->name, v->id);
}

void
secret_forget(struct secret *s)
{
	struct secret_version *was[3];

	pthread_mutex_lock(&s->lock);
	was[0] = s->current;
	was[1] = s->early;
	was[2] = s->previous;
	s->current = s->early = s->previous = NULL;
	s->early_proven = false;
	pthread_mutex_unlock(&s->lock);
	loop_deadline_remove(&s->all->use.main->loop, &s->grace);
	loop_deadline_remove(&s->all->use.main->loop, &s->end);
	memset(s->tried, 0, sizeof(s->tried));
	for (int i = 0; i < 3; i++) {
		if (was[i] != NULL)
			atomic_store(&was[i]->retired, true);
		secret_version_unref(was[i]);
	}
}

void
secret_tell_changed(struct secret *s)
{
	atomic_store(&s->wanted, false);
	if (s->all->use.changed != NULL)
		s->all->use.changed(s->all->use.arg, s);
}
