/* https_call_memory_test.c -- what calls leave in memory, and what they do without it. */
#include "tests/unit/auth/https_call_fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ALLOCATOR_IS_OURS 0
#else
#define ALLOCATOR_IS_OURS 1
#endif

#ifdef __SANITIZE_THREAD__
#define CAN_LOOK 0
#else
#define CAN_LOOK 1
#endif

/* Of the thread that sets `armed`: how many allocations were asked for, and which one fails. */
static __thread bool armed;
static int nth, counted;

#if ALLOCATOR_IS_OURS
/* glibc's own, under the names that it exports for this purpose. */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

static bool
fails(void)
{
	return armed && ++counted == nth;
}

void *
malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t a, size_t b)
{
	return fails() ? NULL : __libc_calloc(a, b);
}

void *
realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
#endif

/* Number of places in this process's writable memory that hold the complement of `inverted`. */
static int
traces(const unsigned char *inverted, size_t len)
{
	FILE *maps = fopen("/proc/self/maps", "r"), *mem = fopen("/proc/self/mem", "r");
	static unsigned char block[1 << 16];
	unsigned long from, to;
	char line[512], mode[8];
	int found = 0;

	setvbuf(mem, NULL, _IONBF, 0);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 || mode[1] != 'w' ||
		    to - from > 1ul << 28)
			continue;
		for (unsigned long at = from; at < to; at += sizeof(block) - len) {
			ssize_t n = pread(fileno(mem), block, sizeof(block), (off_t)at);

			for (ssize_t i = 0; i + (ssize_t)len <= n; i++) {
				size_t k = 0;

				while (k < len && block[i + (ssize_t)k] == (inverted[k] ^ 0xff))
					k++;
				found += k == len;
			}
			explicit_bzero(block, sizeof(block));
		}
	}
	fclose(maps);
	fclose(mem);
	return found;
}

static void
on_wiped(void *arg, const struct https_response *r)
{
	*(int *)arg = r->status;
	loop_stop(&loop);
}

/* goal: neither a token that was sent nor an answer that came stays in memory after `done` */
static void
test_wiped(void **state)
{
	unsigned char inverted[24];
	char header[64] = "Authorization: Bearer ";
	size_t at = strlen(header);
	struct https_request r = { .method = "POST",
		.url = url_of("/echo"),
		.headers = { header },
		.n_headers = 1,
		.body = header,
		.body_len = at + sizeof(inverted) };
	int status = 0;

	(void)state;
	/* once before: the dynamic linker, when it binds a function at its first call, saves vector
	 * registers on the stack, with whatever they have copied last */
	assert_int_equal(ask(&r).status, 200);
	for (size_t i = 0; i < sizeof(inverted); i++) {
		inverted[i] = (unsigned char)('A' + (i * 7 + 3) % 26) ^ 0xff;
		header[at + i] = (char)(inverted[i] ^ 0xff);
	}
	/* TSan has so much memory that looking through it takes longer than a call may */
	if (CAN_LOOK)
		assert_true(traces(inverted, sizeof(inverted)) > 0);
	assert_non_null(https_call(calls, &r, on_wiped, &status));
	explicit_bzero(header, sizeof(header));
	loop_run(&loop);
	assert_int_equal(status, 200);
	/* the server's buffer goes with its connection; ours here with the calls */
	renew_calls();
	for (int i = 0; i < 1000 && atomic_load(&server_open) > 0; i++)
		usleep(1000);
	if (CAN_LOOK)
		assert_int_equal(traces(inverted, sizeof(inverted)), 0);
}

/* A call from its beginning to its end, with an allocation that fails on the way. */
static void
starve(const char *path)
{
	struct https_request r = { .method = "POST",
		.url = url_of(path),
		.headers = { "X-One: 1", "X-Empty:" },
		.n_headers = 2,
		.body = "body",
		.body_len = 4 };
	struct outcome o = { 0 };
	struct https_call *c;

	armed = true;
	c = https_call(calls, &r, on_done, &o);
	if (c != NULL) {
		waiting_for = 1;
		loop_run(&loop);
	}
	armed = false;
	assert_int_equal(o.times, c != NULL);
	/* libcurl does without some things, its cache of connections for example */
	assert_true(o.status == (c == NULL ? 0 : 200) || o.error[0] != '\0');
}

/* goal: whichever allocation fails, a call is refused or ends at once, and the next one works */
static void
test_out_of_memory(void **state)
{
	(void)state;
	if (!ALLOCATOR_IS_OURS)
		skip();
	for (int kept = 0; kept < 2; kept++) {
		nth = 0;
		do {
			nth++;
			counted = 0;
			if (!kept)
				renew_calls();
			starve(nth % 2 ? "/echo" : "/exact");
			assert_int_equal(get("/echo").status, 200);
		} while (counted >= nth);
		assert_true(nth > (kept ? 10 : 50));
	}
}

/* goal: two calls share a shortage: both end, whoever has met it */
static void
test_shared_shortage(void **state)
{
	struct outcome o[2];

	(void)state;
	if (!ALLOCATOR_IS_OURS)
		skip();
	for (nth = 1; nth < 60; nth++) {
		struct https_request r = { .method = "GET", .url = url_of("/echo") };

		begin(&r, &o[0]);
		begin(&r, &o[1]);
		counted = 0;
		armed = true;
		loop_run(&loop);
		armed = false;
		assert_int_equal(o[0].times + o[1].times, 2);
		renew_calls();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_wiped, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_out_of_memory, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_shared_shortage, calls_setup, calls_teardown),
	};
	int rc;

	server_start();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	server_stop();
	return rc;
}
