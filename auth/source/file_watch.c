#include "auth/source/file_watch.h"

#include "auth/source/local_file.h"
#include "proxy/base/log.h"
#include "proxy/base/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define INTERESTING                                                                                \
	(IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_TO |            \
	    IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define READS_PER_TURN 16

/* One file and its directory. */
struct place {
	char *path, *dir;
	const char *name; /* in path */
	int wd;		  /* -1 = not watched */
	dev_t dev;	  /* of the directory that wd watches */
	ino_t ino;
	struct local_file_mark seen, told;
};

struct file_watch {
	struct list_node node; /* in hub.watches */
	struct loop *loop;
	struct deadline look;
	void (*changed)(void *arg);
	void *arg;
	size_t n;
	struct place place[FILE_WATCH_MAX];
};

/* The inotify descriptor of the process. */
static struct {
	struct loop *loop; /* NULL = closed */
	int fd;
	struct watch watch;
	struct list_node watches;
} hub;

/* ---- directories ---- */

static bool
is_watched(int wd)
{
	list_each(node, tmp, &hub.watches)
	{
		struct file_watch *w = list_entry(node, struct file_watch, node);
		size_t i;

		for (i = 0; i < w->n; i++)
			if (w->place[i].wd == wd)
				return true;
	}
	return false;
}

/* Watches of the same directory have the same descriptor. */
static void
unwatch(struct place *p)
{
	int wd = p->wd;

	p->wd = -1;
	if (wd != -1 && !is_watched(wd))
		inotify_rm_watch(hub.fd, wd);
}

/* The name may lead to another directory than it did, or to one at last. */
static void
watch_directory(struct file_watch *w, struct place *p)
{
	struct stat st;
	bool there = stat(p->dir, &st) == 0;

	if (w->loop != hub.loop)
		return;
	if (p->wd != -1 && (!there || st.st_dev != p->dev || st.st_ino != p->ino))
		unwatch(p);
	if (p->wd != -1 || !there)
		return;
	p->wd = inotify_add_watch(hub.fd, p->dir, INTERESTING);
	p->dev = st.st_dev;
	p->ino = st.st_ino;
}

/* ---- looking ---- */

/* Has anything moved since the last look? */
static bool
look(struct file_watch *w)
{
	struct local_file_mark now;
	bool moved = false;
	size_t i;

	for (i = 0; i < w->n; i++) {
		struct place *p = &w->place[i];

		watch_directory(w, p);
		local_file_mark(&now, AT_FDCWD, p->path);
		moved = moved || !local_file_mark_equal(&now, &p->seen);
		p->seen = now;
	}
	return moved;
}

static void
look_again(struct file_watch *w, uint64_t after_ms)
{
	loop_deadline(w->loop, &w->look, loop_now_ms(w->loop) + after_ms);
}

static void
on_look(struct deadline *d)
{
	struct file_watch *w = list_entry(d, struct file_watch, look);
	bool news = false;
	size_t i;

	if (look(w)) {
		look_again(w, FILE_WATCH_SETTLE_MS);
		return;
	}
	look_again(w, FILE_WATCH_POLL_MS);
	for (i = 0; i < w->n; i++) {
		news = news || !local_file_mark_equal(&w->place[i].seen, &w->place[i].told);
		w->place[i].told = w->place[i].seen;
	}
	if (news)
		w->changed(w->arg);
}

/* ---- events ---- */

static bool
concerns(const struct place *p, const struct inotify_event *e)
{
	if (e->mask & IN_Q_OVERFLOW)
		return true;
	if (e->wd != p->wd)
		return false;
	return e->len == 0 || strcmp(e->name, p->name) == 0 || strcmp(e->name, "..data") == 0;
}

static void
tell(struct file_watch *w, const struct inotify_event *e)
{
	bool ours = false;
	size_t i;

	for (i = 0; i < w->n; i++) {
		ours = ours || concerns(&w->place[i], e);
		/* the kernel has dropped it; a directory of that name is looked for from now on */
		if ((e->mask & IN_IGNORED) && e->wd == w->place[i].wd)
			w->place[i].wd = -1;
	}
	if (ours && look(w))
		look_again(w, FILE_WATCH_SETTLE_MS);
}

static void
take_events(const char *bytes, size_t len)
{
	size_t at = 0;

	while (at + sizeof(struct inotify_event) <= len) {
		const struct inotify_event *e = (const void *)(bytes + at);

		list_each(node, tmp, &hub.watches)
		{
			tell(list_entry(node, struct file_watch, node), e);
		}
		at += sizeof(*e) + e->len;
	}
}

static void
on_events(struct watch *watch, int events)
{
	_Alignas(struct inotify_event) char bytes[4096];
	int turn;

	(void)watch;
	(void)events;
	for (turn = 0; turn < READS_PER_TURN; turn++) {
		ssize_t n = read(hub.fd, bytes, sizeof(bytes));

		if (n <= 0)
			return;
		take_events(bytes, (size_t)n);
	}
}

/* ---- the hub ---- */

static void
hub_join(struct file_watch *w)
{
	if (hub.loop == NULL) {
		hub.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		if (hub.fd == -1) {
			log_warning("no inotify (%s): secret files are looked at every %d s",
			    strerror(errno), FILE_WATCH_POLL_MS / 1000);
			return;
		}
		hub.loop = w->loop;
		list_init(&hub.watches);
		watch_init(&hub.watch, on_events, hub.fd);
		watch_start(hub.loop, &hub.watch, WATCH_READ);
	}
	if (hub.loop == w->loop)
		list_push_back(&hub.watches, &w->node);
}

static void
hub_leave(struct file_watch *w)
{
	if (!list_linked(&w->node))
		return;
	list_del(&w->node);
	if (!list_empty(&hub.watches))
		return;
	watch_stop(hub.loop, &hub.watch);
	close(hub.fd);
	hub.loop = NULL;
}

/* ---- a watch ---- */

struct file_watch *
file_watch_open(struct loop *loop, const char *const paths[], size_t n, void (*changed)(void *arg),
    void *arg)
{
	struct file_watch *w = calloc(1, sizeof(*w));
	size_t i;

	if (w == NULL)
		return NULL;
	w->loop = loop;
	w->changed = changed;
	w->arg = arg;
	list_init(&w->node);
	deadline_init(&w->look, on_look);
	for (i = 0; i < n && i < FILE_WATCH_MAX; i++) {
		struct place *p = &w->place[w->n++];

		p->wd = -1;
		if (local_file_split(paths[i], &p->path, &p->dir, &p->name) == -1) {
			file_watch_close(w);
			return NULL;
		}
	}
	hub_join(w);
	look(w);
	for (i = 0; i < w->n; i++)
		w->place[i].told = w->place[i].seen;
	look_again(w, FILE_WATCH_POLL_MS);
	return w;
}

void
file_watch_close(struct file_watch *w)
{
	size_t i;

	if (w == NULL)
		return;
	loop_deadline_remove(w->loop, &w->look);
	for (i = 0; i < w->n; i++) {
		if (w->place[i].wd != -1)
			unwatch(&w->place[i]);
		free(w->place[i].path);
		free(w->place[i].dir);
	}
	hub_leave(w);
	free(w);
}
