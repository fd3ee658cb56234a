/* local_file.h -- reads a small file that holds a secret, whole and checked, and tells whether it has
 * changed. Refused: what is no regular file, is over SECRET_TEXT_MAX bytes, or may be written by
 * everybody. Reading by others and an owner who is neither root nor we are reported, not refused:
 * agents in a container of their own write so. Symlinks are followed: in Kubernetes they are the
 * rule. Must not know formats, watches or the loop. */
#ifndef AUTH_SOURCE_LOCAL_FILE_H
#define AUTH_SOURCE_LOCAL_FILE_H

#include "auth/source/secret_source.h"

#include <sys/stat.h>

/* *copy = path, *dir = its directory ("." where it names none), both to be freed even after -1 (no
 * memory); *name = the last part, inside *copy. */
int local_file_split(const char *path, char **copy, char **dir, const char **name);

/* Which file stands under a name, in which state. Reading does not change it. */
struct local_file_mark {
	int error; /* errno when there is none; the rest is 0 then */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified, changed;
};

void local_file_mark(struct local_file_mark *, int dirfd, const char *name);
bool local_file_mark_equal(const struct local_file_mark *, const struct local_file_mark *);

enum { LOCAL_FILE_READABLE_BY_ALL = 1, LOCAL_FILE_FOREIGN_OWNER = 2 };

struct local_file {
	char *text; /* in secure memory, with a NUL behind it */
	size_t len;
	struct local_file_mark mark; /* before and after the reading */
	unsigned doubts;	     /* LOCAL_FILE_* */
};

/* SECRET_OK, or the class with one line in err, which begins with `label`; nothing to free then.
 * A file that changes meanwhile is SECRET_TRANSIENT. */
enum secret_error local_file_read(struct local_file *, int dirfd, const char *name,
    const char *label, char *err, size_t errlen);
void local_file_free(struct local_file *);

/* Writes a warning for each doubt that is not yet in *known, then adds it there. */
void local_file_warn(const struct local_file *, const char *label, unsigned *known);

#endif
