/* auth_file.c -- fuzz harness: any bytes as auth_file are either refused with a message or give a
 * list in which every user can be found, checked and freed. */
#include "auth/userlist.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
	int errors;
};

static void
hear(void *arg, bool error, const char *file, int line, const char *text)
{
	struct heard *h = arg;

	(void)file;
	if (line < 1 || *text == '\0')
		abort();
	h->errors += error;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t salt[4] = { 0 };
	struct heard h = { 0 };
	struct userlist *l = userlist_parse("auth_file", (const char *)data, size, hear, &h);
	const struct auth_user *u;
	size_t total = 0;

	if ((l == NULL) != (h.errors > 0))
		abort();
	if (l == NULL)
		return 0;
	for (int kind = 0; kind < AUTH_SECRET_KINDS; kind++)
		total += userlist_count_kind(l, (enum auth_secret)kind);
	if (total != userlist_count(l) || userlist_find(l, "") != NULL)
		abort();
	u = userlist_find(l, "a");
	if (u != NULL) {
		if (strcmp(auth_user_name(u), "a") != 0)
			abort();
		if (auth_user_plain(u) != NULL &&
		    !auth_user_check_plain(u, auth_user_plain(u), strlen(auth_user_plain(u))))
			abort();
		auth_user_check_md5(u, salt, "md5", 3);
	}
	userlist_unref(l);
	return 0;
}
