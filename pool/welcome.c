#include "pool/welcome.h"

#include "pool/params.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct welcome *
welcome_new(const char *reported, size_t len, struct params *session)
{
	struct welcome *w = malloc(sizeof(*w) + len);
	const char *at = reported;

	if (w == NULL)
		return NULL;
	atomic_init(&w->refs, 1);
	w->params = params_ref(session);
	params_set_proven(session); /* a server says so itself */
	w->len = 0;
	while (at < reported + len) {
		const char *value = at + strlen(at) + 1, *next = value + strlen(value) + 1;

		if (params_is_fixed(at) || strcasecmp(at, "session_authorization") == 0) {
			memcpy(w->fixed + w->len, at, (size_t)(next - at));
			w->len += (size_t)(next - at);
		}
		at = next;
	}
	return w;
}

struct welcome *
welcome_ref(struct welcome *w)
{
	atomic_fetch_add_explicit(&w->refs, 1, memory_order_relaxed);
	return w;
}

void
welcome_unref(struct welcome *w)
{
	if (w == NULL || atomic_fetch_sub_explicit(&w->refs, 1, memory_order_acq_rel) != 1)
		return;
	params_unref(w->params);
	free(w);
}
