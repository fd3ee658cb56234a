/* hba_fixture.h -- files for the tests of hba.c and user_map.c in a folder of their own, and an ear
 * for what is said of them. */
#ifndef TESTS_UNIT_AUTH_HBA_FIXTURE_H
#define TESTS_UNIT_AUTH_HBA_FIXTURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct heard {
	int errors, warnings;
	int line; /* of the first */
	char file[64];
	char text[1024];
	char all[16384]; /* "FILE:LINE: TEXT\n" each */
};

static char folder[64];

__attribute__((unused)) static void
hear(void *arg, bool is_error, const char *file, int line, const char *text)
{
	struct heard *h = arg;
	const char *slash = strrchr(file, '/');
	size_t n = strlen(h->all);

	assert_null(strpbrk(text, "\r\n"));
	file = slash != NULL ? slash + 1 : file;
	if (h->errors + h->warnings == 0) {
		h->line = line;
		snprintf(h->file, sizeof(h->file), "%s", file);
		snprintf(h->text, sizeof(h->text), "%s", text);
	}
	*(is_error ? &h->errors : &h->warnings) += 1;
	snprintf(h->all + n, sizeof(h->all) - n, "%s:%d: %s\n", file, line, text);
}

/* The path of a file of that name, in one of two places that take turns. */
__attribute__((unused)) static const char *
path_of(const char *name)
{
	static char path[2][512];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

__attribute__((unused)) static const char *
write_file(const char *name, const void *text, size_t len)
{
	const char *path = path_of(name);
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
	return path;
}

__attribute__((unused)) static const char *
write_text(const char *name, const char *text)
{
	return write_file(name, text, strlen(text));
}

__attribute__((unused)) static int
make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/pgsluice-hba.XXXXXX");
	return mkdtemp(folder) == NULL ? -1 : 0;
}

__attribute__((unused)) static int
remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	return system(command);
}

#endif
