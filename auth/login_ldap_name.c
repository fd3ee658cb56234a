#include "auth/login_ldap_name.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define VAR "$username"

struct writer {
	char *out;
	size_t size, n;
	bool full;
};

static void
put(struct writer *w, const char *text, size_t len)
{
	if (len >= w->size - w->n) {
		w->full = true;
		return;
	}
	memcpy(w->out + w->n, text, len);
	w->n += len;
	w->out[w->n] = '\0';
}

/* Both RFCs allow any byte as a backslash and two hex digits. */
static void
put_escaped(struct writer *w, const char *text, const char *special)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		char hex[4];

		if (c >= 0x20 && c != 0x7f && strchr(special, c) == NULL) {
			put(w, text, 1);
			continue;
		}
		snprintf(hex, sizeof(hex), "\\%02x", c);
		put(w, hex, 3);
	}
}

static bool
is_plain_name(const char *user)
{
	for (; *user != '\0'; user++) {
		unsigned char c = (unsigned char)*user;

		if (c < 0x80 && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && strchr("._-$", c) == NULL)
			return false;
	}
	return true;
}

int
login_ldap_name_dn(char *out, size_t size, const char *prefix, const char *user, const char *suffix)
{
	struct writer w = { .out = out, .size = size };

	if (*user == '\0')
		return -1;
	if (strchr(prefix, '=') == NULL && strchr(suffix, '=') == NULL && !is_plain_name(user))
		return -1;
	put(&w, prefix, strlen(prefix));
	/* blanks and # are special at the ends only, but may be escaped anywhere */
	put_escaped(&w, user, " #,+\"\\<>;=");
	put(&w, suffix, strlen(suffix));
	return w.full ? -1 : 0;
}

int
login_ldap_name_filter(char *out, size_t size, const char *filter, const char *attribute,
    const char *user)
{
	struct writer w = { .out = out, .size = size };
	const char *var;

	if (filter == NULL) {
		put(&w, "(", 1);
		put(&w, attribute, strlen(attribute));
		put(&w, "=", 1);
		put_escaped(&w, user, "*()\\");
		put(&w, ")", 1);
		return w.full ? -1 : 0;
	}
	while ((var = strstr(filter, VAR)) != NULL) {
		put(&w, filter, (size_t)(var - filter));
		put_escaped(&w, user, "*()\\");
		filter = var + strlen(VAR);
	}
	put(&w, filter, strlen(filter));
	return w.full ? -1 : 0;
}
