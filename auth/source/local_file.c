#include "auth/source/local_file.h"

#include "proxy/base/log.h"
#include "proxy/base/secure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
local_file_split(const char *path, char **copy, char **dir, const char **name)
{
	const char *slash = strrchr(path, '/');

	*copy = strdup(path);
	if (slash == NULL)
		*dir = strdup(".");
	else
		*dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (*copy == NULL || *dir == NULL)
		return -1;
	*name = slash == NULL ? *copy : *copy + (slash - path) + 1;
	return 0;
}

/* ---- marks ---- */

static void
set_mark(struct local_file_mark *m, const struct stat *st)
{
	m->error = 0;
	m->dev = st->st_dev;
	m->ino = st->st_ino;
	m->size = st->st_size;
	m->modified = st->st_mtim;
	m->changed = st->st_ctim;
}

void
local_file_mark(struct local_file_mark *m, int dirfd, const char *name)
{
	struct stat st;

	memset(m, 0, sizeof(*m));
	if (fstatat(dirfd, name, &st, 0) == -1)
		m->error = errno;
	else
		set_mark(m, &st);
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
local_file_mark_equal(const struct local_file_mark *a, const struct local_file_mark *b)
{
	return a->error == b->error && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}

/* ---- reading ---- */

/* What only people repair is GONE: the cache says it once and looks again now and then. */
static enum secret_error
class_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case EACCES:
	case EPERM:
	case ELOOP:
	case ENAMETOOLONG:
		return SECRET_GONE;
	default:
		return SECRET_TRANSIENT;
	}
}

static enum secret_error
check(const struct stat *st, const char *label, char *err, size_t errlen)
{
	if (!S_ISREG(st->st_mode))
		snprintf(err, errlen, "%s is not a regular file", label);
	else if (st->st_size > SECRET_TEXT_MAX)
		snprintf(err, errlen, "%s is larger than %d bytes", label, SECRET_TEXT_MAX);
	else if (st->st_mode & S_IWOTH)
		snprintf(err, errlen, "%s may be written by everybody (mode %04o)", label,
		    (unsigned)(st->st_mode & 07777));
	else
		return SECRET_OK;
	return SECRET_BAD_VALUE;
}

/* One byte more than the size is asked for, so that a file that grows is noticed. */
static ssize_t
read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		n = read(fd, text + len, size - len);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static enum secret_error
read_checked(struct local_file *f, int fd, const struct stat *before, const char *label, char *err,
    size_t errlen)
{
	size_t size = (size_t)before->st_size + 1;
	struct local_file_mark after;
	struct stat st;
	ssize_t n;

	f->text = secure_alloc(size);
	if (f->text == NULL) {
		snprintf(err, errlen, "%s: out of memory for secrets", label);
		return SECRET_TRANSIENT;
	}
	n = read_all(fd, f->text, size);
	if (n == -1 || fstat(fd, &st) == -1) {
		snprintf(err, errlen, "cannot read %s: %s", label, strerror(errno));
		goto fail;
	}
	set_mark(&f->mark, before);
	set_mark(&after, &st);
	if (n != before->st_size || !local_file_mark_equal(&f->mark, &after)) {
		snprintf(err, errlen, "%s changed while it was read", label);
		goto fail;
	}
	f->len = (size_t)n;
	f->text[n] = '\0';
	return SECRET_OK;
fail:
	secure_free(f->text);
	f->text = NULL;
	return SECRET_TRANSIENT;
}

/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
enum secret_error
local_file_read(struct local_file *f, int dirfd, const char *name, const char *label, char *err,
    size_t errlen)
{
	int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum secret_error e;
	struct stat st;

	memset(f, 0, sizeof(*f));
	if (fd == -1 || fstat(fd, &st) == -1) {
		int error = errno;

		snprintf(err, errlen, "cannot open %s: %s", label, strerror(error));
		if (fd != -1)
			close(fd);
		return class_of(error);
	}
	e = check(&st, label, err, errlen);
	if (e == SECRET_OK)
		e = read_checked(f, fd, &st, label, err, errlen);
	close(fd);
	if (st.st_mode & S_IROTH)
		f->doubts |= LOCAL_FILE_READABLE_BY_ALL;
	if (st.st_uid != 0 && st.st_uid != geteuid())
		f->doubts |= LOCAL_FILE_FOREIGN_OWNER;
	return e;
}

void
local_file_free(struct local_file *f)
{
	secure_free(f->text);
	f->text = NULL;
}

void
local_file_warn(const struct local_file *f, const char *label, unsigned *known)
{
	unsigned news = f->doubts & ~*known;

	if (news & LOCAL_FILE_READABLE_BY_ALL)
		log_warning("secret file %s can be read by everybody on this machine", label);
	if (news & LOCAL_FILE_FOREIGN_OWNER)
		log_warning("secret file %s belongs neither to root nor to the user we run as",
		    label);
	*known |= news;
}
