/* secret_publish.c -- versions of a secret put where other threads find them, and taken away. Main thread. */
#include "auth/secret_state.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"

#include <stdlib.h>
#include <string.h>

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
	}
	return v;
}

/* ---- what is published ---- */

void
secret_publish(struct secret *s, struct secret_version *v)
{
	struct secret_version *old, *older, *early = NULL;
	int64_t grace = s->entry->grace;

	pthread_mutex_lock(&s->lock);
	old = s->current;
	older = s->previous;
	s->current = v;
	s->previous = old;
	s->previous_until_ms = loop_now_ms(&s->all->use.main->loop) + (uint64_t)grace;
	s->refused_until_ms = 0;
	if (s->early != NULL && (s->early == v || strcmp(s->early->id, v->id) == 0)) {
		early = s->early;
		s->early = NULL;
	}
	s->early_proven = false;
	pthread_mutex_unlock(&s->lock);
	s->fetched_ms = loop_now_ms(&s->all->use.main->loop);
	s->forced_in_row = 0;
	memset(s->tried, 0, sizeof(s->tried));
	if (old != NULL) {
		s->changes++;
		if (!secret_version_same_user(old, v))
			atomic_store(&old->retired, true);
		loop_deadline(&s->all->use.main->loop, &s->grace, s->previous_until_ms);
	}
	if (early != v)
		secret_version_unref(early);
	secret_version_unref(older);
	log_info("secret %s: version %s is in use%s%s", s->name, v->id,
	    old == NULL			       ? ""
	    : secret_version_same_user(old, v) ? ", new password of the same user"
					       : ", another user",
	    v->lease != NULL ? ", leased" : "");
	secret_tell_changed(s);
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
	secret_tell_changed(s);
}

void
secret_publish_previous(struct secret *s, struct secret_version *v)
{
	struct secret_version *old;

	pthread_mutex_lock(&s->lock);
	old = s->previous;
	s->previous = v;
	s->previous_until_ms = loop_now_ms(&s->all->use.main->loop) + (uint64_t)s->entry->grace;
	pthread_mutex_unlock(&s->lock);
	loop_deadline(&s->all->use.main->loop, &s->grace, s->previous_until_ms);
	secret_version_unref(old);
	log_info("secret %s: clients may use version %s (previous) for a while", s->name, v->id);
	secret_tell_changed(s);
}

void
secret_tell_changed(struct secret *s)
{
	atomic_store(&s->wanted, false);
	if (s->all->use.changed != NULL)
		s->all->use.changed(s->all->use.arg, s);
}
