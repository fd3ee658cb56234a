#include "auth/interfaces.h"

#include "auth/inet_range.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct interfaces {
	size_t n;
	struct inet_range net[];
};

static struct interfaces *
create(size_t room)
{
	return calloc(1, sizeof(struct interfaces) + room * sizeof(struct inet_range));
}

/* An interface without a mask (point to point) has only itself in its network. */
static bool
range_of(const struct ifaddrs *ifa, struct inet_range *out)
{
	out->base = inet_addr_of(ifa->ifa_addr);
	out->mask = inet_addr_of(ifa->ifa_netmask);
	if (out->mask.len != out->base.len)
		out->mask = inet_addr_mask(out->base.len, out->base.len * 8u);
	return out->base.len != 0;
}

struct interfaces *
interfaces_new(void)
{
	struct interfaces *s;
	struct ifaddrs *list;
	size_t room = 0;

	if (getifaddrs(&list) == -1)
		return NULL;
	for (const struct ifaddrs *i = list; i != NULL; i = i->ifa_next)
		room++;
	s = create(room);
	for (const struct ifaddrs *i = list; s != NULL && i != NULL; i = i->ifa_next)
		s->n += range_of(i, &s->net[s->n]);
	freeifaddrs(list);
	if (s == NULL)
		errno = ENOMEM;
	return s;
}

struct interfaces *
interfaces_of(const struct inet_range *net, size_t n)
{
	struct interfaces *s = create(n);

	if (s == NULL)
		return NULL;
	if (n > 0)
		memcpy(s->net, net, n * sizeof(*net));
	s->n = n;
	return s;
}

void
interfaces_free(struct interfaces *s)
{
	free(s);
}

size_t
interfaces_count(const struct interfaces *s)
{
	return s->n;
}

bool
interfaces_same_host(const struct interfaces *s, const struct inet_addr *a)
{
	for (size_t i = 0; i < s->n; i++) {
		if (a->len != 0 && a->len == s->net[i].base.len &&
		    memcmp(a->byte, s->net[i].base.byte, a->len) == 0)
			return true;
	}
	return false;
}

bool
interfaces_same_net(const struct interfaces *s, const struct inet_addr *a)
{
	for (size_t i = 0; i < s->n; i++) {
		if (inet_range_has(&s->net[i], a))
			return true;
	}
	return false;
}
