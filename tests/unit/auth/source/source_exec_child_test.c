/* goal: a command gets what is documented and nothing else, and neither it nor its end disturbs
 * anything else in the process. */
#include "tests/unit/auth/source/exec_fixture.h"

#include <signal.h>

/* ---- what it is given ---- */

/* goal: the child has descriptors 0 to 2 only, nothing on stdin, default signals, its own group */
static void
test_clean_child(void **state)
{
	int fd = open("/dev/null", O_RDONLY); /* without CLOEXEC, on purpose */
	int high = fcntl(fd, F_DUPFD, 200);
	sigset_t term, was;

	(void)state;
	assert_prints("sh -c 'ls -m /proc/$$/fd; :'", "0, 1, 2");
	close(fd);
	close(high);
	assert_prints("sh -c 'cat; readlink /proc/self/fd/0 | tr -d \"\\n\"'", "/dev/null");
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &was);
	/* glibc leaves 32 and 33, its own, ignored */
	assert_prints("sh -c 'grep -hE \"Sig(Ign|Blk)\" /proc/$$/status | cut -c 18- | tr -d "
		      "\"\\n\"'",
	    "00000000000000");
	sigprocmask(SIG_SETMASK, &was, NULL);
	signal(SIGPIPE, SIG_DFL);
	assert_prints("sh -c '[ $(cut -d\" \" -f5 </proc/$$/stat) = $$ ] && echo own'", "own");
}

/* goal: the environment has what is documented and nothing else */
static void
test_environment(void **state)
{
	(void)state;
	clearenv();
	setenv("PATH", "/usr/bin:/bin", 1);
	setenv("PGPASSWORD", "hush", 1);
	setenv("DB_SECRET", "hush", 1);
	setenv("AWS_REGION", "eu-west-1", 1);
	setenv("VAULT_ADDR", "http://v", 1);
	setenv("PATHOLOGICAL", "hush", 1);
	setenv("HOME", "/tmp", 1);
	setenv("TZ", "UTC", 1);
	assert_prints("sh -c 'env | grep hush; env | grep -E \"^(AWS|VAULT|HOME|TZ)\" | sort | tr "
		      "\"\\n\" \" \"'",
	    "AWS_REGION=eu-west-1 HOME=/tmp TZ=UTC VAULT_ADDR=http://v ");
}

/* ---- many ---- */

static struct {
	struct secret_source *source;
	int left;
} chain;

static void
on_link(void *arg, const struct secret_answer *a)
{
	(void)arg;
	assert_int_equal(a->error, SECRET_OK);
	if (--chain.left > 0)
		chain.source->ops->fetch(chain.source, SECRET_CURRENT, on_link, NULL);
	else
		stop();
}

/* goal: the next run may begin in the answer to the last; none leaves a descriptor or a process */
static void
test_many(void **state)
{
	struct config_secret c = entry("echo pw");
	int before = count_descriptors();

	(void)state;
	chain.source = open_source(&source_exec, &c);
	chain.left = 50;
	run_for(0);
	chain.source->ops->fetch(chain.source, SECRET_CURRENT, on_link, NULL);
	run_for(PATIENCE_MS);
	assert_int_equal(chain.left, 0);
	chain.source->ops->close(chain.source);
	assert_int_equal(count_descriptors(), before);
	assert_no_children();
}

/* goal: close() in the middle of a run kills it, says nothing, and leaves nothing */
static void
test_close(void **state)
{
	struct config_secret c;
	struct fetched f = { 0 };
	int before = count_descriptors();
	struct secret_source *s;
	char command[256];

	(void)state;
	snprintf(command, sizeof(command), "sh -c 'echo $$ >%s; sleep 1000'", in_folder("closed"));
	c = entry(command);
	s = open_source(&source_exec, &c);
	s->ops->fetch(s, SECRET_CURRENT, on_fetched, &f);
	run_for(300);
	assert_false(is_gone(read_pid("closed")));
	s->ops->close(s);
	run_for(50);
	assert_int_equal(f.n, 0);
	assert_true(is_gone(read_pid("closed")));
	assert_int_equal(count_descriptors(), before);
	assert_no_children();
}

/* goal: children of other code keep their exit status */
static void
test_other_children(void **state)
{
	pid_t pid = fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(42);
	assert_prints("echo pw", "pw");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 42);
}

/* goal: with SIGCHLD ignored nobody hangs */
static void
test_ignored_sigchld(void **state)
{
	struct fetched f;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	f = run("echo pw");
	signal(SIGCHLD, SIG_DFL);
	assert_failed(&f, SECRET_TRANSIENT, "status is unknown");
}

/* goal: a process with its standard descriptors closed can still run commands */
static void
test_no_standard_descriptors(void **state)
{
	int in = fcntl(0, F_DUPFD_CLOEXEC, 100), out = fcntl(1, F_DUPFD_CLOEXEC, 100);
	int err = fcntl(2, F_DUPFD_CLOEXEC, 100);
	struct fetched f;

	(void)state;
	close(0);
	close(1);
	close(2);
	f = run("sh -c 'echo oops >&2; echo pw'");
	if (in != -1)
		dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	close(in);
	close(out);
	close(err);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.password, "pw");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_child),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_other_children),
		cmocka_unit_test(test_ignored_sigchld),
		cmocka_unit_test(test_no_standard_descriptors),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
