#include "auth/peer.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ENTRY_FIRST 1024
#define ENTRY_MAX   (1u << 20) /* bytes of one passwd entry */

int
peer_uid(int fd, uid_t *uid)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct ucred who;

	/* TCP sockets answer SO_PEERCRED too, with nobody in it. */
	if (getsockname(fd, (struct sockaddr *)&name, &len) == -1)
		return -1;
	if (name.ss_family != AF_UNIX) {
		errno = ENOPROTOOPT;
		return -1;
	}
	len = sizeof(who);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == -1)
		return -1;
	/* The pid says nothing: it is 0 for a peer of another container. */
	if (len != sizeof(who) || who.uid == (uid_t)-1) {
		errno = EINVAL;
		return -1;
	}
	*uid = who.uid;
	return 0;
}

/* Puts the name of the entry into out; 0 or an errno. */
static int
look_up(uid_t uid, char *entry, size_t entry_size, char *out, size_t size)
{
	struct passwd pw, *found;
	size_t len;
	int rc = getpwuid_r(uid, &pw, entry, entry_size, &found);

	if (rc != 0)
		return rc == ERANGE ? EAGAIN : rc; /* ERANGE is for the name */
	if (found == NULL)
		return ENOENT;
	len = strlen(pw.pw_name);
	if (len == 0)
		return ENOENT;
	if (len >= size || len > PEER_NAME_MAX)
		return ERANGE;
	memcpy(out, pw.pw_name, len + 1);
	return 0;
}

int
peer_name(uid_t uid, char *out, size_t size)
{
	int rc = EAGAIN;

	for (size_t room = ENTRY_FIRST; rc == EAGAIN && room <= ENTRY_MAX; room *= 4) {
		char *entry = malloc(room);

		rc = entry != NULL ? look_up(uid, entry, room, out, size) : ENOMEM;
		free(entry);
	}
	errno = rc;
	return rc == 0 ? 0 : -1;
}

int
peer_user(int fd, char *out, size_t size)
{
	uid_t uid;

	return peer_uid(fd, &uid) == 0 ? peer_name(uid, out, size) : -1;
}
