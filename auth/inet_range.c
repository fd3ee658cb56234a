#include "auth/inet_range.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct inet_addr
inet_addr_of(const struct sockaddr *sa)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct inet_addr a = { 0 };

	if (sa != NULL && sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		a.len = 4;
		memcpy(a.byte, &in.sin_addr, 4);
	} else if (sa != NULL && sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		bool is_mapped;

		memcpy(&in6, sa, sizeof(in6));
		is_mapped = memcmp(&in6.sin6_addr, mapped, 12) == 0;
		a.len = is_mapped ? 4 : 16;
		memcpy(a.byte, in6.sin6_addr.s6_addr + (is_mapped ? 12 : 0), a.len);
	}
	return a;
}

bool
inet_addr_parse(struct inet_addr *a, const char *text)
{
	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, text, a->byte) == 1)
		a->len = 4;
	else if (inet_pton(AF_INET6, text, a->byte) == 1)
		a->len = 16;
	return a->len != 0;
}

const char *
inet_addr_text(const struct inet_addr *a, char buf[INET_ADDR_TEXT])
{
	if (a->len == 0 ||
	    inet_ntop(a->len == 4 ? AF_INET : AF_INET6, a->byte, buf, INET_ADDR_TEXT) == NULL)
		snprintf(buf, INET_ADDR_TEXT, "???");
	return buf;
}

struct inet_addr
inet_addr_mask(uint8_t len, unsigned bits)
{
	struct inet_addr mask = { .len = len };

	for (unsigned i = 0; i < bits; i++)
		mask.byte[i / 8] |= (uint8_t)(0x80u >> (i % 8));
	return mask;
}

bool
inet_range_has(const struct inet_range *r, const struct inet_addr *a)
{
	uint8_t differs = 0;

	if (a->len == 0 || a->len != r->base.len)
		return false;
	for (unsigned i = 0; i < a->len; i++)
		differs |= (uint8_t)((a->byte[i] ^ r->base.byte[i]) & r->mask.byte[i]);
	return differs == 0;
}

bool
inet_range_is_loose(const struct inet_range *r)
{
	for (unsigned i = 0; i < r->base.len; i++) {
		if ((r->base.byte[i] & ~r->mask.byte[i]) != 0)
			return true;
	}
	return false;
}
