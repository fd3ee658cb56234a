/* stream_test.c -- bytes over a socketpair, plain and TLS, both ends real streams on a real loop. */
#include "proxy/base/stream.h"

#include "proxy/base/worker.h"
#include "tests/unit/proxy/base/tls_fixture.h"

#include <signal.h>
#include <sys/socket.h>

enum { TOTAL = 3 * 1024 * 1024 };

/* One end: what it has received, and what its callbacks were told. */
struct peer {
	struct stream stream; /* first */
	struct buf got;
	bool eof, secured, secured_ok;
	int drained;
};

static struct loop loop;
static uint8_t chunk[WORKER_RBUF_SIZE], data[TOTAL];

static bool
on_readable(struct stream *st)
{
	struct peer *p = (struct peer *)st;
	ssize_t n = stream_read(st, chunk, sizeof(chunk));

	if (n > 0)
		buf_put(&p->got, chunk, (size_t)n);
	if (n == -1)
		p->eof = true;
	if (n == -1)
		stream_pause(st);
	return true;
}

static bool
on_drained(struct stream *st)
{
	((struct peer *)st)->drained++;
	return true;
}

static bool
on_secured(struct stream *st, bool ok)
{
	((struct peer *)st)->secured = true;
	((struct peer *)st)->secured_ok = ok;
	return true;
}

static const struct stream_ops ops = { on_readable, on_drained, on_secured };

static void
begin(struct peer *a, struct peer *b)
{
	int fds[2];

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	assert_int_equal(loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	stream_init(&a->stream, fds[0], &ops);
	stream_init(&b->stream, fds[1], &ops);
	buf_init(&a->got, BUF_CAP_MAX);
	buf_init(&b->got, BUF_CAP_MAX);
	stream_open(&a->stream, &loop);
	stream_open(&b->stream, &loop);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
}

static void
turn(int n)
{
	while (n-- > 0)
		ev_run(loop.ev, EVRUN_NOWAIT);
}

static void
end(struct peer *a, struct peer *b)
{
	stream_close(&a->stream, true);
	stream_close(&b->stream, true);
	buf_release(&a->got);
	buf_release(&b->got);
	loop_destroy(&loop);
}

static SSL_CTX *
our_client(void)
{
	struct tls_settings s = settings(REQUIRE, NULL);
	char err[256] = "";
	SSL_CTX *ctx = tls_client_ctx(&s, err, sizeof(err));

	assert_string_equal(err, "");
	return ctx;
}

static void
secure(struct peer *a, struct peer *b, const uint8_t *first, size_t n)
{
	SSL_CTX *client = our_client(), *srv = server_ctx(REQUIRE, &server);

	if (first == NULL)
		assert_int_equal(stream_connect_tls(&a->stream, client, "db.example"), 0);
	assert_int_equal(stream_accept_tls(&b->stream, srv, first, n), 0);
	SSL_CTX_free(client);
	SSL_CTX_free(srv);
	turn(50);
	assert_true(a->secured_ok);
	assert_true(b->secured_ok);
}

/* All of `data` from a to b while b pauses at times; a is told when it drained. */
static void
transfer(struct peer *a, struct peer *b)
{
	size_t sent = 0;

	for (int i = 0; i < 20000 && buf_len(&b->got) < TOTAL; i++) {
		size_t n = (size_t)rand() % 100000;

		if (!stream_is_high(&a->stream) && sent < TOTAL) {
			n = n < TOTAL - sent ? n : TOTAL - sent;
			assert_int_equal(stream_write(&a->stream, data + sent, n), 0);
			sent += n;
			assert_true(stream_waiting(&a->stream) < STREAM_HIGH + 100000);
		}
		if (rand() % 3 == 0)
			stream_pause(&b->stream);
		else
			stream_resume(&b->stream);
		turn(1);
	}
	stream_resume(&b->stream);
	turn(50);
	assert_int_equal(buf_len(&b->got), TOTAL);
	assert_memory_equal(buf_data(&b->got), data, TOTAL);
	assert_int_equal(stream_waiting(&a->stream), 0);
	assert_null(a->stream.out.mem); /* an idle stream holds no memory */
}

/* goal: with a reader that pauses, every byte arrives once and in order, and the waiting ones are bounded by
 * the writer's own manners */
static void
test_plain(void **state)
{
	struct peer a, b;

	(void)state;
	srand(3);
	begin(&a, &b);
	transfer(&a, &b);
	end(&a, &b);
}

/* goal: the same over TLS, in both directions; bytes that the library has read ahead are not forgotten */
static void
test_tls(void **state)
{
	struct peer a, b;

	(void)state;
	srand(4);
	begin(&a, &b);
	secure(&a, &b, NULL, 0);
	transfer(&a, &b);
	transfer(&b, &a);
	end(&a, &b);
}

/* goal: direct TLS: a handshake whose first bytes were read by somebody else goes on, wherever they were cut */
static void
test_direct_tls(void **state)
{
	static const size_t cuts[] = { 1, 5, 100, 100000 };

	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		SSL_CTX *client = our_client();
		struct peer a, b;
		uint8_t first[4096];
		ssize_t n;

		begin(&a, &b);
		stream_pause(&b.stream);
		assert_int_equal(stream_connect_tls(&a.stream, client, NULL), 0);
		SSL_CTX_free(client);
		turn(3);
		n = recv(stream_fd(&b.stream), first,
		    cuts[i] < sizeof(first) ? cuts[i] : sizeof(first), 0);
		assert_true(n > 0);
		stream_resume(&b.stream);
		secure(&a, &b, first, (size_t)n);
		assert_int_equal(stream_write(&a.stream, "hello", 5), 0);
		turn(5);
		assert_int_equal(buf_len(&b.got), 5);
		end(&a, &b);
	}
}

/* goal: the owner is told once when what waited has drained, and not while it waits */
static void
test_drained(void **state)
{
	struct peer a, b;

	(void)state;
	begin(&a, &b);
	stream_pause(&b.stream);
	assert_int_equal(stream_write(&a.stream, data, 1024 * 1024), 0);
	assert_true(stream_is_high(&a.stream));
	turn(5);
	assert_int_equal(a.drained, 0);
	stream_resume(&b.stream);
	turn(100);
	assert_false(stream_is_high(&a.stream));
	assert_true(a.drained >= 1);
	assert_int_equal(buf_len(&b.got), 1024 * 1024);
	end(&a, &b);
}

/* goal: more than STREAM_OUT_CAP waiting is an error that sticks, and frees what waited */
static void
test_cap(void **state)
{
	struct peer a, b;
	int i;

	(void)state;
	begin(&a, &b);
	stream_pause(&b.stream);
	for (i = 0; i < 100 && stream_write(&a.stream, data, 1024 * 1024) == 0; i++)
		;
	assert_in_range(i, 60, 70);
	assert_true(a.stream.broken);
	assert_int_equal(stream_waiting(&a.stream), 0);
	assert_int_equal(stream_write(&a.stream, data, 1), -1);
	end(&a, &b);
}

/* goal: the other end's close is told by reading, after all it has sent; writing to it is no signal */
static void
test_close(void **state)
{
	struct peer a, b;

	(void)state;
	begin(&a, &b);
	assert_int_equal(stream_write(&b.stream, "bye", 3), 0);
	stream_close(&b.stream, true);
	turn(3);
	assert_int_equal(buf_len(&a.got), 3);
	assert_true(a.eof);
	(void)stream_write(&a.stream, data, 100);
	assert_int_equal(stream_write(&a.stream, data, 100), -1);
	assert_int_equal(stream_read(&a.stream, chunk, 10), -1);
	end(&a, &b);
}

/* goal: garbage instead of a handshake fails it */
static void
test_no_handshake(void **state)
{
	SSL_CTX *srv = server_ctx(REQUIRE, &server);
	struct peer a, b;

	(void)state;
	begin(&a, &b);
	assert_int_equal(stream_accept_tls(&b.stream, srv, NULL, 0), 0);
	SSL_CTX_free(srv);
	assert_int_equal(stream_write(&a.stream, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	turn(10);
	assert_true(b.secured);
	assert_false(b.secured_ok);
	assert_true(b.stream.broken);
	end(&a, &b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_direct_tls),
		cmocka_unit_test(test_drained),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_no_handshake),
	};

	signal(SIGPIPE, SIG_IGN); /* as the program does: TLS writes have no MSG_NOSIGNAL */
	return cmocka_run_group_tests(tests, tls_fixture_setup, tls_fixture_teardown);
}
