/* inet_range.h -- IP addresses and ranges of them as plain bytes, IPv4 and IPv6 apart. An IPv4 address
 * that came in an IPv6 one (::ffff:1.2.3.4) counts as IPv4. Scopes (fe80::1%eth0) are not looked at.
 * Must not know names or interfaces. */
#ifndef AUTH_INET_RANGE_H
#define AUTH_INET_RANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;

struct inet_addr {
	uint8_t len; /* 4 or 16; 0 = not an IP address, which no range holds */
	uint8_t byte[16];
};

struct inet_range {
	struct inet_addr base, mask; /* of the same len; bits beyond the mask do not count */
};

#define INET_ADDR_TEXT 46 /* INET6_ADDRSTRLEN */

struct inet_addr inet_addr_of(const struct sockaddr *); /* NULL or another family: len 0 */
/* A literal, all of the text; false when it is none. */
bool inet_addr_parse(struct inet_addr *, const char *text);
/* Returns buf; "???" for len 0. */
const char *inet_addr_text(const struct inet_addr *, char buf[INET_ADDR_TEXT]);
/* The mask of that many bits for an address of len bytes; bits is at most len * 8. */
struct inet_addr inet_addr_mask(uint8_t len, unsigned bits);

bool inet_range_has(const struct inet_range *, const struct inet_addr *);
/* Has the base bits set that the mask hides? Harmless, but hardly meant. */
bool inet_range_is_loose(const struct inet_range *);

#endif
