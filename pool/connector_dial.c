/* connector_dial.c -- one connect job: host after host, address after address. */
#include "pool/connector_thread.h"

#include "pool/connector.h"
#include "pool/connector_attempt.h"
#include "pool/connector_error.h"
#include "pool/resolver.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct question;

struct dial {
	struct list_node place;
	struct connector_thread *thread;
	struct connect_job *job;
	struct connector_attempt attempt;
	struct deadline deadline;

	char *hosts; /* copy of the list; the commas are NUL */
	unsigned n_hosts, hosts_left;
	const char *host; /* the one being tried */
	unsigned host_index;
	uint64_t host_ends; /* its deadline; WHEEL_NEVER = none */

	struct question *question; /* at the resolver */
	struct resolved *addrs; /* of the host; NULL = it is an address or a Unix socket itself */
	unsigned addrs_left, addr; /* addr: index of the one being tried */

	struct connector_error error; /* of the last attempt, or of the first that was a refusal */
	bool has_failed;
	char where[160]; /* which attempt that was */
};

/* Asked for on behalf of a dial; outlives it when the dial gives up first. */
struct question {
	struct resolve_job job;
	struct dial *dial; /* NULL = nobody wants the answer */
	char name[];
};

static void advance(struct dial *);

/* ---- the end ---- */

static void
deliver_done(struct worker *w, struct letter *l)
{
	struct connect_job *job = list_entry(l, struct connect_job, letter);

	job->done(w, job);
}

static void
give_back(struct connect_job *job)
{
	list_init(&job->letter.node);
	job->letter.deliver = deliver_done;
	worker_post(job->asker, &job->letter);
}

static void
deliver_to_asker(struct worker *w, struct letter *l)
{
	(void)w;
	give_back(list_entry(l, struct connect_job, letter));
}

/* By way of our own mailbox: then the loop has let go of the socket, see connector_attempt.c. */
static void
give_back_next_turn(struct connector_thread *t, struct connect_job *job)
{
	list_init(&job->letter.node);
	job->letter.deliver = deliver_to_asker;
	worker_post(&t->worker, &job->letter);
}

static void
fail_job(struct connect_job *job, const struct connector_error *e, const char *where)
{
	job->result = e->result;
	snprintf(job->sqlstate, sizeof(job->sqlstate), "%s", e->sqlstate);
	snprintf(job->message, sizeof(job->message), "%s%s%s", where, where[0] != '\0' ? ": " : "",
	    e->text);
	give_back(job);
}

static void
stop_asking(struct dial *d)
{
	if (d->question != NULL)
		d->question->dial = NULL;
	d->question = NULL;
}

static void
dial_free(struct dial *d)
{
	connector_attempt_close(&d->attempt);
	stop_asking(d);
	loop_deadline_remove(&d->thread->worker.loop, &d->deadline);
	list_del(&d->place);
	resolved_unref(d->addrs);
	free(d->hosts);
	free(d);
}

/* ---- attempts ---- */

/* A refusal says more than a host that is down, whichever came last. */
static void
note_failure(struct dial *d, const struct connector_error *e)
{
	const char *addr = d->addrs != NULL ? d->addrs->text[d->addr] : NULL;
	bool full = addr != NULL && strcmp(addr, d->host) != 0;

	if (d->has_failed && d->error.result == CONNECT_REFUSED && e->result == CONNECT_RETRY)
		return;
	d->has_failed = true;
	d->error = *e;
	snprintf(d->where, sizeof(d->where), "server \"%.80s\"%s%s%s, port %d", d->host,
	    full ? " (" : "", full ? addr : "", full ? ")" : "", d->job->target->port);
}

static void
note_text(struct dial *d, const char *text)
{
	struct connector_error e;

	connector_error_set(&e, text);
	note_failure(d, &e);
}

/* What comes after TCP has all of the time that the host has left. */
static void
on_reached(struct connector_attempt *a)
{
	struct dial *d = list_entry(a, struct dial, attempt);

	loop_deadline(&d->thread->worker.loop, &d->deadline, d->host_ends);
}

static void
on_ended(struct connector_attempt *a, const struct connector_error *failure)
{
	struct dial *d = list_entry(a, struct dial, attempt);
	struct connect_job *job = d->job;
	struct connector_error e;

	if (failure == NULL && connector_attempt_take(a, job, &e) == -1)
		failure = &e;
	if (failure != NULL) {
		note_failure(d, failure);
		advance(d);
		return;
	}
	job->result = CONNECT_OK;
	job->host_used = d->host_index;
	if (d->addrs != NULL)
		atomic_store(&d->addrs->good, d->addr);
	give_back_next_turn(d->thread, job);
	dial_free(d);
}

static const struct connector_attempt_ops attempt_ops = { .reached = on_reached,
	.ended = on_ended };

/* Until TCP is up an address has a fair share of the time that the host has left. */
static uint64_t
address_ends(const struct dial *d, uint64_t now)
{
	uint64_t left;

	if (d->host_ends == WHEEL_NEVER || d->addrs_left == 0)
		return d->host_ends;
	left = d->host_ends > now ? d->host_ends - now : 0;
	return now + left / (d->addrs_left + 1);
}

/* False when it failed at once. */
static bool
open_attempt(struct dial *d, const char *addr)
{
	struct loop *loop = &d->thread->worker.loop;
	struct connector_error e;

	if (connector_attempt_open(&d->attempt, d->job->target, d->host, addr, &e) == -1) {
		note_failure(d, &e);
		return false;
	}
	loop_deadline(loop, &d->deadline, address_ends(d, loop_now_ms(loop)));
	return true;
}

/* ---- hosts and addresses ---- */

static void
on_resolved(struct worker *w, struct resolve_job *job)
{
	struct question *q = list_entry(job, struct question, job);
	struct dial *d = q->dial;
	char text[128];

	(void)w;
	if (d == NULL) {
		resolved_unref(job->addrs);
		free(q);
		return;
	}
	d->question = NULL;
	if (job->addrs != NULL) {
		d->addrs = job->addrs;
		d->addrs_left = d->addrs->n;
		/* next_address() steps on to the one that worked last */
		d->addr = (atomic_load(&d->addrs->good) + d->addrs->n - 1) % d->addrs->n;
	} else {
		snprintf(text, sizeof(text), "cannot look up the host name: %s", job->why);
		note_text(d, text);
	}
	free(q);
	advance(d);
}

/* False when it failed at once. */
static bool
look_up(struct dial *d)
{
	size_t size = strlen(d->host) + 1;
	struct question *q = calloc(1, sizeof(*q) + size);

	if (q == NULL) {
		note_text(d, "out of memory");
		return false;
	}
	memcpy(q->name, d->host, size);
	q->job.name = q->name;
	q->job.asker = &d->thread->worker;
	q->job.done = on_resolved;
	q->dial = d;
	d->question = q;
	loop_deadline(&d->thread->worker.loop, &d->deadline, d->host_ends);
	resolver_ask(d->thread->all->resolver, &q->job);
	return true;
}

static bool
is_address(const char *host)
{
	struct in6_addr bytes;
	char plain[INET6_ADDRSTRLEN];

	/* fe80::1%eth0 */
	snprintf(plain, sizeof(plain), "%.*s", (int)strcspn(host, "%"), host);
	return inet_pton(AF_INET, host, &bytes) == 1 || inet_pton(AF_INET6, plain, &bytes) == 1;
}

/* False when it failed at once. */
static bool
next_host(struct dial *d)
{
	struct loop *loop = &d->thread->worker.loop;
	int64_t timeout = d->job->target->timeout;
	const char *h = d->hosts;

	d->host_index = (d->job->first_host % d->n_hosts + d->n_hosts - d->hosts_left) % d->n_hosts;
	d->hosts_left--;
	for (unsigned i = 0; i < d->host_index; i++)
		h += strlen(h) + 1;
	d->host = h;
	d->host_ends = timeout > 0 ? loop_now_ms(loop) + (uint64_t)timeout : WHEEL_NEVER;
	resolved_unref(d->addrs);
	d->addrs = NULL;
	if (h[0] == '/' || h[0] == '@')
		return open_attempt(d, NULL);
	if (is_address(h))
		return open_attempt(d, h);
	return look_up(d);
}

static bool
next_address(struct dial *d)
{
	d->addr = (d->addr + 1) % d->addrs->n;
	d->addrs_left--;
	return open_attempt(d, d->addrs->text[d->addr]);
}

/* Begins the next attempt, or ends the job: no attempt is under way. */
static void
advance(struct dial *d)
{
	while (d->addrs_left > 0 || d->hosts_left > 0)
		if (d->addrs_left > 0 ? next_address(d) : next_host(d))
			return;
	fail_job(d->job, &d->error, d->where);
	dial_free(d);
}

static void
on_deadline(struct deadline *deadline)
{
	struct dial *d = list_entry(deadline, struct dial, deadline);

	if (d->question != NULL) {
		stop_asking(d);
		note_text(d, "timeout while looking up the host name");
	} else {
		note_text(d,
		    d->attempt.reached ? "timeout during the login" : "timeout while connecting");
		connector_attempt_close(&d->attempt);
		/* the next job should not spend its time there too */
		if (d->addrs != NULL)
			atomic_store(&d->addrs->good, (d->addr + 1) % d->addrs->n);
	}
	if (d->host_ends <= loop_now_ms(&d->thread->worker.loop))
		d->addrs_left = 0;
	advance(d);
}

/* ---- beginning ---- */

/* -1 when out of memory. */
static int
split_hosts(struct dial *d, const char *list)
{
	size_t at = 0;

	d->hosts = malloc(strlen(list) + 2);
	if (d->hosts == NULL)
		return -1;
	while (*list != '\0') {
		size_t n = strcspn(list, ","), from = strspn(list, " "), to = n;

		while (to > from && list[to - 1] == ' ')
			to--;
		if (from < to) {
			memcpy(d->hosts + at, list + from, to - from);
			at += to - from;
			d->hosts[at++] = '\0';
			d->n_hosts++;
		}
		list += n + (list[n] == ',');
	}
	d->hosts_left = d->n_hosts;
	return 0;
}

static struct dial *
dial_new(struct connector_thread *t, struct connect_job *job)
{
	struct dial *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->thread = t;
	d->job = job;
	list_init(&d->place);
	connector_attempt_init(&d->attempt, &t->worker.loop, &attempt_ops);
	deadline_init(&d->deadline, on_deadline);
	connector_error_set(&d->error, "no host is given");
	if (split_hosts(d, job->target->hosts != NULL ? job->target->hosts : "") == -1) {
		free(d);
		return NULL;
	}
	return d;
}

static void
fail_at_once(struct connect_job *job, const char *text)
{
	struct connector_error e;

	connector_error_set(&e, text);
	fail_job(job, &e, "");
}

static void
clear_results(struct connect_job *job)
{
	job->result = CONNECT_RETRY;
	job->sqlstate[0] = job->message[0] = '\0';
	job->pg = NULL;
	job->fd = -1;
	job->ssl = NULL;
	job->backend_pid = 0;
	job->key_len = 0;
	job->params = NULL;
	job->params_len = 0;
	job->peer_len = 0;
	job->unix_socket = false;
}

void
connector_dial_start(struct connector_thread *t, struct connect_job *job)
{
	struct dial *d;

	clear_results(job);
	if (t->stopped) {
		fail_at_once(job, "shutting down");
		return;
	}
	d = dial_new(t, job);
	if (d == NULL) {
		fail_at_once(job, "out of memory");
		return;
	}
	list_push_back(&t->dials, &d->place);
	advance(d);
}

void
connector_dial_stop(struct connector_thread *t)
{
	list_each(n, tmp, &t->dials)
	{
		struct dial *d = list_entry(n, struct dial, place);

		fail_at_once(d->job, "shutting down");
		dial_free(d);
	}
}
