/* https_call_trouble_test.c -- calls that fail, are cancelled, or are many. */
#include "tests/unit/auth/https_call_fixture.h"

#include <dlfcn.h>
#include <netdb.h>
#include <time.h>

static double
seconds_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

/* What libcurl calls in its thread: a name server that takes its time. */
static atomic_int resolving;

int
getaddrinfo(const char *restrict host, const char *restrict port,
    const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (host != NULL && strcmp(host, "stuck.example") == 0) {
		atomic_fetch_add(&resolving, 1);
		usleep(1500000);
		atomic_fetch_sub(&resolving, 1);
		return EAI_NONAME;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(host, port, hints, out);
}

/* goal: a name server that does not answer holds neither the loop nor the end of the calls */
static void
test_stuck_resolver(void **state)
{
	struct https_request r = { .method = "GET",
		.url = "https://stuck.example/",
		.timeout_ms = 100 };
	struct timespec from;
	struct outcome o, never;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	o = ask(&r);
	assert_int_equal(o.status, 0);
	assert_true(seconds_since(&from) < 1.0);
	r.timeout_ms = 5000;
	begin(&r, &never);
	idle(50);
	renew_calls();
	assert_true(seconds_since(&from) < 1.2);
	assert_int_equal(never.times, 0);
	for (int i = 0; i < 500 && atomic_load(&resolving) > 0; i++)
		usleep(10000);
	usleep(50000); /* its thread cleans up */
}

/* goal: a server that does not answer costs its time limit, not more, and others go on meanwhile */
static void
test_timeout(void **state)
{
	struct https_request hang = { .method = "GET", .url = url_of("/hang"), .timeout_ms = 300 },
			     slow = { .method = "GET", .url = url_of("/slow") };
	struct timespec from;
	struct outcome a, b;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	begin(&hang, &a);
	begin(&slow, &b);
	loop_run(&loop);
	assert_int_equal(b.status, 200);
	assert_int_equal(a.times, 1);
	assert_int_equal(a.status, 0);
	assert_non_null(strstr(a.error, "timed out"));
	assert_true(seconds_since(&from) >= 0.29 && seconds_since(&from) < 0.8);
}

/* goal: a peer that is not there, breaks off, cuts short or talks nonsense is an error, no answer */
static void
test_broken(void **state)
{
	struct https_request r = { .method = "GET", .url = "http://127.0.0.1:1/" };
	struct outcome o = ask(&r);

	(void)state;
	assert_int_equal(o.status, 0);
	assert_non_null(strstr(o.error, "Connection refused"));
	static const char *const paths[] = { "/reset", "/short", "/garbage" };
	for (size_t i = 0; i < 3; i++) {
		o = get(paths[i]);
		assert_int_equal(o.status, 0);
		assert_true(o.error[0] != '\0' && strpbrk(o.error, "\r\n") == NULL);
	}
}

/* goal: a call that was cancelled says nothing, before it began and in flight, and can be the
 * neighbour of one that goes on */
static void
test_cancel(void **state)
{
	struct https_request slow = { .method = "GET", .url = url_of("/slow") },
			     bad = { .method = "GET", .url = "http://example.com/" };
	struct https_call *c[3];
	struct outcome o[4];

	(void)state;
	c[0] = begin(&slow, &o[0]);
	https_cancel(c[0]);
	c[0] = begin(&bad, &o[0]);
	https_cancel(c[0]);
	c[1] = begin(&slow, &o[1]);
	c[2] = begin(&slow, &o[2]);
	begin(&slow, &o[3]);
	idle(40);
	https_cancel(c[1]);
	https_cancel(c[2]);
	waiting_for = 1;
	loop_run(&loop);
	assert_int_equal(o[3].status, 200);
	idle(150);
	assert_int_equal(o[0].times + o[1].times + o[2].times, 0);
}

/* goal: https_calls_free() ends everything without a word, in any state; NULL is harmless */
static void
test_free_all(void **state)
{
	static const char *const paths[] = { "/hang", "/slow", "/endless", "/echo" };
	struct outcome o[8];

	(void)state;
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 8; i++) {
			struct https_request r = { .method = "GET", .url = url_of(paths[i % 4]) };

			/* never answered within this time, should the loop be that quick */
			if (i % 4 > 0 && round > 0)
				r.url = url_of("/hang");
			begin(&r, &o[i]);
		}
		if (round > 0)
			idle(round * 20);
		renew_calls();
		for (int i = 0; i < 8; i++)
			assert_int_equal(o[i].times, 0);
	}
	https_calls_free(NULL);
}

/* goal: many calls at once all come back, each with its own answer, at the pace of one */
static void
test_many(void **state)
{
	enum { MANY = 60 };
	static struct outcome o[MANY];
	struct timespec from;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < MANY; i++) {
		char body[16];
		int len = snprintf(body, sizeof(body), "call %d", i);
		struct https_request r = { .method = "POST",
			.url = url_of(i % 2 ? "/slow" : "/echo"),
			.body = body,
			.body_len = (size_t)len };

		begin(&r, &o[i]);
	}
	loop_run(&loop);
	for (int i = 0; i < MANY; i++) {
		char body[32];

		assert_int_equal(o[i].status, 200);
		snprintf(body, sizeof(body), "\r\n\r\ncall %d", i);
		if (i % 2 == 0)
			assert_string_equal(strstr(o[i].body, "\r\n\r\n"), body);
	}
	assert_true(seconds_since(&from) < 2.0);
}

struct chain {
	struct outcome o;
	struct https_call *victim;
	int left;
};

static void
on_link(void *arg, const struct https_response *r)
{
	struct https_request next = { .method = "GET", .url = url_of("/echo") };
	struct chain *c = arg;

	if (c->victim != NULL)
		https_cancel(c->victim);
	c->victim = NULL;
	if (r->status == 200 && --c->left > 0)
		assert_non_null(https_call(calls, &next, on_link, c));
	else
		on_done(&c->o, r);
}

/* goal: `done` may start the next call and cancel others; that takes no timer tick per call */
static void
test_from_done(void **state)
{
	struct https_request r = { .method = "GET", .url = url_of("/echo") },
			     hang = { .method = "GET", .url = url_of("/hang") };
	struct chain c = { .left = 100 };
	struct outcome never;
	struct timespec from;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	c.victim = begin(&hang, &never);
	assert_non_null(https_call(calls, &r, on_link, &c));
	waiting_for = 1;
	loop_run(&loop);
	assert_int_equal(c.o.status, 200);
	assert_int_equal(c.left, 0);
	assert_int_equal(never.times, 0);
	assert_true(seconds_since(&from) < 1.5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stuck_resolver, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_timeout, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_broken, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_cancel, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_free_all, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_many, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_from_done, calls_setup, calls_teardown),
	};
	int rc;

	server_start();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	server_stop();
	return rc;
}
