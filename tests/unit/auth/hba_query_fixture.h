/* hba_query_fixture.h -- rules from a text and queries of them, for the tests of hba*.c. Include it
 * behind cmocka.h. */
#ifndef TESTS_UNIT_AUTH_HBA_QUERY_FIXTURE_H
#define TESTS_UNIT_AUTH_HBA_QUERY_FIXTURE_H

#include "auth/hba.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/unit/auth/hba_fixture.h"

static struct heard heard;

__attribute__((unused)) static struct hba *
parse(const char *text)
{
	memset(&heard, 0, sizeof(heard));
	return hba_load(write_text("hba", text), hear, &heard);
}

__attribute__((unused)) static struct hba *
good(const char *text)
{
	struct hba *h = parse(text);

	if (h == NULL)
		fail_msg("%s", heard.all);
	assert_int_equal(heard.errors, 0);
	return h;
}

__attribute__((unused)) static const struct sockaddr *
address(const char *text)
{
	static struct sockaddr_in6 in6;
	static struct sockaddr_in in;

	in = (struct sockaddr_in){ .sin_family = AF_INET };
	in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6 };
	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return (const struct sockaddr *)&in;
	assert_int_equal(inet_pton(AF_INET6, text, &in6.sin6_addr), 1);
	return (const struct sockaddr *)&in6;
}

/* A query over TCP without TLS; "local" makes it local. */
__attribute__((unused)) static struct hba_query
from(const char *peer, const char *database, const char *user)
{
	struct hba_query q = { .database = database, .user = user };

	q.is_local = strcmp(peer, "local") == 0;
	if (!q.is_local)
		q.peer = address(peer);
	return q;
}

/* The line that decides; 0 = none; negative: another outcome. */
__attribute__((unused)) static int
ask(const struct hba *h, const struct hba_query *q)
{
	const struct hba_line *line;
	enum hba_outcome outcome = hba_match(h, q, &line);

	assert_int_equal(line == NULL, outcome == HBA_NO_MATCH);
	if (outcome == HBA_NO_MATCH)
		return 0;
	return outcome == HBA_MATCH ? line->number : -(int)outcome;
}

__attribute__((unused)) static int
where(const struct hba *h, const char *peer, const char *database, const char *user)
{
	struct hba_query q = from(peer, database, user);

	return ask(h, &q);
}

/* The same of a file of one rule in line 1. */
__attribute__((unused)) static int
fits(const char *text, const char *peer, const char *database, const char *user)
{
	struct hba *h = good(text);
	int found = where(h, peer, database, user);

	hba_unref(h);
	return found;
}

#endif
