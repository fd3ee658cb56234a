#include "pool/resolved.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct resolved *
resolved_new(void)
{
	struct resolved *a = calloc(1, sizeof(*a));

	if (a != NULL)
		atomic_init(&a->refs, 1);
	return a;
}

struct resolved *
resolved_ref(struct resolved *a)
{
	atomic_fetch_add_explicit(&a->refs, 1, memory_order_relaxed);
	return a;
}

void
resolved_unref(struct resolved *a)
{
	if (a != NULL && atomic_fetch_sub_explicit(&a->refs, 1, memory_order_acq_rel) == 1)
		free(a);
}

void
resolved_add(struct resolved *a, int family, const void *bytes)
{
	if ((family != AF_INET && family != AF_INET6) || a->n == RESOLVED_MAX)
		return;
	if (inet_ntop(family, bytes, a->text[a->n], RESOLVED_TEXT_SIZE) != NULL &&
	    resolved_find(a, a->text[a->n]) == -1)
		a->n++;
}

int
resolved_find(const struct resolved *a, const char *text)
{
	for (unsigned i = 0; i < a->n; i++)
		if (strcmp(a->text[i], text) == 0)
			return (int)i;
	return -1;
}

bool
resolved_same(const struct resolved *a, const struct resolved *b)
{
	if (a->n != b->n)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (resolved_find(b, a->text[i]) == -1)
			return false;
	return true;
}

void
resolved_print(const struct resolved *a, char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (unsigned i = 0; a != NULL && i < a->n; i++) {
		size_t len = strlen(a->text[i]) + (i > 0);

		if (at + len >= size)
			return;
		snprintf(out + at, size - at, "%s%s", i > 0 ? "," : "", a->text[i]);
		at += len;
	}
}
