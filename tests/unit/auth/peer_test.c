#include "auth/peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* goal: the peer of a Unix socket is who we are, by number and by name */
static void
test_ourselves(void **state)
{
	char name[PEER_NAME_MAX + 1] = "";
	const struct passwd *pw = getpwuid(geteuid());
	uid_t uid = (uid_t)-1;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(peer_uid(fd[0], &uid), 0);
	assert_int_equal(uid, geteuid());
	if (pw != NULL) {
		assert_int_equal(peer_user(fd[0], name, sizeof(name)), 0);
		assert_string_equal(name, pw->pw_name);
		assert_int_equal(peer_name(geteuid(), name, strlen(pw->pw_name)), -1);
		assert_int_equal(errno, ERANGE);
		assert_int_equal(peer_name(geteuid(), name, strlen(pw->pw_name) + 1), 0);
	}
	close(fd[0]);
	close(fd[1]);
}

/* goal: a peer of another user is seen as that user, whoever it becomes later */
static void
test_another(void **state)
{
	struct sockaddr_un {
		sa_family_t family;
		char path[108];
	} un = { .family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t);
	int listening = socket(AF_UNIX, SOCK_STREAM, 0), fd, status;
	char name[PEER_NAME_MAX + 1];
	uid_t uid = 0;
	pid_t child;

	(void)state;
	if (geteuid() != 0) {
		close(listening);
		skip();
	}
	assert_int_equal(bind(listening, (struct sockaddr *)&un, len),
	    0); /* the kernel finds a name */
	len = sizeof(un);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&un, &len), 0);
	assert_int_equal(listen(listening, 1), 0);
	child = fork();
	assert_int_not_equal(child, -1);
	if (child == 0) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		_exit(setresuid(4242, 4242, 0) == -1 ||
		      connect(fd, (struct sockaddr *)&un, len) == -1 || setresuid(0, 0, 0) == -1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	fd = accept(listening, NULL, NULL);
	assert_int_not_equal(fd, -1);
	assert_int_equal(peer_uid(fd, &uid), 0);
	assert_int_equal(uid, 4242);
	assert_int_equal(peer_user(fd, name, sizeof(name)), -1);
	assert_int_equal(errno, ENOENT);
	close(fd);
	close(listening);
}

/* goal: what is no connected Unix socket has no peer */
static void
test_none(void **state)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), alone = socket(AF_UNIX, SOCK_STREAM, 0);
	uid_t uid;

	(void)state;
	assert_int_equal(peer_uid(tcp, &uid), -1);
	assert_int_equal(errno, ENOPROTOOPT);
	assert_int_equal(peer_uid(alone, &uid), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(peer_uid(-1, &uid), -1);
	assert_int_equal(errno, EBADF);
	close(tcp);
	close(alone);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ourselves),
		cmocka_unit_test(test_another),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
