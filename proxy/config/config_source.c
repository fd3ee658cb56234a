#include "proxy/config/config_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/config/config_file.h"

#define FIRST_BYTES 16384

/* Doubles the room and wipes what is left behind, which realloc() would not. */
static int
grow(struct config_source *source, size_t *size)
{
	size_t bigger = *size == 0 ? FIRST_BYTES : *size * 2;
	char *text = malloc(bigger);

	if (text == NULL)
		return -1;
	if (source->text != NULL) {
		memcpy(text, source->text, source->len);
		explicit_bzero(source->text, source->len);
		free(source->text);
	}
	source->text = text;
	*size = bigger;
	return 0;
}

/* 0; -1 with errno (EFBIG: more than we take). */
static int
slurp(struct config_source *source, int fd)
{
	size_t size = 0;
	ssize_t n;

	for (;;) {
		if (source->len == size && grow(source, &size) == -1)
			return -1;
		n = read(fd, source->text + source->len, size - source->len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		source->len += (size_t)n;
		if (source->len > CONFIG_FILE_MAX) {
			errno = EFBIG;
			return -1;
		}
	}
}

/* NULL or why a file of this kind is not read. */
static const char *
wrong_kind(const struct stat *st, bool included)
{
	if (S_ISDIR(st->st_mode))
		return "it is a directory";
	if (!S_ISREG(st->st_mode) && (included || !S_ISFIFO(st->st_mode)))
		return "it is not a regular file";
	return NULL;
}

int
config_source_open(struct config_source *source, const char *name, bool included,
    struct config_place at, struct config_report *report)
{
	char quoted[CONFIG_QUOTED];
	const char *why;
	struct stat st;
	int fd;

	memset(source, 0, sizeof(*source));
	if ((fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | (included ? O_NONBLOCK : 0))) ==
	    -1) {
		why = strerror(errno);
		goto fail;
	}
	if (fstat(fd, &st) == -1) {
		why = strerror(errno);
		goto fail_fd;
	}
	if ((why = wrong_kind(&st, included)) != NULL)
		goto fail_fd;
	source->dev = st.st_dev;
	source->ino = st.st_ino;
	if ((source->name = strdup(name)) == NULL || slurp(source, fd) == -1) {
		why = errno == EFBIG ? "it is larger than 16 MB" : strerror(errno);
		goto fail_source;
	}
	close(fd);
	if (source->len >= 3 && memcmp(source->text, "\xef\xbb\xbf", 3) == 0)
		source->at = 3;
	return 0;
fail_source:
	config_source_close(source);
fail_fd:
	close(fd);
fail:
	config_report_error(report, at, "cannot read %s: %s", config_report_quote(quoted, name),
	    why);
	return -1;
}

void
config_source_close(struct config_source *source)
{
	if (source->text != NULL)
		explicit_bzero(source->text, source->len);
	free(source->text);
	free(source->name);
	memset(source, 0, sizeof(*source));
}

bool
config_source_line(struct config_source *source, const char **line, size_t *len)
{
	const char *start = source->text + source->at, *end;

	if (source->at >= source->len)
		return false;
	end = memchr(start, '\n', source->len - source->at);
	*line = start;
	*len = end != NULL ? (size_t)(end - start) : source->len - source->at;
	source->at += *len + 1;
	source->line++;
	return true;
}
