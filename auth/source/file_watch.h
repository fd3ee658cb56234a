/* file_watch.h -- notices that files under given names have changed: by inotify on their DIRECTORIES
 * (a file that is replaced takes its own watch with it; Kubernetes exchanges a symbolic link named
 * ..data) and by looking every FILE_WATCH_POLL_MS (links into other folders, network file systems, no
 * inotify left). A change is told once the files have been the same for FILE_WATCH_SETTLE_MS.
 * All watches share one inotify descriptor: the kernel grants a user few of them. So they all belong
 * to one loop at a time; those of another loop look only. Must not know what is in the files. */
#ifndef AUTH_SOURCE_FILE_WATCH_H
#define AUTH_SOURCE_FILE_WATCH_H

#include <stddef.h>

#define FILE_WATCH_MAX	     2 /* files of one watch */
#define FILE_WATCH_SETTLE_MS 200
#define FILE_WATCH_POLL_MS   10000

struct file_watch;
struct loop;

/* What the files are now is the state that changes count from: watch first, then read.
 * changed(arg) comes from the loop and may close the watch. Files and directories need not exist.
 * NULL = no memory. */
struct file_watch *file_watch_open(struct loop *, const char *const paths[], size_t n,
    void (*changed)(void *arg), void *arg);
void file_watch_close(struct file_watch *);

#endif
