#include "proxy/base/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
deliver_batch(struct worker *w)
{
	struct list_node batch, *n;
	bool any;

	list_init(&batch);
	pthread_mutex_lock(&w->mail_lock);
	list_splice_back(&batch, &w->mail);
	pthread_mutex_unlock(&w->mail_lock);
	any = !list_empty(&batch);
	while ((n = list_pop(&batch)) != NULL) {
		struct letter *l = list_entry(n, struct letter, node);

		l->deliver(w, l);
	}
	return any;
}

static void
on_mail(struct ev_loop *ev, ev_async *bell, int revents)
{
	(void)ev;
	(void)revents;
	(void)deliver_batch(bell->data);
}

void
worker_drain(struct worker *w)
{
	while (deliver_batch(w))
		;
}

int
worker_init(struct worker *w, const char *name, int index)
{
	memset(w, 0, sizeof(*w));
	w->index = index;
	snprintf(w->name, sizeof(w->name), "%s", name);
	list_init(&w->mail);
	pthread_mutex_init(&w->mail_lock, NULL);
	w->rbuf = malloc(WORKER_RBUF_SIZE);
	if (w->rbuf == NULL)
		return -1;
	if (loop_init(&w->loop) == -1) {
		free(w->rbuf);
		w->rbuf = NULL;
		return -1;
	}
	ev_async_init(&w->mail_bell, on_mail);
	w->mail_bell.data = w;
	ev_async_start(w->loop.ev, &w->mail_bell);
	return 0;
}

static void *
thread_main(void *arg)
{
	struct worker *w = arg;

	pthread_setname_np(pthread_self(), w->name);
	loop_run(&w->loop);
	return NULL;
}

int
worker_start(struct worker *w)
{
	sigset_t all, old;
	int error;

	/* signals belong to the main thread */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error != 0) {
		errno = error;
		return -1;
	}
	w->running = true;
	return 0;
}

static void
deliver_stop(struct worker *w, struct letter *l)
{
	(void)l;
	loop_stop(&w->loop);
}

void
worker_stop(struct worker *w)
{
	struct letter stop = { .deliver = deliver_stop };

	if (!w->running)
		return;
	list_init(&stop.node);
	worker_post(w, &stop);
	pthread_join(w->thread, NULL);
	w->running = false;
}

void
worker_destroy(struct worker *w)
{
	loop_destroy(&w->loop);
	pthread_mutex_destroy(&w->mail_lock);
	free(w->rbuf);
	w->rbuf = NULL;
}

void
worker_post(struct worker *w, struct letter *l)
{
	pthread_mutex_lock(&w->mail_lock);
	list_push_back(&w->mail, &l->node);
	pthread_mutex_unlock(&w->mail_lock);
	ev_async_send(w->loop.ev, &w->mail_bell);
}

static void
tour_deliver(struct worker *w, struct letter *l)
{
	struct tour *t = list_entry(l, struct tour, letter);

	t->visit(w, t);
	tour_start(t);
}

static void
tour_home(struct worker *w, struct letter *l)
{
	struct tour *t = list_entry(l, struct tour, letter);

	t->done(w, t);
}

void
tour_start(struct tour *t)
{
	list_init(&t->letter.node);
	if (t->next < t->n) {
		t->letter.deliver = tour_deliver;
		worker_post(&t->workers[t->next++], &t->letter);
	} else {
		t->letter.deliver = tour_home;
		worker_post(t->home, &t->letter);
	}
}
