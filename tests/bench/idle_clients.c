/*
 * idle_clients HOST PORT USER DATABASE plain|tls COUNT BATCH
 *
 * Opens COUNT PostgreSQL clients (trust authentication), runs one query on each and then keeps them
 * idle until its standard input ends. A `%` at the end of DATABASE becomes a four-digit number, one
 * database per client. After each BATCH clients it prints a line and waits for one, so that the
 * benchmark can do something in between. Part of the benchmark, never of the program: blocking
 * sockets, one client after another, and any surprise ends it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

struct target {
	struct sockaddr_in addr;
	const char *user;
	const char *dbname;
	SSL_CTX *tls; /* NULL: plain */
};

struct client {
	int fd;
	SSL *ssl;
};

static void
die(const char *what, long which)
{
	fprintf(stderr, "client %ld: %s\n", which, what);
	exit(1);
}

static int
put(struct client *c, const void *data, size_t len)
{
	ssize_t n;

	if (c->ssl != NULL)
		n = SSL_write(c->ssl, data, (int)len);
	else
		n = send(c->fd, data, len, MSG_NOSIGNAL);
	return n == (ssize_t)len ? 0 : -1;
}

static int
get(struct client *c, void *data, size_t len)
{
	char *p = data;

	while (len > 0) {
		ssize_t n = c->ssl != NULL ? SSL_read(c->ssl, p, (int)len) : recv(c->fd, p, len, 0);

		if (n <= 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Reads messages up to ReadyForQuery; an error's text goes to standard error. */
static int
until_ready(struct client *c)
{
	char body[4096];

	for (;;) {
		unsigned char head[5];
		uint32_t len;

		if (get(c, head, sizeof(head)) == -1)
			return -1;
		memcpy(&len, head + 1, sizeof(len));
		len = ntohl(len) - 4;
		if (len > sizeof(body) || get(c, body, len) == -1)
			return -1;
		if (head[0] == 'Z')
			return 0;
		if (head[0] == 'E') {
			for (uint32_t i = 0; i < len; i++)
				fputc(body[i] != '\0' ? body[i] : ' ', stderr);
			return -1;
		}
		if (head[0] == 'R' && memcmp(body, "\0\0\0\0", 4) != 0)
			return -1;
	}
}

static int
send_startup(struct client *c, const struct target *t, long which)
{
	char packet[512], dbname[128];
	size_t stem = strlen(t->dbname);
	uint32_t word;
	int len;

	if (stem > 0 && t->dbname[stem - 1] == '%')
		snprintf(dbname, sizeof(dbname), "%.*s%04ld", (int)stem - 1, t->dbname, which);
	else
		snprintf(dbname, sizeof(dbname), "%s", t->dbname);
	len = snprintf(packet + 8, sizeof(packet) - 8, "user%c%s%cdatabase%c%s%c", 0, t->user, 0, 0,
	    dbname, 0);
	if (len < 0 || (size_t)len + 9 > sizeof(packet))
		return -1;
	packet[8 + len] = '\0';
	word = htonl((uint32_t)len + 9);
	memcpy(packet, &word, 4);
	word = htonl(3 << 16);
	memcpy(packet + 4, &word, 4);
	return put(c, packet, (size_t)len + 9);
}

static int
start_tls(struct client *c, SSL_CTX *tls)
{
	static const unsigned char request[8] = { 0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f };
	char answer;

	if (put(c, request, sizeof(request)) == -1 || get(c, &answer, 1) == -1 || answer != 'S')
		return -1;
	c->ssl = SSL_new(tls);
	if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
		return -1;
	return SSL_connect(c->ssl) == 1 ? 0 : -1;
}

static void
open_client(struct client *c, const struct target *t, long which)
{
	static const unsigned char query[] = "Q\0\0\0\015select 1";
	const struct timeval patience = { .tv_sec = 30 };

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd == -1)
		die("no socket (RLIMIT_NOFILE?)", which);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(c->fd, (const struct sockaddr *)&t->addr, sizeof(t->addr)) == -1)
		die("cannot connect", which);
	if (t->tls != NULL && start_tls(c, t->tls) == -1)
		die("no TLS", which);
	if (send_startup(c, t, which) == -1 || until_ready(c) == -1)
		die("login failed", which);
	if (put(c, query, sizeof(query)) == -1 || until_ready(c) == -1)
		die("query failed", which);
}

int
main(int argc, char **argv)
{
	struct target t = { .addr.sin_family = AF_INET };
	struct client *clients;
	char line[16];
	long count, batch;

	if (argc != 8)
		die("usage: idle_clients HOST PORT USER DATABASE plain|tls COUNT BATCH", 0);
	t.addr.sin_port = htons((uint16_t)strtol(argv[2], NULL, 10));
	if (inet_pton(AF_INET, argv[1], &t.addr.sin_addr) != 1)
		die("HOST must be an IPv4 address", 0);
	t.user = argv[3];
	t.dbname = argv[4];
	if (strcmp(argv[5], "tls") == 0 && (t.tls = SSL_CTX_new(TLS_client_method())) == NULL)
		die("no TLS context", 0);
	count = strtol(argv[6], NULL, 10);
	batch = strtol(argv[7], NULL, 10);
	if (count < 1 || batch < 1)
		die("COUNT and BATCH must be positive", 0);
	clients = calloc((size_t)count, sizeof(*clients));
	if (clients == NULL)
		die("out of memory", 0);
	for (long i = 0; i < count; i++) {
		open_client(&clients[i], &t, i);
		if ((i + 1) % batch != 0 && i + 1 != count)
			continue;
		printf("opened %ld\n", i + 1);
		fflush(stdout);
		if (fgets(line, sizeof(line), stdin) == NULL)
			return 0;
	}
	while (fgets(line, sizeof(line), stdin) != NULL)
		;
	return 0;
}
