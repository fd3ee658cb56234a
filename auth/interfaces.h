/* interfaces.h -- a snapshot of the addresses and networks of this machine, for samehost and samenet.
 * Unchangeable once made: any thread may ask. It does not follow changes; its owner replaces it now
 * and then (making one takes some system calls, no waiting).
 * Must not know rules or clients. */
#ifndef AUTH_INTERFACES_H
#define AUTH_INTERFACES_H

#include <stdbool.h>
#include <stddef.h>

struct inet_addr;
struct inet_range;
struct interfaces;

struct interfaces *interfaces_new(void); /* NULL with errno */
/* The same of given networks (tests, configuration): base = the address of the interface. Copies. */
struct interfaces *interfaces_of(const struct inet_range *, size_t n);
void interfaces_free(struct interfaces *); /* NULL is harmless */

size_t interfaces_count(const struct interfaces *);
/* Is it an address of this machine? */
bool interfaces_same_host(const struct interfaces *, const struct inet_addr *);
/* Is it in a network that this machine has an address in? */
bool interfaces_same_net(const struct interfaces *, const struct inet_addr *);

#endif
