/* user_map.c -- fuzz harness: any bytes as auth_ident_file are either refused with a message or give
 * maps that answer every question; a map that is not in the file allows nobody. The bytes go through
 * a file in memory, as in hba.c. */
#include "auth/user_map.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
hear(void *arg, bool is_error, const char *file, int line, const char *text)
{
	unsigned *errors = arg;

	if (file == NULL || line < 0 || *text == '\0' || strpbrk(text, "\r\n") != NULL)
		abort();
	*errors += is_error;
}

static void
use(const struct user_map *m)
{
	static const char *const names[] = { "a", "root", "al@example.com", "aaaaaaaaaaaaaaaab",
		"" };
	const size_t n = sizeof(names) / sizeof(names[0]);

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < n; k++) {
			bool allowed = user_map_allows(m, "m", names[i], names[k]);

			if (allowed && !user_map_has(m, "m"))
				abort();
			if (user_map_allows(m, NULL, names[i], names[k]) != (i == k))
				abort();
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("ident", MFD_CLOEXEC);
	unsigned errors = 0;
	struct user_map *m;
	char path[32];

	if (fd == -1)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, data, size) == (ssize_t)size) {
		m = user_map_load(path, hear, &errors);
		if ((m == NULL) != (errors > 0))
			abort();
		if (m != NULL)
			use(m);
		user_map_unref(m);
	}
	close(fd);
	return 0;
}
