#include "auth/login_ldap_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* text[len] with its percent-encoding undone; false: malformed, a NUL, or too long. */
static bool
decode(char *out, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			int high = len - i > 2 ? hex_value(text[i + 1]) : -1;
			int low = len - i > 2 ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
		}
		if (c == '\0' || n + 1 == size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

int
login_ldap_url_parse(struct login_ldap_url *u, const char *url, char *err, size_t errlen)
{
	struct {
		char *out;
		size_t size;
		const char *ends; /* characters that end this piece; the first begins the next */
	} pieces[] = {
		{ u->host, sizeof(u->host), "/?" },
		{ u->basedn, sizeof(u->basedn), "?" },
		{ u->attribute, sizeof(u->attribute), "?" },
		{ u->scope, sizeof(u->scope), "?" },
		{ u->filter, sizeof(u->filter), "?" },
	};
	const char *p = url;

	memset(u, 0, sizeof(*u));
	u->ldaps = strncasecmp(url, "ldaps://", 8) == 0;
	if (!u->ldaps && strncasecmp(url, "ldap://", 7) != 0) {
		snprintf(err, errlen, "ldapurl must begin with ldap:// or ldaps://");
		return -1;
	}
	p += u->ldaps ? 8 : 7;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		size_t len = strcspn(p, pieces[i].ends);

		if (!decode(pieces[i].out, pieces[i].size, p, len)) {
			snprintf(err, errlen, "ldapurl is malformed, or a piece of it is too long");
			return -1;
		}
		p += len;
		if (*p == '\0')
			break;
		p++;
	}
	if (*p != '\0') {
		snprintf(err, errlen, "ldapurl has extensions, none is served");
		return -1;
	}
	if (strchr(u->attribute, ',') != NULL) {
		snprintf(err, errlen, "ldapurl must name one attribute at most");
		return -1;
	}
	return 0;
}
