/* peer.h -- who sits at the other end of a Unix socket, by the kernel's word.
 * The user id is that of the moment of connect(2), as our user namespace sees it: strangers to it all
 * look like its overflow user (nobody), whom no rule should trust. Its name comes from the system's user database:
 * peer_name() may wait for a name service (LDAP, sssd), so a loop that must not wait asks a helper
 * thread. Any thread may ask. Must not know protocols or rules. */
#ifndef AUTH_PEER_H
#define AUTH_PEER_H

#include <stddef.h>
#include <sys/types.h>

#define PEER_NAME_MAX 255 /* longer names are refused, not cut: a part could be another's */

/* 0, or -1 with errno (ENOPROTOOPT or the like: not a Unix socket; EINVAL: never connected). */
int peer_uid(int fd, uid_t *uid);
/* Its name, NUL-terminated. 0, or -1 with errno: ENOENT = no such user, ERANGE = name too long. */
int peer_name(uid_t uid, char *out, size_t size);
/* Both in one. */
int peer_user(int fd, char *out, size_t size);

#endif
