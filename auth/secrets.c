#include "auth/secrets.h"

#include "auth/scram_verifier.h"
#include "auth/secret_state.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct planned {
	const struct config_secret *entry;
	struct secret_source *source; /* NULL: as before */
};

struct secrets_plan {
	struct config *cfg;
	size_t n;
	struct planned item[];
};

static int64_t
wall_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct secrets *
secrets_new(const struct secrets_settings *use)
{
	struct secrets *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return NULL;
	all->use = *use;
	all->env = (struct secret_source_env){ .loop = &use->main->loop,
		.calls = use->calls,
		.unix_ms = use->unix_ms != NULL ? use->unix_ms : wall_clock };
	all->iterations = SCRAM_ITERATIONS_DEFAULT;
	pthread_mutex_init(&all->lock, NULL);
	return all;
}

static void
free_secret(struct secret *s)
{
	secret_stop(s);
	loop_deadline_remove(&s->all->use.main->loop, &s->grace);
	loop_deadline_remove(&s->all->use.main->loop, &s->end);
	/* nobody reads the letters any more */
	if (s->current != NULL)
		s->current->gone = NULL;
	if (s->early != NULL)
		s->early->gone = NULL;
	if (s->previous != NULL)
		s->previous->gone = NULL;
	secret_version_unref(s->current);
	secret_version_unref(s->early);
	secret_version_unref(s->previous);
	config_unref(s->cfg);
	pthread_mutex_destroy(&s->lock);
	free(s->name);
	free(s);
}

void
secrets_free(struct secrets *all)
{
	struct hnode *n;

	if (all == NULL)
		return;
	while ((n = hmap_first(&all->by_name)) != NULL) {
		hmap_del(&all->by_name, n);
		free_secret(hmap_entry(n, struct secret, node));
	}
	hmap_release(&all->by_name);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

/* ---- by name ---- */

/* Those that a reload removed too. */
static struct secret *
look_up(struct secrets *all, const char *name)
{
	struct hnode *n;

	pthread_mutex_lock(&all->lock);
	for (n = hmap_find(&all->by_name, hmap_hash_str(name)); n != NULL; n = hmap_next_same(n))
		if (strcmp(hmap_entry(n, struct secret, node)->name, name) == 0)
			break;
	pthread_mutex_unlock(&all->lock);
	return n != NULL ? hmap_entry(n, struct secret, node) : NULL;
}

struct secret *
secrets_find(struct secrets *all, const char *name)
{
	struct secret *s = look_up(all, name);

	return s != NULL && atomic_load(&s->live) ? s : NULL;
}

static struct secret *
add(struct secrets *all, const char *name)
{
	struct secret *s = calloc(1, sizeof(*s));
	bool added;

	if (s == NULL || (s->name = strdup(name)) == NULL) {
		free(s);
		return NULL;
	}
	s->all = all;
	pthread_mutex_init(&s->lock, NULL);
	deadline_init(&s->timer, secret_on_timer);
	deadline_init(&s->grace, secret_on_grace);
	deadline_init(&s->end, secret_on_end);
	pthread_mutex_lock(&all->lock);
	added = hmap_add(&all->by_name, &s->node, hmap_hash_str(name));
	pthread_mutex_unlock(&all->lock);
	if (added)
		return s;
	free_secret(s);
	return NULL;
}

/* ---- reload ---- */

static struct secret_source *
open_source(struct secrets *all, const struct config_secret *e, secrets_say *say, void *arg)
{
	const struct secret_source_ops *ops;
	struct secret_source *source;
	char why[300], text[600];

	if (e->provider == NULL) {
		snprintf(text, sizeof(text), "secret %s: found no provider, expected one of %s",
		    e->name, all->use.names());
		say(arg, true, e->file, e->line, text);
		return NULL;
	}
	ops = all->use.find(e->provider);
	if (ops == NULL) {
		snprintf(text, sizeof(text),
		    "secret %s: provider: found \"%.64s\", expected one of %s", e->name,
		    e->provider, all->use.names());
		say(arg, true, e->file, e->line, text);
		return NULL;
	}
	why[0] = '\0';
	source = ops->open(e, &all->env, why, sizeof(why));
	if (source == NULL) {
		snprintf(text, sizeof(text), "secret %s: %s", e->name,
		    why[0] != '\0' ? why : "out of memory");
		say(arg, true, e->file, e->line, text);
	}
	return source;
}

struct secrets_plan *
secrets_prepare(struct secrets *all, const struct config *cfg, secrets_say *say, void *arg)
{
	struct secrets_plan *p = calloc(1, sizeof(*p) + cfg->n_secrets * sizeof(p->item[0]));
	bool ok = true;

	if (p == NULL) {
		say(arg, true, NULL, 0, "out of memory");
		return NULL;
	}
	p->cfg = config_ref((struct config *)(uintptr_t)cfg);
	for (size_t i = 0; i < cfg->n_secrets; i++) {
		const struct config_secret *e = &cfg->secrets[i];
		struct secret *s = look_up(all, e->name);

		p->n = i + 1;
		p->item[i].entry = e;
		if (s != NULL && atomic_load(&s->live) && config_secret_equal(s->entry, e))
			continue;
		p->item[i].source = open_source(all, e, say, arg);
		ok &= p->item[i].source != NULL;
	}
	if (ok)
		return p;
	secrets_discard(p);
	return NULL;
}

void
secrets_discard(struct secrets_plan *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->n; i++)
		if (p->item[i].source != NULL)
			p->item[i].source->ops->close(p->item[i].source);
	config_unref(p->cfg);
	free(p);
}

static void
adopt(struct secret *s, struct planned *item, struct config *cfg)
{
	struct config *old = s->cfg;

	s->cfg = config_ref(cfg);
	s->entry = item->entry;
	pthread_mutex_lock(&s->lock);
	s->max_stale_ms = item->entry->max_stale;
	pthread_mutex_unlock(&s->lock);
	if (item->source != NULL) {
		secret_stop(s);
		s->source = item->source;
		atomic_store(&s->provider, s->source->ops->name);
		item->source = NULL;
		atomic_store(&s->live, true);
		secret_start(s);
	}
	config_unref(old);
}

static bool
is_planned(const struct secrets_plan *p, const struct secret *s)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->item[i].entry->name, s->name) == 0)
			return true;
	return false;
}

void
secrets_commit(struct secrets *all, struct secrets_plan *p)
{
	/* one exchange must fit all versions: what was chosen first stays */
	if (all->by_name.count == 0)
		all->iterations = p->cfg->scram_iterations;
	for (size_t i = 0; i < p->n; i++) {
		struct secret *s = look_up(all, p->item[i].entry->name);

		if (s == NULL)
			s = add(all, p->item[i].entry->name);
		if (s == NULL)
			log_error("secret %s: out of memory", p->item[i].entry->name);
		else
			adopt(s, &p->item[i], p->cfg);
	}
	for (struct hnode *n = hmap_first(&all->by_name); n != NULL;
	     n = hmap_after(&all->by_name, n)) {
		struct secret *s = hmap_entry(n, struct secret, node);

		if (is_planned(p, s) || !atomic_load(&s->live))
			continue;
		log_info("secret %s: no longer in the configuration", s->name);
		secret_remove(s);
	}
	secrets_discard(p);
}

bool
secrets_refresh(struct secrets *all, const char *name)
{
	struct secret *s = secrets_find(all, name);

	if (s == NULL)
		return false;
	secret_ask_now(s);
	return true;
}

/* ---- the end ---- */

bool
secrets_revoke(struct secrets *all)
{
	bool any = false;

	all->ending = true;
	for (struct hnode *n = hmap_first(&all->by_name); n != NULL;
	     n = hmap_after(&all->by_name, n)) {
		struct secret *s = hmap_entry(n, struct secret, node);

		any |= s->leases > 0 && s->source != NULL;
		if (s->current == NULL || s->current->lease == NULL || s->source == NULL ||
		    s->source->ops->revoke == NULL)
			continue;
		log_info("secret %s: the lease is given back", s->name);
		s->source->ops->revoke(s->source, s->current->lease);
		/* not a second time when the last reference goes */
		free(s->current->lease);
		s->current->lease = NULL;
	}
	return any;
}

/* ---- SHOW SECRETS ---- */

static int64_t
since(uint64_t then, uint64_t now)
{
	return then == 0 ? -1 : (int64_t)(now - then);
}

static void
show(struct secret *s, void (*row)(void *arg, const struct secret_view *), void *arg)
{
	uint64_t now = secret_now_ms(), due = atomic_load(&s->due_ms);
	char error[SECRET_MESSAGE_MAX], version[SECRET_ID_MAX] = "";
	struct secret_version *v;
	struct secret_view view = { .name = s->name,
		.provider = atomic_load(&s->provider),
		.version = version,
		.user = "",
		.state = secret_state_word(s),
		.error = error,
		.age_ms = -1,
		.expires_ms = -1,
		.checked_ms = since(atomic_load(&s->answered_ms), now),
		.next_refresh_ms = due == 0    ? -1
				   : due > now ? (int64_t)(due - now)
					       : 0,
		.calls = atomic_load(&s->calls),
		.hits = atomic_load(&s->hits),
		.failures = atomic_load(&s->failures),
		.forced = atomic_load(&s->forces),
		.changes = atomic_load(&s->changes) };

	pthread_mutex_lock(&s->lock);
	v = secret_version_ref(s->early != NULL && s->early_proven ? s->early : s->current);
	snprintf(error, sizeof(error), "%s", s->error);
	pthread_mutex_unlock(&s->lock);
	if (v != NULL) {
		int64_t end = atomic_load(&v->expires_unix_ms);

		snprintf(version, sizeof(version), "%s", v->id);
		view.user = v->user != NULL ? v->user : "";
		view.age_ms = since(atomic_load(&s->fetched_ms), now);
		if (end != 0)
			view.expires_ms = end - s->all->env.unix_ms();
	}
	row(arg, &view);
	secret_version_unref(v);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(struct secret *const *)a)->name, (*(struct secret *const *)b)->name);
}

void
secrets_each(struct secrets *all, void (*row)(void *arg, const struct secret_view *), void *arg)
{
	struct secret **list;
	size_t n = 0;

	pthread_mutex_lock(&all->lock);
	list = calloc(all->by_name.count + 1u, sizeof(*list));
	for (struct hnode *at = hmap_first(&all->by_name); list != NULL && at != NULL;
	     at = hmap_after(&all->by_name, at)) {
		struct secret *s = hmap_entry(at, struct secret, node);

		if (atomic_load(&s->live))
			list[n++] = s;
	}
	pthread_mutex_unlock(&all->lock);
	if (list == NULL)
		return;
	qsort(list, n, sizeof(*list), by_name);
	for (size_t i = 0; i < n; i++)
		show(list[i], row, arg);
	free(list);
}
