/* stage_clients.c -- the clients of stage.h. */
#include "tests/scenario/stage.h"

#include "proxy/session/session.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"
#include "tests/scenario/fake_loop.h"
#include "tests/scenario/stage_inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int
connect_client(int worker)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNIX };
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	    0);
	session_open(&stage.workers[worker], fds[0], &peer);
	return fds[1];
}

static struct client *
knock(int worker, const char *user, const char *database, const char *name, const char *value)
{
	struct client *c = &stage.clients[stage.n_clients++];
	struct buf hello;

	assert_true(stage.n_clients <= STAGE_CLIENTS);
	end_init(&c->end, connect_client(worker));
	buf_init(&hello, 4096);
	buf_put_u32(&hello, 0);
	buf_put_u32(&hello, PG_PROTOCOL(3, 0));
	buf_put_str(&hello, "user");
	buf_put_str(&hello, user);
	buf_put_str(&hello, "database");
	buf_put_str(&hello, database);
	if (name != NULL) {
		buf_put_str(&hello, name);
		buf_put_str(&hello, value);
	}
	buf_put_u8(&hello, 0);
	buf_set_u32(&hello, 0, buf_len(&hello));
	end_send(&c->end, buf_data(&hello), buf_len(&hello));
	buf_release(&hello);
	return c;
}

struct client *
client_knocks(void)
{
	return knock(0, "web", stage.database, NULL, NULL);
}

struct client *
client_knocks_at(int worker, const char *user, bool other)
{
	return knock(worker, user, other ? stage.other : stage.database, NULL, NULL);
}

static struct client *
welcomed(struct client *c)
{
	const char *k;

	end_look(&c->end);
	if (c->end.n < 3 || c->end.types[0] != 'R' || c->end.types[c->end.n - 1] != 'Z')
		fail_msg("login: %s", c->end.types);
	k = memchr(c->end.types, 'K', (size_t)c->end.n);
	assert_non_null(k);
	c->pid = pg_get_u32((const uint8_t *)c->end.texts[k - c->end.types]);
	memcpy(c->key, c->end.texts[k - c->end.types] + 4, 4);
	return c;
}

struct client *
client_in(void)
{
	return welcomed(client_knocks());
}

struct client *
client_in_with(const char *name, const char *value)
{
	return welcomed(knock(0, "web", stage.database, name, value));
}

struct client *
client_in_at(int worker)
{
	return welcomed(client_knocks_at(worker, "web", false));
}

struct client *
client_in_as(int worker, const char *user, bool other)
{
	return welcomed(client_knocks_at(worker, user, other));
}

void
client_leaves(struct client *c)
{
	close(c->end.fd);
	c->end.fd = -1;
	fake_loop_settle();
}

void
client_vanishes(struct client *c)
{
	close(c->end.fd);
	c->end.fd = -1;
}

const char *
client_answer(struct client *c)
{
	const char *row = "";

	end_look(&c->end);
	if (c->end.n == 0)
		return NULL;
	for (int i = 0; i < c->end.n; i++) {
		if (strchr("DCZz", c->end.types[i]) == NULL)
			fail_msg("client has got: %s", c->end.types);
		if (c->end.types[i] == 'D')
			row = c->end.texts[i] + 6; /* behind the counts of columns and bytes */
	}
	assert_non_null(strchr("Zz", c->end.types[c->end.n - 1]));
	return row;
}

void
client_sends_bytes(struct client *c, const void *p, size_t n)
{
	end_send(&c->end, p, n);
}

void
client_go(struct client *c)
{
	struct buf out = c->end.out;

	buf_init(&c->end.out, BUF_CAP_MAX);
	end_send(&c->end, buf_data(&out), buf_len(&out));
	buf_release(&out);
}

void
client_query(struct client *c, const char *sql)
{
	pgwrite_query(&c->end.out, sql);
	client_go(c);
}

void
client_parse(struct client *c, const char *name, const char *sql)
{
	struct buf body;

	buf_init(&body, 65536);
	buf_put_str(&body, sql);
	buf_put_u16(&body, 0);
	pgwrite_parse(&c->end.out, name, buf_data(&body), buf_len(&body));
	buf_release(&body);
}

void
client_bind(struct client *c, const char *name)
{
	uint32_t mark = pgwrite_begin(&c->end.out, 'B');

	buf_put_str(&c->end.out, "");
	buf_put_str(&c->end.out, name);
	buf_put_u16(&c->end.out, 0);
	buf_put_u16(&c->end.out, 0);
	buf_put_u16(&c->end.out, 0);
	pgwrite_end(&c->end.out, mark);
}

void
client_describe(struct client *c, const char *name)
{
	pgwrite_name(&c->end.out, 'D', 'S', name);
}

void
client_execute(struct client *c)
{
	uint32_t mark = pgwrite_begin(&c->end.out, 'E');

	buf_put_str(&c->end.out, "");
	buf_put_u32(&c->end.out, 0);
	pgwrite_end(&c->end.out, mark);
}

void
client_close(struct client *c, const char *name)
{
	pgwrite_name(&c->end.out, 'C', 'S', name);
}

void
client_sync(struct client *c)
{
	pgwrite_empty(&c->end.out, 'S');
}

void
client_gets(struct client *c, const char *types)
{
	end_look(&c->end);
	assert_string_equal(c->end.types, types);
}

static void
check_error(struct client *c, const char *severity, const char *sqlstate)
{
	for (int i = 0; i < c->end.n; i++) {
		struct pgmsg_error e;

		if (c->end.types[i] != 'E')
			continue;
		(void)pgmsg_error((const uint8_t *)c->end.texts[i], END_TEXT, &e);
		assert_string_equal(e.severity, severity);
		assert_string_equal(e.sqlstate, sqlstate);
		return;
	}
	fail_msg("no error among: %s", c->end.types);
}

void
client_gets_error(struct client *c, const char *sqlstate)
{
	end_look(&c->end);
	check_error(c, "ERROR", sqlstate);
}

void
client_gets_fatal(struct client *c, const char *sqlstate)
{
	end_look(&c->end);
	check_error(c, "FATAL", sqlstate);
	assert_true(c->end.eof);
}

size_t
client_drains(struct client *c)
{
	return end_drain(&c->end);
}

size_t
client_pours(struct client *c, const void *p, size_t n)
{
	return end_pour(&c->end, p, n);
}

bool
client_cancel_is_over(void)
{
	char byte;

	fake_loop_settle();
	return recv(stage.cancel_fd, &byte, 1, MSG_DONTWAIT) == 0;
}

bool
client_cancels(struct client *c)
{
	struct buf b;
	ssize_t n;

	if (stage.cancel_fd != -1)
		close(stage.cancel_fd);
	stage.cancel_fd = connect_client(0);
	buf_init(&b, 64);
	buf_put_u32(&b, 16);
	buf_put_u32(&b, PG_CANCEL_REQUEST);
	buf_put_u32(&b, c->pid);
	buf_put(&b, c->key, 4);
	n = send(stage.cancel_fd, buf_data(&b), buf_len(&b), 0);
	assert_int_equal(n, 16);
	buf_release(&b);
	return client_cancel_is_over();
}

void
client_runs_on(struct client *c, int n, const char *sql)
{
	client_query(c, sql);
	server_gets(n, "Q");
	assert_string_equal(server_got(n, 0), sql);
	server_sends(n, "CZ");
	client_gets(c, "CZ");
}

void
client_begins_on(struct client *c, int n)
{
	client_query(c, "begin");
	server_gets(n, "Q");
	server_sends(n, "Cz");
	client_gets(c, "Cz");
}
