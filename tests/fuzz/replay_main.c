/* replay_main.c -- gives every file of a corpus folder once to a fuzz harness, without libFuzzer,
 * so that `make test` (gcc, ASan, UBSan) repeats what fuzzing has found.
 * Usage: HARNESS FOLDER. A missing or empty folder replays the empty input only. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 16 << 20 }; /* bytes of one corpus file */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exactly sized heap copy, so that ASan sees the first byte read behind the end. */
static int
replay(const uint8_t *data, size_t size)
{
	uint8_t *copy = calloc(1, size ? size : 1);

	if (!copy)
		return -1;
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return 0;
}

static int
replay_file(const char *folder, const char *name, uint8_t *scratch)
{
	char path[4096];
	FILE *f;
	size_t size;
	int rc;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -1;
	f = fopen(path, "rb");
	if (!f)
		return -1;
	/* Before the run: if the harness dies, this is the last line. */
	printf("%s\n", path);
	fflush(stdout);
	size = fread(scratch, 1, INPUT_MAX, f);
	rc = ferror(f) || size == INPUT_MAX ? -1 : replay(scratch, size);
	fclose(f);
	return rc;
}

static int
replay_folder(const char *folder, uint8_t *scratch)
{
	struct dirent **names;
	int n = scandir(folder, &names, NULL, alphasort);
	int done = 0;
	int rc = 0;

	if (n == -1)
		return errno == ENOENT ? 0 : -1;
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.' && rc == 0) {
			rc = replay_file(folder, names[i]->d_name, scratch);
			if (rc == -1)
				fprintf(stderr, "cannot replay %s/%s\n", folder, names[i]->d_name);
			done++;
		}
		free(names[i]);
	}
	free(names);
	return rc == -1 ? -1 : done;
}

int
main(int argc, char **argv)
{
	uint8_t *scratch = malloc(INPUT_MAX);
	int done;

	if (argc != 2 || !scratch) {
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		free(scratch);
		return 2;
	}
	done = replay(scratch, 0) == 0 ? replay_folder(argv[1], scratch) : -1;
	free(scratch);
	if (done == -1)
		return 1;
	printf("[  PASSED  ] %d input(s) replayed.\n", done + 1);
	return 0;
}
