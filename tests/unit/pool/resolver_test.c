#include "pool/resolver.h"

#include "proxy/base/log.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a name server on loopback ---- */

enum { T_A = 1, T_AAAA = 28, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

static struct {
	int fd;
	pthread_t thread;
	atomic_bool stop;
	/* what it says */
	_Atomic uint32_t ipv4, ttl;
	atomic_bool ipv6;
	atomic_int rcode, delay_ms;
	atomic_bool silent;
	atomic_int n_a; /* questions for A records of NAME */
	char servers[32];
} ns;

#define NAME	  "db.example.test"
#define WIRE_NAME "\2db\7example\4test"

static size_t
put_record(uint8_t *p, int type, uint32_t ttl, const void *rdata, uint16_t n)
{
	const uint8_t head[] = { 0xc0, 12, 0, (uint8_t)type, 0, 1, (uint8_t)(ttl >> 24),
		(uint8_t)(ttl >> 16), (uint8_t)(ttl >> 8), (uint8_t)ttl, 0, (uint8_t)n };

	memcpy(p, head, sizeof(head));
	memcpy(p + sizeof(head), rdata, n);
	return sizeof(head) + n;
}

static void
reply(const uint8_t *q, size_t n, const struct sockaddr_in *to)
{
	size_t end = 12 + strnlen((const char *)q + 12, n - 12) + 5;
	int type = q[end - 3], rcode = ns.rcode;
	uint32_t ipv4 = htonl(ns.ipv4);
	uint8_t p[512];
	bool ours = memcmp(q + 12, WIRE_NAME, sizeof(WIRE_NAME)) == 0;

	if (ours && type == T_A)
		ns.n_a++;
	if (ns.silent)
		return;
	if (ns.delay_ms > 0)
		poll(NULL, 0, ns.delay_ms);
	memcpy(p, q, end);
	memset(p + 6, 0, 6);
	p[2] = 0x84;
	p[3] = (uint8_t)(ours ? rcode : RCODE_NXDOMAIN);
	if (ours && rcode == 0 && (type == T_A || (type == T_AAAA && ns.ipv6))) {
		p[7] = 1;
		if (type == T_A)
			end += put_record(p + end, T_A, ns.ttl, &ipv4, 4);
		else
			end += put_record(p + end, T_AAAA, ns.ttl, &in6addr_loopback, 16);
	}
	sendto(ns.fd, p, end, 0, (const struct sockaddr *)to, sizeof(*to));
}

static void *
serve(void *arg)
{
	(void)arg;
	while (!ns.stop) {
		struct pollfd p = { ns.fd, POLLIN, 0 };
		struct sockaddr_in from;
		socklen_t from_len = sizeof(from);
		uint8_t q[512];
		ssize_t n;

		if (poll(&p, 1, 50) != 1)
			continue;
		n = recvfrom(ns.fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_len);
		if (n > 16)
			reply(q, (size_t)n, &from);
	}
	return NULL;
}

static int
start_name_server(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);

	(void)state;
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ns.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(ns.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(ns.fd, (struct sockaddr *)&a, &len), 0);
	snprintf(ns.servers, sizeof(ns.servers), "127.0.0.1:%d", ntohs(a.sin_port));
	return pthread_create(&ns.thread, NULL, serve, NULL);
}

static int
stop_name_server(void **state)
{
	(void)state;
	ns.stop = true;
	pthread_join(ns.thread, NULL);
	close(ns.fd);
	return 0;
}

/* ---- a resolver on its thread, and we who ask ---- */

struct world {
	struct worker home, me;
	struct resolver *r;
	int left;
};

static void
on_done(struct worker *w, struct resolve_job *job)
{
	struct world *world = list_entry(w, struct world, me);

	(void)job;
	if (--world->left == 0)
		loop_stop(&w->loop);
}

static void
ask(struct world *w, struct resolve_job *job, const char *name)
{
	memset(job, 0, sizeof(*job));
	job->asker = &w->me;
	job->done = on_done;
	job->name = name;
	w->left++;
	resolver_ask(w->r, job);
}

/* The first address, "" for none. */
static void
look_up(struct world *w, const char *name, char out[RESOLVED_TEXT_SIZE])
{
	struct resolve_job job;

	ask(w, &job, name);
	loop_run(&w->me.loop);
	out[0] = '\0';
	if (job.addrs != NULL)
		snprintf(out, RESOLVED_TEXT_SIZE, "%s", job.addrs->text[0]);
	else
		assert_non_null(job.why);
	resolved_unref(job.addrs);
}

static void
begin(struct world *w, int64_t max_ttl, int64_t nxdomain_ttl)
{
	struct resolver_settings settings = { max_ttl, nxdomain_ttl, ns.servers };

	ns.ipv4 = 0x0a000001;
	ns.ttl = 300;
	ns.rcode = ns.delay_ms = 0;
	ns.ipv6 = ns.silent = false;
	ns.n_a = 0;
	memset(w, 0, sizeof(*w));
	assert_int_equal(worker_init(&w->home, "home", -1), 0);
	assert_int_equal(worker_init(&w->me, "me", -1), 0);
	w->r = resolver_new(&w->home, &settings);
	assert_non_null(w->r);
	assert_int_equal(worker_start(&w->home), 0);
}

static void
end(struct world *w)
{
	worker_stop(&w->home);
	resolver_free(w->r);
	worker_destroy(&w->home);
	worker_destroy(&w->me);
}

/* ---- tests ---- */

static void
localhost_needs_no_name_server(void **state)
{
	/* goal: localhost is known although the name server does not answer */
	struct world w;
	struct resolve_job job;

	(void)state;
	begin(&w, 15000, 15000);
	ns.silent = true;
	ask(&w, &job, "localhost");
	loop_run(&w.me.loop);
	assert_non_null(job.addrs);
	assert_int_not_equal(resolved_find(job.addrs, "127.0.0.1"), -1);
	resolved_unref(job.addrs);
	end(&w);
}

static void
both_families(void **state)
{
	/* goal: the A and the AAAA record of a name are both there */
	struct world w;
	struct resolve_job job;

	(void)state;
	begin(&w, 15000, 15000);
	ns.ipv6 = true;
	ask(&w, &job, NAME);
	loop_run(&w.me.loop);
	assert_non_null(job.addrs);
	assert_int_equal(job.addrs->n, 2);
	assert_int_not_equal(resolved_find(job.addrs, "10.0.0.1"), -1);
	assert_int_not_equal(resolved_find(job.addrs, "::1"), -1);
	resolved_unref(job.addrs);
	end(&w);
}

static void
kept_for_ttl(void **state)
{
	/* goal: an answer is used until its TTL is over, and not longer */
	struct world w;
	char addr[RESOLVED_TEXT_SIZE];

	(void)state;
	begin(&w, 15000, 15000);
	ns.ttl = 1;
	look_up(&w, NAME, addr);
	look_up(&w, NAME, addr);
	assert_string_equal(addr, "10.0.0.1");
	assert_int_equal(ns.n_a, 1);
	poll(NULL, 0, 1100);
	look_up(&w, NAME, addr);
	assert_int_equal(ns.n_a, 2);
	end(&w);
}

static void
kept_for_max_ttl(void **state)
{
	/* goal: dns_max_ttl is the upper bound of a long TTL; a name that moved is seen, and logged */
	char path[] = "/tmp/pgsluice-resolver.XXXXXX", line[256] = "", addr[RESOLVED_TEXT_SIZE];
	struct log_settings to_file = { .file = path }, to_stderr = { .to_stderr = true };
	struct world w;
	FILE *f;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(log_setup(&to_file), 0);
	begin(&w, 200, 15000);
	look_up(&w, NAME, addr);
	ns.ipv4 = 0x0a000002;
	look_up(&w, NAME, addr);
	assert_string_equal(addr, "10.0.0.1");
	poll(NULL, 0, 250);
	look_up(&w, NAME, addr);
	assert_string_equal(addr, "10.0.0.2");
	assert_int_equal(ns.n_a, 2);
	end(&w);
	assert_int_equal(log_setup(&to_stderr), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	assert_non_null(strstr(line, "\"" NAME "\" has moved from 10.0.0.1 to 10.0.0.2"));
	fclose(f);
	unlink(path);
}

static void
no_such_name(void **state)
{
	/* goal: "no such name" is remembered for dns_nxdomain_ttl */
	struct world w;
	char addr[RESOLVED_TEXT_SIZE];

	(void)state;
	begin(&w, 15000, 200);
	ns.rcode = RCODE_NXDOMAIN;
	look_up(&w, NAME, addr);
	assert_string_equal(addr, "");
	look_up(&w, NAME, addr);
	assert_int_equal(ns.n_a, 1);
	ns.rcode = 0;
	poll(NULL, 0, 250);
	look_up(&w, NAME, addr);
	assert_string_equal(addr, "10.0.0.1");
	end(&w);
}

static void
one_flight(void **state)
{
	/* goal: many who ask for one name at once make one query */
	struct resolve_job jobs[50];
	struct world w;

	(void)state;
	begin(&w, 0, 0);
	ns.delay_ms = 100;
	for (int i = 0; i < 50; i++)
		ask(&w, &jobs[i], NAME);
	loop_run(&w.me.loop);
	for (int i = 0; i < 50; i++) {
		assert_non_null(jobs[i].addrs);
		resolved_unref(jobs[i].addrs);
	}
	assert_int_equal(ns.n_a, 1);
	end(&w);
}

static void
name_server_fails(void **state)
{
	/* goal: the last addresses stay in use while the name server is in trouble */
	struct world w;
	char addr[RESOLVED_TEXT_SIZE];

	(void)state;
	begin(&w, 1, 15000);
	look_up(&w, NAME, addr);
	ns.rcode = RCODE_SERVFAIL;
	poll(NULL, 0, 50);
	look_up(&w, NAME, addr);
	assert_string_equal(addr, "10.0.0.1");
	assert_true(ns.n_a >= 2);
	end(&w);
}

static void
good_address_is_remembered(void **state)
{
	/* goal: which address worked is known after the name was looked up again */
	struct resolve_job job;
	struct world w;
	char text[RESOLVED_TEXT_SIZE];

	(void)state;
	begin(&w, 1, 15000);
	ns.ipv6 = true;
	ask(&w, &job, NAME);
	loop_run(&w.me.loop);
	assert_int_equal(job.addrs->n, 2);
	atomic_store(&job.addrs->good, 1);
	snprintf(text, sizeof(text), "%s", job.addrs->text[1]);
	resolved_unref(job.addrs);
	poll(NULL, 0, 50);
	ask(&w, &job, NAME);
	loop_run(&w.me.loop);
	assert_int_equal(ns.n_a, 2);
	assert_string_equal(job.addrs->text[job.addrs->good], text);
	resolved_unref(job.addrs);
	end(&w);
}

static void
freed_with_open_query(void **state)
{
	/* goal: who still waits when the resolver goes is told so */
	struct resolve_job job;
	struct world w;

	(void)state;
	begin(&w, 15000, 15000);
	ns.silent = true;
	ask(&w, &job, NAME);
	for (int i = 0; i < 100 && ns.n_a == 0; i++)
		poll(NULL, 0, 20);
	worker_stop(&w.home);
	resolver_free(w.r);
	w.r = NULL;
	loop_run(&w.me.loop);
	assert_null(job.addrs);
	assert_string_equal(job.why, "shutting down");
	end(&w);
}

static void
count_row(void *arg, const char *name, int64_t ttl_ms, const char *addrs)
{
	if (strcmp(name, NAME) != 0)
		return;
	assert_true(ttl_ms > 0 && ttl_ms <= 15000);
	assert_string_equal(addrs, "10.0.0.1");
	++*(int *)arg;
}

static void
rows(void **state)
{
	/* goal: SHOW DNS_HOSTS sees names with what is left of their time */
	struct world w;
	char addr[RESOLVED_TEXT_SIZE];
	int n = 0;

	(void)state;
	begin(&w, 15000, 15000);
	look_up(&w, NAME, addr);
	resolver_rows(w.r, count_row, &n);
	assert_int_equal(n, 1);
	end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(localhost_needs_no_name_server),
		cmocka_unit_test(both_families),
		cmocka_unit_test(kept_for_ttl),
		cmocka_unit_test(kept_for_max_ttl),
		cmocka_unit_test(no_such_name),
		cmocka_unit_test(one_flight),
		cmocka_unit_test(name_server_fails),
		cmocka_unit_test(good_address_is_remembered),
		cmocka_unit_test(freed_with_open_query),
		cmocka_unit_test(rows),
	};

	return cmocka_run_group_tests(tests, start_name_server, stop_name_server);
}
