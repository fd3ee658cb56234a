/* stage_servers.c -- the servers of stage.h. */
#include "tests/scenario/stage.h"

#include "proxy/wire/pgwrite.h"
#include "tests/scenario/end.h"
#include "tests/scenario/fake_loop.h"
#include "tests/scenario/letters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { SERVERS = 513 };

static struct end servers[SERVERS];
static char status[SERVERS]; /* of servers_answer(): Z, z, or NUL for Z */

void
servers_forget(void)
{
	for (int i = 0; i < SERVERS; i++)
		end_release(&servers[i]);
	memset(servers, 0, sizeof(servers));
	memset(status, 0, sizeof(status));
}

static struct end *
server(int n)
{
	struct end *e = &servers[n];

	if (fake_connector_fd(n) == -1)
		fail_msg("there is no server %d", n);
	if (e->in.cap == 0)
		end_init(e, fake_connector_fd(n));
	return e;
}

int
servers_opened(void)
{
	int n = 0;

	fake_loop_settle();
	while (fake_connector_fd(n + 1) != -1)
		n++;
	return n;
}

void
server_sends_bytes(int n, const void *p, size_t len)
{
	end_send(server(n), p, len);
}

size_t
server_pours(int n, const void *p, size_t len)
{
	return end_pour(server(n), p, len);
}

size_t
server_drains(int n)
{
	return end_drain(server(n));
}

void
server_sends(int n, const char *types)
{
	struct buf b;

	buf_init(&b, BUF_CAP_MAX);
	for (; *types != '\0'; types++)
		letters_put(&b, *types);
	end_send(server(n), buf_data(&b), buf_len(&b));
	buf_release(&b);
}

void
server_sends_error(int n, const char *severity, const char *sqlstate, const char *message)
{
	struct buf b;

	buf_init(&b, 4096);
	pgwrite_error(&b, severity, sqlstate, message, NULL, NULL);
	end_send(server(n), buf_data(&b), buf_len(&b));
	buf_release(&b);
}

void
server_reports(int n, const char *name, const char *value)
{
	struct buf b;

	buf_init(&b, 4096);
	pgwrite_parameter_status(&b, name, value);
	end_send(server(n), buf_data(&b), buf_len(&b));
	buf_release(&b);
}

void
server_gets(int n, const char *types)
{
	struct end *e = server(n);

	end_look(e);
	assert_string_equal(e->types, types);
}

const char *
server_got(int n, int nth)
{
	return server(n)->texts[nth];
}

void
server_dies(int n)
{
	shutdown(server(n)->fd, SHUT_RDWR);
	fake_loop_settle();
}

bool
server_is_closed(int n)
{
	fake_loop_settle();
	return fake_connector_finished(n);
}

static void
answer(struct buf *b, char *state, const char *sql)
{
	const char *row[] = { sql };

	if (strcmp(sql, "begin") == 0)
		*state = 'z';
	else if (strcmp(sql, "commit") == 0 || strcmp(sql, "ROLLBACK") == 0)
		*state = 'Z';
	else
		pgwrite_data_row(b, row, 1);
	letters_put(b, 'C');
	letters_put(b, *state == 'z' ? 'z' : 'Z');
}

int
servers_answer(void)
{
	int queries = 0;

	for (int n = 1; fake_connector_fd(n) != -1; n++) {
		struct end *e = server(n);
		struct buf b;

		if (fake_connector_finished(n))
			continue;
		end_look(e);
		buf_init(&b, BUF_CAP_MAX);
		for (int i = 0; i < e->n; i++) {
			if (e->types[i] != 'Q')
				fail_msg("server %d has got: %s", n, e->types);
			answer(&b, &status[n], e->texts[i]);
			queries++;
		}
		if (buf_len(&b) > 0)
			end_send(e, buf_data(&b), buf_len(&b));
		buf_release(&b);
	}
	return queries;
}
