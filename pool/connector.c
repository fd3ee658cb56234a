#include "pool/connector.h"

#include "pool/connector_thread.h"
#include "pool/resolver.h"
#include "proxy/base/log.h"
#include "proxy/base/tls.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX   64
#define MODE_REQUIRE  3 /* of struct tls_settings */
#define ENV_NAME_SIZE 64

extern char **environ;

/* Made once, immutable and good for any number of connectors: never freed. */
static SSL_CTX *cancel_ctx;

/* libpq takes whatever it is not told from PGOPTIONS, PGSERVICE and the like: a connection must not
 * depend on the shell that started us. */
static void
clear_environment(void)
{
	char name[ENV_NAME_SIZE];

	for (char **at = environ; at != NULL && *at != NULL;) {
		size_t n = strcspn(*at, "=");

		if (strncmp(*at, "PG", 2) != 0 || strncmp(*at, "PGSLUICE", 8) == 0 ||
		    n >= sizeof(name)) {
			at++;
			continue;
		}
		snprintf(name, sizeof(name), "%.*s", (int)n, *at);
		unsetenv(name);
		at = environ;
	}
}

static int
make_cancel_ctx(void)
{
	struct tls_settings settings = { .mode = MODE_REQUIRE };
	char err[256];

	if (cancel_ctx == NULL)
		cancel_ctx = tls_client_ctx(&settings, err, sizeof(err));
	if (cancel_ctx != NULL)
		return 0;
	log_error("cancel requests: %s", err);
	errno = ENOMEM;
	return -1;
}

/* ---- threads ---- */

static int
init_thread(struct connectors *c, int index)
{
	struct connector_thread *t = &c->thread[index];
	char name[24];

	snprintf(name, sizeof(name), "connector%d", index);
	t->all = c;
	list_init(&t->dials);
	list_init(&t->cancels);
	return worker_init(&t->worker, name, -1);
}

/* Letters of a thread that was joined: their receivers see `stopped`, or that they were given up. */
static void
deliver_rest(struct connectors *c)
{
	for (int i = 0; i < c->n; i++) {
		struct worker *w = &c->thread[i].worker;
		struct list_node *n;

		do {
			pthread_mutex_lock(&w->mail_lock);
			n = list_pop(&w->mail);
			pthread_mutex_unlock(&w->mail_lock);
			if (n != NULL) {
				struct letter *l = list_entry(n, struct letter, node);

				l->deliver(w, l);
			}
		} while (n != NULL);
	}
}

void
connectors_stop(struct connectors *c)
{
	if (c == NULL)
		return;
	for (int i = 0; i < c->n; i++)
		worker_stop(&c->thread[i].worker);
	for (int i = 0; i < c->n; i++) {
		c->thread[i].stopped = true;
		connector_dial_stop(&c->thread[i]);
		connector_cancel_stop(&c->thread[i]);
	}
	/* first what is asked of the resolver, then what it answers */
	deliver_rest(c);
	resolver_free(c->resolver);
	deliver_rest(c);
	for (int i = 0; i < c->n; i++)
		worker_destroy(&c->thread[i].worker);
	free(c);
}

struct connectors *
connectors_start(const struct connector_settings *settings)
{
	int threads = settings->threads;
	struct resolver_settings dns = { settings->dns_max_ttl, settings->dns_nxdomain_ttl, NULL };
	struct connectors *c;
	int error;

	if (threads < 1)
		threads = 1;
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	clear_environment();
	if (make_cancel_ctx() == -1)
		return NULL;
	c = calloc(1, sizeof(*c) + (size_t)threads * sizeof(c->thread[0]));
	if (c == NULL)
		return NULL;
	c->cancel_ctx = cancel_ctx;
	for (; c->n < threads; c->n++)
		if (init_thread(c, c->n) == -1)
			goto fail;
	c->resolver = resolver_new(&c->thread[0].worker, &dns);
	if (c->resolver == NULL)
		goto fail;
	for (int i = 0; i < c->n; i++)
		if (worker_start(&c->thread[i].worker) == -1)
			goto fail;
	return c;
fail:
	error = errno;
	connectors_stop(c);
	errno = error;
	return NULL;
}

/* ---- jobs ---- */

static struct worker *
next_thread(struct connectors *c)
{
	unsigned i = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);

	return &c->thread[i % (unsigned)c->n].worker;
}

static void
deliver_connect(struct worker *w, struct letter *l)
{
	connector_dial_start(connector_thread(w), list_entry(l, struct connect_job, letter));
}

void
connector_connect(struct connectors *c, struct connect_job *job)
{
	list_init(&job->letter.node);
	job->letter.deliver = deliver_connect;
	worker_post(next_thread(c), &job->letter);
}

static void
deliver_cancel(struct worker *w, struct letter *l)
{
	connector_cancel_start(connector_thread(w), list_entry(l, struct cancel_job, letter));
}

void
connector_cancel(struct connectors *c, struct cancel_job *job)
{
	list_init(&job->letter.node);
	job->letter.deliver = deliver_cancel;
	worker_post(next_thread(c), &job->letter);
}

/* After shutdown() what PQfinish() writes fails at once. */
void
connector_finish(void *pg)
{
	int fd;

	if (pg == NULL)
		return;
	fd = PQsocket(pg);
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	PQfinish(pg);
}

void
connector_dns(struct connectors *c,
    void (*row)(void *arg, const char *name, int64_t ttl_ms, const char *addrs), void *arg)
{
	resolver_rows(c->resolver, row, arg);
}
