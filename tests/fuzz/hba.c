/* hba.c -- fuzz harness: any bytes as auth_hba_file are either refused with a message or give rules
 * that decide every query; when a query tells all, nothing more is asked for. The bytes go through a
 * file in memory, as the loader takes paths; an include of something that is there is harmless, as
 * only regular files are read. */
#include "auth/hba.h"

#include "auth/inet_range.h"
#include "auth/interfaces.h"

#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
hear(void *arg, bool is_error, const char *file, int line, const char *text)
{
	unsigned *errors = arg;

	if (file == NULL || line < 0 || *text == '\0' || strpbrk(text, "\r\n") != NULL)
		abort();
	*errors += is_error;
}

static bool
is_member(void *arg, const char *role)
{
	(void)arg;
	return (strlen(role) & 1) == 0;
}

/* The questions a caller may have to answer, each once at most. */
static void
ask(const struct hba *h, struct hba_query q, const struct interfaces *own)
{
	const struct hba_line *line;
	enum hba_outcome outcome;
	char buf[HBA_MESSAGE_BYTES];

	while ((outcome = hba_match(h, &q, &line)) >= HBA_NEEDS_INTERFACES) {
		if (outcome == HBA_NEEDS_INTERFACES && q.interfaces == NULL)
			q.interfaces = own;
		else if (outcome == HBA_NEEDS_DNS && q.dns_name == NULL)
			q.dns_name = "a.example.com";
		else if (outcome == HBA_NEEDS_MEMBERSHIP && q.member == NULL)
			q.member = is_member;
		else
			abort(); /* asked for what it knows */
	}
	if ((line == NULL) != (outcome == HBA_NO_MATCH) || (line != NULL && line->number < 1))
		abort();
	if (*hba_reject_message(buf, &q, outcome) == '\0')
		abort();
}

static void
use(const struct hba *h)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(0x0a000001) } };
	struct inet_range net = { .base = inet_addr_of((struct sockaddr *)&in),
		.mask = inet_addr_mask(4, 8) };
	struct interfaces *own = interfaces_of(&net, 1);
	struct hba_query q = { .peer = (struct sockaddr *)&in };
	size_t i;

	if (own == NULL)
		return;
	for (i = 0; i < 32; i++) {
		q.is_local = i & 1;
		q.tls = i & 2;
		q.cert_verified = i & 4;
		q.replication = i & 8;
		q.database = i & 16 ? "db1" : "a";
		q.user = "a";
		ask(h, q, own);
	}
	for (i = 0; i < hba_count(h); i++) {
		if (*hba_method_name(hba_line_at(h, i)->method) == '\0' ||
		    (hba_line_at(h, i)->method == HBA_LDAP) != (hba_line_at(h, i)->ldap != NULL))
			abort();
	}
	interfaces_free(own);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("hba", MFD_CLOEXEC);
	unsigned errors = 0;
	struct hba *h;
	char path[32];

	if (fd == -1)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, data, size) == (ssize_t)size) {
		h = hba_load(path, hear, &errors);
		if ((h == NULL) != (errors > 0))
			abort();
		if (h != NULL)
			use(h);
		hba_unref(h);
	}
	close(fd);
	return 0;
}
