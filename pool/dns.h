/* dns.h -- c-ares on a loop: its sockets are watches, its timeout is a deadline. /etc/hosts (or
 * the file that CARES_HOSTS names) is looked at first, a changed /etc/resolv.conf is noticed. No
 * cache.
 * Everything happens on the loop's thread. The only one that includes ares.h. Times are ms. */
#ifndef POOL_DNS_H
#define POOL_DNS_H

#include "pool/resolved.h"

#include <stdint.h>

struct loop;
struct dns;

enum dns_result {
	DNS_OK,
	DNS_NO_SUCH, /* the name does not exist, or has no address */
	DNS_FAILED,  /* nobody could be asked, or nobody knew */
	DNS_CLOSED,  /* dns_close() */
};

/* addrs (DNS_OK only) is the callee's; ttl_ms is the shortest of its addresses, 0 for those of
 * /etc/hosts; `why` is static text. */
struct dns_answer {
	enum dns_result result;
	struct resolved *addrs;
	int64_t ttl_ms;
	const char *why;
};

/* servers: "addr:port,..." instead of those of resolv.conf, or NULL; borrowed. NULL with errno. */
struct dns *dns_open(struct loop *, const char *servers);
/* Every question still open is answered with DNS_CLOSED. NULL is harmless. */
void dns_close(struct dns *);

/* `told` is called exactly once, and may be called from inside this call. */
void dns_ask(struct dns *, const char *name, void (*told)(void *arg, const struct dns_answer *),
    void *arg);

#endif
