/* source_file.c -- provider=file: path= is JSON or the password alone, user_path= (optional) a second
 * file that holds the user name.
 *
 * Both files are of one moment: in a Kubernetes volume they are opened through one descriptor of the
 * directory that ..data led to, elsewhere through one of the directory they share, and read only
 * when neither has changed for SETTLE_MS (somebody may be writing), and again when one changes
 * meanwhile. A writer that pauses longer than that in the middle of a plain password cannot be told
 * from one that is done; JSON that ends too early is refused, and its end is noticed by the watch. */
#include "auth/source/file_watch.h"
#include "auth/source/local_file.h"
#include "auth/source/local_source.h"
#include "proxy/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SETTLE_MS      FILE_WATCH_SETTLE_MS
#define DEFAULT_MS     8000 /* how long a fetch waits for the writer, when timeout=0 */
#define GENERATION_TRY 3

enum { PASSWORD, USER, FILES };

struct source {
	struct local_source local; /* first member */
	size_t n;		   /* 1, or FILES with user_path= */
	char *path[FILES], *dir[FILES];
	const char *name[FILES]; /* in path */
	uint64_t patience_ms;
	struct local_file_mark seen[FILES]; /* at the last look of this fetch */
	bool looked;
	unsigned doubts[FILES]; /* those already in the log */
	struct file_watch *watch;
	void (*changed)(void *arg);
	void *arg;
};

/* ---- directories of one moment ---- */

static bool
share_directory(const struct source *s)
{
	return s->n == 1 || strcmp(s->dir[PASSWORD], s->dir[USER]) == 0;
}

/* The directory in which the files are; that of ..data where there is one. */
static int
open_generation(const char *dir)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int data;

	if (fd == -1)
		return -1;
	data = openat(fd, "..data", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (data == -1)
		return fd;
	close(fd);
	return data;
}

static void
close_generation(int fd[FILES])
{
	if (fd[USER] != fd[PASSWORD] && fd[USER] != -1)
		close(fd[USER]);
	if (fd[PASSWORD] != -1)
		close(fd[PASSWORD]);
}

static void
mark_all(struct source *s, const int fd[FILES], struct local_file_mark mark[FILES])
{
	size_t i;

	for (i = 0; i < s->n; i++)
		local_file_mark(&mark[i], fd[i], s->name[i]);
}

/* A generation that has just been removed has a successor: open that. */
static int
look(struct source *s, int fd[FILES], struct local_file_mark mark[FILES])
{
	int tries;
	size_t i;

	for (tries = 1;; tries++) {
		bool missing = false;

		fd[PASSWORD] = open_generation(s->dir[PASSWORD]);
		fd[USER] = share_directory(s) ? fd[PASSWORD] : open_generation(s->dir[USER]);
		if (fd[PASSWORD] == -1 || fd[USER] == -1) {
			int error = errno;
			size_t bad = fd[PASSWORD] == -1 ? PASSWORD : USER;

			close_generation(fd);
			local_source_fail(&s->local,
			    error == EMFILE || error == ENFILE || error == ENOMEM ? SECRET_TRANSIENT
										  : SECRET_GONE,
			    "cannot open %s: %s", s->dir[bad], strerror(error));
			return -1;
		}
		mark_all(s, fd, mark);
		for (i = 0; i < s->n; i++)
			missing = missing || mark[i].error == ENOENT;
		if (!missing || tries == GENERATION_TRY)
			return 0;
		close_generation(fd);
	}
}

/* ---- is anybody writing? ---- */

static int64_t
age_ms(const struct local_file_mark *m)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)(now.tv_sec - m->modified.tv_sec) * 1000 +
	       (now.tv_nsec - m->modified.tv_nsec) / 1000000;
}

/* By its date, or, where the date is of no use (another machine's clock), by having been the same
 * for that long before our eyes. */
static bool
settled(struct source *s, const struct local_file_mark mark[FILES])
{
	bool old = true, same = s->looked;
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (mark[i].error == 0 && age_ms(&mark[i]) < SETTLE_MS)
			old = false;
		same = same && local_file_mark_equal(&mark[i], &s->seen[i]);
		s->seen[i] = mark[i];
	}
	s->looked = true;
	return old || same;
}

static void
look_later(struct source *s)
{
	uint64_t waited_ms = loop_now_ms(s->local.loop) - s->local.begun_ms;

	if (waited_ms < s->patience_ms)
		local_source_again(&s->local, SETTLE_MS);
	else
		local_source_fail(&s->local, SECRET_TRANSIENT, "%s does not stop changing",
		    s->path[PASSWORD]);
}

/* ---- a fetch ---- */

static int
read_user(struct source *s, struct local_file *f, char user[SECRET_USER_MAX + 1])
{
	size_t i, len = f->len;

	if (len > 0 && f->text[len - 1] == '\n')
		len--;
	for (i = 0; i < len; i++)
		if ((unsigned char)f->text[i] < ' ' || f->text[i] == 0x7f)
			break;
	if (len == 0 || len > SECRET_USER_MAX || i < len) {
		local_source_fail(&s->local, SECRET_BAD_VALUE,
		    "%s: a user name of 1 to %d bytes on one line is expected", s->path[USER],
		    SECRET_USER_MAX);
		return -1;
	}
	memcpy(user, f->text, len);
	user[len] = '\0';
	return 0;
}

static void
use(struct source *s, struct local_file file[FILES])
{
	char user[SECRET_USER_MAX + 1];
	size_t i;

	for (i = 0; i < s->n; i++)
		local_file_warn(&file[i], s->path[i], &s->doubts[i]);
	if (s->n == FILES && read_user(s, &file[USER], user) == -1)
		return;
	local_source_answer(&s->local, s->path[PASSWORD], file[PASSWORD].text, file[PASSWORD].len,
	    s->n == FILES ? user : NULL);
}

/* Reads all files; they must be those that were marked before. */
static void
read_all(struct source *s, const int fd[FILES], const struct local_file_mark mark[FILES])
{
	struct local_file file[FILES] = { { 0 } };
	bool changed = false;
	enum secret_error e = SECRET_OK;
	char err[512];
	size_t i;

	for (i = 0; i < s->n && e == SECRET_OK; i++) {
		struct local_file_mark now;

		e = local_file_read(&file[i], fd[i], s->name[i], s->path[i], err, sizeof(err));
		local_file_mark(&now, fd[i], s->name[i]);
		changed = changed || !local_file_mark_equal(&now, &mark[i]) ||
			  (e == SECRET_OK && !local_file_mark_equal(&file[i].mark, &mark[i]));
	}
	/* the first one once more: it was read before the second */
	if (e == SECRET_OK && s->n == FILES) {
		struct local_file_mark now;

		local_file_mark(&now, fd[PASSWORD], s->name[PASSWORD]);
		changed = changed || !local_file_mark_equal(&now, &mark[PASSWORD]);
	}
	if (changed)
		look_later(s);
	else if (e != SECRET_OK)
		local_source_fail(&s->local, e, "%s", err);
	else
		use(s, file);
	for (i = 0; i < FILES; i++)
		local_file_free(&file[i]);
}

static void
work(struct local_source *local)
{
	struct source *s = (struct source *)local;
	struct local_file_mark mark[FILES];
	int fd[FILES];

	if (look(s, fd, mark) == -1)
		return;
	if (settled(s, mark))
		read_all(s, fd, mark);
	else
		look_later(s);
	close_generation(fd);
}

static void
fetch(struct secret_source *base, enum secret_stage stage, secret_fetched *done, void *arg)
{
	((struct source *)base)->looked = false;
	local_source_fetch(base, stage, done, arg);
}

/* ---- the source ---- */

static int
set_path(struct source *s, size_t i, const char *path)
{
	return local_file_split(path, &s->path[i], &s->dir[i], &s->name[i]);
}

static bool
is_file_name(const char *path)
{
	size_t len = strlen(path);

	return len > 0 && path[len - 1] != '/';
}

static int
check(const struct config_secret *cfg, char *err, size_t errlen)
{
	if (cfg->path == NULL)
		snprintf(err, errlen, "provider=file needs path=, the name of a file");
	else if (!is_file_name(cfg->path))
		snprintf(err, errlen, "path=%s: the name of a file is expected", cfg->path);
	else if (cfg->user_path != NULL && !is_file_name(cfg->user_path))
		snprintf(err, errlen, "user_path=%s: the name of a file is expected",
		    cfg->user_path);
	else
		return 0;
	return -1;
}

static void
source_free(struct secret_source *base)
{
	struct source *s = (struct source *)base;
	size_t i;

	file_watch_close(s->watch);
	local_source_destroy(&s->local);
	for (i = 0; i < FILES; i++) {
		free(s->path[i]);
		free(s->dir[i]);
	}
	free(s);
}

static struct secret_source *
source_new(const struct config_secret *cfg, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	static const char *const taken[] = { "path", "user_path", NULL };
	struct source *s;

	if (check(cfg, err, errlen) == -1)
		return NULL;
	s = local_source_new(sizeof(*s), &source_file, taken, cfg, env, work, err, errlen);
	if (s == NULL)
		return NULL;
	s->n = cfg->user_path != NULL ? FILES : 1;
	s->patience_ms = cfg->timeout > 0 ? (uint64_t)cfg->timeout : DEFAULT_MS;
	if (set_path(s, PASSWORD, cfg->path) == -1 ||
	    (s->n == FILES && set_path(s, USER, cfg->user_path) == -1)) {
		snprintf(err, errlen, "out of memory");
		source_free(&s->local.base);
		return NULL;
	}
	return &s->local.base;
}

static void
watch(struct secret_source *base, void (*changed)(void *arg), void *arg)
{
	struct source *s = (struct source *)base;
	const char *const paths[FILES] = { s->path[PASSWORD], s->path[USER] };

	file_watch_close(s->watch);
	s->watch = file_watch_open(s->local.loop, paths, s->n, changed, arg);
}

const struct secret_source_ops source_file = {
	.name = "file",
	.open = source_new,
	.fetch = fetch,
	.watch = watch,
	.close = source_free,
};
