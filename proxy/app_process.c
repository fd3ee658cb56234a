#include "proxy/app_process.h"

#include "proxy/app.h"
#include "proxy/base/log.h"
#include "proxy/base/secure.h"
#include "proxy/config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *
target_user(const struct app *a)
{
	return a->user != NULL ? a->user : a->cfg->user;
}

static void
raise_limits(const struct app *a)
{
	struct rlimit files, core = { 0, 0 };
	long need = (long)a->cfg->max_client_conn + 1000;

	/* a core would hold passwords */
	(void)setrlimit(RLIMIT_CORE, &core);
	if (getrlimit(RLIMIT_NOFILE, &files) == -1)
		return;
	files.rlim_cur = files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur != RLIM_INFINITY && (long)files.rlim_cur < need)
		log_warning(
		    "the limit on open files is %ld, max_client_conn=%d may need %ld: beyond it new "
		    "clients are dropped (raise LimitNOFILE)",
		    (long)files.rlim_cur, a->cfg->max_client_conn, need);
}

int
app_process_begin(struct app *a)
{
	const char *user = target_user(a);

	if (geteuid() == 0 && (user == NULL || strcmp(user, "root") == 0)) {
		log_line(LOG_LEVEL_FATAL,
		    "must not run as root: set user= in the configuration, or start it as "
		    "another user");
		return -1;
	}
	if (a->daemon && a->cfg->pidfile == NULL) {
		log_line(LOG_LEVEL_FATAL, "-d needs pidfile= in the configuration");
		return -1;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_limits(a);
	return 0;
}

static int
become_user(const struct app *a)
{
	const char *name = target_user(a);
	struct passwd *pw;

	if (name == NULL)
		return 0;
	pw = getpwnam(name);
	if (pw == NULL) {
		log_line(LOG_LEVEL_FATAL, "user \"%s\" is not known here", name);
		return -1;
	}
	if (pw->pw_uid == geteuid())
		return 0;
	if (initgroups(name, pw->pw_gid) == -1 || setgid(pw->pw_gid) == -1 ||
	    setuid(pw->pw_uid) == -1) {
		log_line(LOG_LEVEL_FATAL, "cannot become user \"%s\": %s", name, strerror(errno));
		return -1;
	}
	return 0;
}

static int
become_daemon(void)
{
	int fd;

	secure_before_fork();
	switch (fork()) {
	case -1:
		log_line(LOG_LEVEL_FATAL, "fork: %s", strerror(errno));
		return -1;
	case 0:
		secure_after_fork();
		break;
	default:
		_exit(0);
	}
	if (setsid() == -1)
		return -1;
	fd = open("/dev/null", O_RDWR);
	if (fd == -1)
		return -1;
	(void)dup2(fd, STDIN_FILENO);
	(void)dup2(fd, STDOUT_FILENO);
	(void)dup2(fd, STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
	return 0;
}

/* Is the process that an old pidfile names still there? */
static bool
is_alive(const char *path)
{
	FILE *f = fopen(path, "re");
	long pid = 0;
	bool read;

	if (f == NULL)
		return false;
	read = fscanf(f, "%ld", &pid) == 1;
	fclose(f);
	return read && pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
}

static int
write_pidfile(const struct app *a)
{
	const char *path = a->cfg->pidfile;
	int fd;

	if (path == NULL)
		return 0;
	if (is_alive(path)) {
		log_line(LOG_LEVEL_FATAL,
		    "pidfile %s names a running process: is pgsluice running already?", path);
		return -1;
	}
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd == -1 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
		log_line(LOG_LEVEL_FATAL, "cannot write pidfile %s: %s", path, strerror(errno));
		if (fd != -1)
			close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

int
app_process_settle(struct app *a)
{
	if (become_user(a) == -1)
		return -1;
	if (a->daemon && become_daemon() == -1)
		return -1;
	/* a fork leaves the event loop's descriptors to the parent too */
	if (a->daemon)
		for (int i = -1; i < a->n_workers; i++)
			ev_loop_fork(i == -1 ? a->main.loop.ev : a->workers[i].loop.ev);
	return write_pidfile(a);
}

static void
on_signal(struct ev_loop *ev, struct ev_signal *sig, int revents)
{
	struct app *a = sig->data;
	char err[512];

	(void)ev;
	(void)revents;
	switch (sig->signum) {
	case SIGHUP:
		log_info("got SIGHUP: reload");
		(void)app_reload(a, err, sizeof(err));
		break;
	case SIGTERM:
		app_shutdown(a, a->shutdown == APP_RUNNING ? APP_WAIT_CLIENTS : APP_NOW);
		break;
	case SIGINT:
		app_shutdown(a, a->shutdown == APP_RUNNING ? APP_WAIT_SERVERS : APP_NOW);
		break;
	case SIGQUIT:
		app_shutdown(a, APP_NOW);
		break;
	case SIGUSR1:
		log_info("got SIGUSR1: pause");
		(void)app_pause(a, NULL);
		break;
	case SIGUSR2:
		if (a->shutdown != APP_RUNNING) {
			log_info("got SIGUSR2 while shutting down: ignored");
			break;
		}
		log_info("got SIGUSR2: resume");
		(void)app_resume(a, NULL);
		break;
	default:
		break;
	}
}

void
app_process_signals(struct app *a)
{
	static const int numbers[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2 };
	static struct ev_signal signals[sizeof(numbers) / sizeof(numbers[0])];

	/* a parent may have left it ignored: then the exit status of exec's commands would be lost */
	signal(SIGCHLD, SIG_DFL);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		ev_signal_init(&signals[i], on_signal, numbers[i]);
		signals[i].data = a;
		ev_signal_start(a->main.loop.ev, &signals[i]);
	}
}

void
app_process_end(struct app *a)
{
	if (a->cfg->pidfile != NULL)
		(void)unlink(a->cfg->pidfile);
}
