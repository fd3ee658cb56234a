/* worker_test.c -- mailboxes, tours and shedding, on real threads and a real loop. */
#include "proxy/base/worker.h"

#include "proxy/base/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKERS = 3, LETTERS = 2000 };

static struct worker workers[WORKERS], home;

struct numbered {
	struct letter letter;
	int n;
	struct worker *to;
};

static atomic_int delivered, wrong;
static int last_seen[WORKERS];

static void
on_letter(struct worker *w, struct letter *l)
{
	struct numbered *x = list_entry(l, struct numbered, letter);

	if (x->to != w || pthread_equal(pthread_self(), w->thread) == 0 ||
	    x->n <= last_seen[w->index])
		atomic_store(&wrong, 1);
	last_seen[w->index] = x->n;
	atomic_fetch_add(&delivered, 1);
}

/* goal: every letter arrives once, in the order of its sender, on the thread of the receiver */
static void
test_mail(void **state)
{
	static struct numbered letters[LETTERS];

	(void)state;
	atomic_store(&delivered, 0);
	for (int i = 0; i < WORKERS; i++)
		last_seen[i] = -1;
	for (int i = 0; i < LETTERS; i++) {
		letters[i] = (struct numbered){ .letter.deliver = on_letter,
			.n = i,
			.to = &workers[i % WORKERS] };
		list_init(&letters[i].letter.node);
		worker_post(letters[i].to, &letters[i].letter);
	}
	for (int i = 0; i < 5000 && atomic_load(&delivered) < LETTERS; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&delivered), LETTERS);
	assert_int_equal(atomic_load(&wrong), 0);
}

static char visits[WORKERS + 1];
static atomic_int came_home;

static void
visit(struct worker *w, struct tour *t)
{
	(void)t;
	visits[w->index] = (char)(pthread_equal(pthread_self(), w->thread) ? '0' + w->index : 'x');
}

static void
done(struct worker *w, struct tour *t)
{
	(void)t;
	atomic_store(&came_home, w == &home && pthread_equal(pthread_self(), home.thread));
}

/* goal: a tour visits every worker on its own thread, then comes home */
static void
test_tour(void **state)
{
	struct tour t = { .home = &home,
		.workers = workers,
		.n = WORKERS,
		.visit = visit,
		.done = done };

	(void)state;
	tour_start(&t);
	for (int i = 0; i < 5000 && !atomic_load(&came_home); i++)
		usleep(1000);
	assert_true(atomic_load(&came_home));
	assert_string_equal(visits, "012");
}

/* ---- listener ---- */

static int accepted_fds[64], n_accepted;

static void
on_accepted(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
	(void)l;
	assert_int_equal(peer->ss_family, AF_INET);
	accepted_fds[n_accepted++] = fd;
}

static int
dial(int listening)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(getsockname(listening, (struct sockaddr *)&sin, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, len), 0);
	return fd;
}

/* goal: out of descriptors, new connections are closed at once instead of left in the backlog, and when there
 * are some again they are accepted */
static void
test_emfile(void **state)
{
	struct listen_options options = { .keepalive = true };
	int fd = listener_bind_tcp("127.0.0.1", 0, &options), clients[3], fillers[256], n = 0;
	struct rlimit before, tight;
	struct listener *l;
	struct worker w;
	char byte;

	(void)state;
	assert_true(fd != -1);
	assert_int_equal(worker_init(&w, "listening", 0), 0);
	l = listener_new(fd, on_accepted, NULL);
	assert_non_null(l);
	assert_int_equal(listener_start(l, &w.loop, 16), 0);
	for (int i = 0; i < 3; i++)
		clients[i] = dial(fd);
	getrlimit(RLIMIT_NOFILE, &before);
	tight = before;
	tight.rlim_cur = 200;
	setrlimit(RLIMIT_NOFILE, &tight);
	while (n < 256 && (fillers[n] = dup(fd)) != -1)
		n++;
	ev_run(w.loop.ev, EVRUN_NOWAIT);
	assert_int_equal(n_accepted, 0);
	for (int i = 0; i < 3; i++)
		assert_true(recv(clients[i], &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
	while (n > 0)
		close(fillers[--n]);
	setrlimit(RLIMIT_NOFILE, &before);
	n = dial(fd);
	ev_run(w.loop.ev, EVRUN_NOWAIT);
	assert_int_equal(n_accepted, 1);
	close(n);
	close(accepted_fds[0]);
	for (int i = 0; i < 3; i++)
		close(clients[i]);
	listener_free(l);
	worker_destroy(&w);
}

/* goal: a Unix socket that somebody answers on is left alone, a stale one is replaced */
static void
test_unix(void **state)
{
	char dir[] = "/tmp/listener_test.XXXXXX";
	int a, b;

	(void)state;
	assert_non_null(mkdtemp(dir));
	a = listener_bind_unix(dir, 6432, 0700, NULL);
	assert_true(a != -1);
	assert_int_equal(listen(a, 16), 0);
	b = listener_bind_unix(dir, 6432, 0700, NULL);
	assert_int_equal(b, -1);
	assert_int_equal(errno, EADDRINUSE);
	close(a);
	b = listener_bind_unix(dir, 6432, 0700, NULL);
	assert_true(b != -1);
	close(b);
	listener_unlink_unix(dir, 6432);
	assert_int_equal(rmdir(dir), 0);
}

static int
begin(void **state)
{
	(void)state;
	for (int i = 0; i < WORKERS; i++)
		if (worker_init(&workers[i], "worker", i) == -1 || worker_start(&workers[i]) == -1)
			return -1;
	return worker_init(&home, "home", -1) == -1 ? -1 : worker_start(&home);
}

static int
end(void **state)
{
	(void)state;
	for (int i = 0; i < WORKERS; i++) {
		worker_stop(&workers[i]);
		worker_destroy(&workers[i]);
	}
	worker_stop(&home);
	worker_destroy(&home);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mail),
		cmocka_unit_test(test_tour),
		cmocka_unit_test(test_emfile),
		cmocka_unit_test(test_unix),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
