/* fake_connector.c -- every symbol of pool/connector.h; a connection is a socketpair. */
#include "tests/scenario/fake_connector.h"

#include "pool/connector.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKENDS = 512, JOBS = 64 };

struct connectors {
	int unused;
};

struct fake_backend {
	int ours, tests;
	bool finished;
};

static struct connectors the_connectors;
static struct fake_backend backends[BACKENDS];
static struct connect_job *held[JOBS];
static struct cancel_job *cancelling[JOBS];
static int n_backends, n_held, n_attempts, n_cancels, n_cancelling, cancel_aim;
static enum fake_answer answers;
static char params[1024];
static size_t params_len;

static void
deliver_connect(struct worker *w, struct letter *l)
{
	struct connect_job *job = list_entry(l, struct connect_job, letter);

	job->done(w, job);
}

static void
succeed(struct connect_job *job)
{
	struct fake_backend *b = &backends[n_backends++];
	int fds[2];

	if (n_backends > BACKENDS ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == -1)
		abort();
	b->ours = fds[0];
	b->tests = fds[1];
	b->finished = false;
	job->result = CONNECT_OK;
	job->pg = b;
	job->fd = fds[0];
	job->backend_pid = (uint32_t)n_backends;
	job->key_len = 4;
	memcpy(job->key, "key", 4);
	job->params = malloc(params_len + 1);
	memcpy(job->params, params, params_len);
	job->params_len = params_len;
	job->peer.ss_family = AF_UNIX;
	job->peer_len = sizeof(sa_family_t);
	job->unix_socket = true;
}

static void
answer(struct connect_job *job)
{
	switch (answers) {
	case FAKE_ACCEPT:
		succeed(job);
		break;
	case FAKE_DOWN:
		job->result = CONNECT_RETRY;
		snprintf(job->sqlstate, sizeof(job->sqlstate), "08006");
		snprintf(job->message, sizeof(job->message), "connection refused (fake)");
		break;
	case FAKE_REFUSE:
		job->result = CONNECT_REFUSED;
		snprintf(job->sqlstate, sizeof(job->sqlstate), "28P01");
		snprintf(job->message, sizeof(job->message),
		    "password authentication failed (fake)");
		break;
	case FAKE_HOLD:
		held[n_held++ % JOBS] = job;
		return;
	}
	job->letter.deliver = deliver_connect;
	list_init(&job->letter.node);
	worker_post(job->asker, &job->letter);
}

struct connectors *
connectors_start(const struct connector_settings *s)
{
	(void)s;
	return &the_connectors;
}

void
connectors_stop(struct connectors *c)
{
	(void)c;
}

void
connector_connect(struct connectors *c, struct connect_job *job)
{
	(void)c;
	n_attempts++;
	answer(job);
}

void
connector_finish(void *pg)
{
	struct fake_backend *b = pg;

	if (b == NULL)
		return;
	if (b->finished)
		abort();
	b->finished = true;
	close(b->ours);
}

void
connector_cancel(struct connectors *c, struct cancel_job *job)
{
	(void)c;
	n_cancels++;
	cancel_aim = (int)job->backend_pid;
	cancelling[n_cancelling++ % JOBS] = job;
}

void
connector_dns(struct connectors *c, void (*row)(void *, const char *, int64_t, const char *),
    void *arg)
{
	(void)c;
	(void)row;
	(void)arg;
}

/* ---- the test's side ---- */

void
fake_connector_answers(enum fake_answer a)
{
	int n = n_held;

	answers = a;
	if (a == FAKE_HOLD)
		return;
	n_held = 0;
	for (int i = 0; i < n; i++)
		answer(held[i]);
}

int
fake_connector_attempts(void)
{
	return n_attempts;
}

int
fake_connector_fd(int n)
{
	return n >= 1 && n <= n_backends ? backends[n - 1].tests : -1;
}

bool
fake_connector_finished(int n)
{
	return n >= 1 && n <= n_backends && backends[n - 1].finished;
}

int
fake_connector_cancels(void)
{
	return n_cancels;
}

int
fake_connector_cancel_aim(void)
{
	return cancel_aim;
}

static void
deliver_cancel(struct worker *w, struct letter *l)
{
	struct cancel_job *job = list_entry(l, struct cancel_job, letter);

	job->done(w, job);
}

void
fake_connector_deliver(void)
{
	for (int i = 0; i < n_cancelling; i++) {
		struct cancel_job *job = cancelling[i];

		job->ok = true;
		job->letter.deliver = deliver_cancel;
		list_init(&job->letter.node);
		worker_post(job->asker, &job->letter);
	}
	n_cancelling = 0;
}

void
fake_connector_params(const char *text, unsigned long len)
{
	memcpy(params, text, len < sizeof(params) ? len : sizeof(params));
	params_len = len;
}

void
fake_connector_reset(void)
{
	for (int i = 0; i < n_backends; i++)
		close(backends[i].tests);
	n_backends = n_held = n_attempts = n_cancels = n_cancelling = 0;
	answers = FAKE_ACCEPT;
}
