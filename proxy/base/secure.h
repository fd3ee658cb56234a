/* secure.h -- memory for secrets: pages that are locked in RAM, left out of core files and, in the
 * child of a fork(), empty; between guard pages. Blocks share pages (size classes from 64 bytes, what
 * is above half a page takes whole pages), so a secret costs little more than its bytes. Everything
 * here may be called from any thread, and nothing of it in a forked child, except as said below.
 * Must not know what is kept in it. */
#ifndef PROXY_BASE_SECURE_H
#define PROXY_BASE_SECURE_H

#include <stdbool.h>
#include <stddef.h>

#define SECURE_MAX (256u * 1024) /* bytes of one block */

/* Zeroed, aligned like malloc(). NULL: no memory, or n is 0 or above SECURE_MAX. */
void *secure_alloc(size_t n);
/* Wipes the whole block, gives back a page when nothing is left in it. NULL is harmless; a block that
 * is not one, or is free already, fails an assertion. */
void secure_free(void *);
/* A copy with a NUL behind it; n may be 0. */
char *secure_dup(const void *bytes, size_t n);

/* False once the kernel refused to lock a page (RLIMIT_MEMLOCK) or to hide it from core files and
 * children: the pages are used all the same, so the caller warns, once. */
bool secure_locked(void);
/* Bytes of the pages in use; 0 when every block has been freed. */
size_t secure_bytes(void);

/* Around a fork() whose child goes on with the parent's work (a daemon), while no other thread runs:
 * secure_before_fork() lets the child have the bytes; secure_after_fork(), called on both sides, ends
 * that and locks the pages again, as locks are not inherited. Without the first the child's secrets
 * are zeros. */
void secure_before_fork(void);
void secure_after_fork(void);

#endif
