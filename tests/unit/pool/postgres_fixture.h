/* postgres_fixture.h -- a throw-away PostgreSQL for a test program: TCP on 127.0.0.1 with
 * scram-sha-256, TLS (self-signed certificate of "localhost", ca is the same file; role localhost
 * comes in by it), and a Unix socket in `dir` with trust. User postgres, password "p w'x".
 * Everything lives in `dir`. */
#ifndef TESTS_UNIT_POOL_POSTGRES_FIXTURE_H
#define TESTS_UNIT_POOL_POSTGRES_FIXTURE_H

#include <arpa/inet.h>
#include <glob.h>
#include <pwd.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#define POSTGRES_PASSWORD "p w'x"

struct postgres {
	char dir[64];
	char bin[128];
	char cert[96], key[96];
	int port;
	bool running;
};

extern char **environ;

/* Runs a program (as user postgres when we are root), its output in dir/log. True for exit code 0. */
static inline bool
postgres_run(const struct postgres *pg, const char *const *args)
{
	const char *argv[40] = { "setpriv", "--reuid", "postgres", "--regid", "postgres",
		"--clear-groups" };
	posix_spawn_file_actions_t files;
	int n = geteuid() == 0 ? 6 : 0, status = -1;
	char log[96];
	pid_t pid;

	for (int i = 0; args[i] != NULL; i++)
		argv[n++] = args[i];
	argv[n] = NULL;
	snprintf(log, sizeof(log), "%s/log", pg->dir);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&files, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0666);
	posix_spawn_file_actions_adddup2(&files, 1, 2);
	if (posix_spawnp(&pid, argv[0], &files, NULL, (char *const *)argv, environ) == 0)
		waitpid(pid, &status, 0);
	posix_spawn_file_actions_destroy(&files);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#define POSTGRES_RUN(pg, ...) postgres_run(pg, (const char *const[]){ __VA_ARGS__, NULL })

static inline int
postgres_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&a, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a, &len) == 0)
		port = ntohs(a.sin_port);
	close(fd);
	return port;
}

static inline bool
postgres_sql(const struct postgres *pg, const char *sql)
{
	char port[12];

	snprintf(port, sizeof(port), "%d", pg->port);
	return POSTGRES_RUN(pg, "psql", "-qXAt", "-h", pg->dir, "-p", port, "-U", "postgres", "-d",
	    "postgres", "-v", "ON_ERROR_STOP=1", "-c", sql);
}

static inline bool
postgres_write(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		return false;
	fputs(text, f);
	return fclose(f) == 0;
}

static inline bool
postgres_init(struct postgres *pg)
{
	char initdb[160], data[96], pw[96], hba[112];
	struct passwd *user = getpwnam("postgres");

	snprintf(pw, sizeof(pw), "%s/pw", pg->dir);
	if (!postgres_write(pw, POSTGRES_PASSWORD "\n"))
		return false;
	if (geteuid() == 0 && (user == NULL || chown(pg->dir, user->pw_uid, user->pw_gid) != 0 ||
				  chown(pw, user->pw_uid, user->pw_gid) != 0))
		return false;
	snprintf(initdb, sizeof(initdb), "%s/initdb", pg->bin);
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	snprintf(hba, sizeof(hba), "%s/pg_hba.conf", data);
	return POSTGRES_RUN(pg, initdb, "-D", data, "-U", "postgres", "--auth-local=trust",
		   "--auth-host=scram-sha-256", "--pwfile", pw, "--encoding=UTF8",
		   "--locale=C.UTF-8", "--no-sync") &&
	       POSTGRES_RUN(pg, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
		   "ec_paramgen_curve:P-256", "-nodes", "-keyout", pg->key, "-out", pg->cert,
		   "-days", "2", "-subj", "/CN=localhost", "-addext",
		   "subjectAltName=DNS:localhost") &&
	       chmod(pg->cert, 0644) == 0 &&
	       postgres_write(hba, "local all all trust\n"
				   "hostssl all localhost all cert\n"
				   "host all all all scram-sha-256\n");
}

/* False when there is no PostgreSQL here, or it does not start: tests are skipped then. */
static inline bool
postgres_start(struct postgres *pg)
{
	char ctl[160], data[96], options[640];
	glob_t found;

	memset(pg, 0, sizeof(*pg));
	if (glob("/usr/lib/postgresql/*/bin/pg_ctl", 0, NULL, &found) != 0)
		return false;
	snprintf(ctl, sizeof(ctl), "%s", found.gl_pathv[found.gl_pathc - 1]);
	globfree(&found);
	snprintf(pg->bin, sizeof(pg->bin), "%.*s", (int)(strrchr(ctl, '/') - ctl), ctl);
	snprintf(pg->dir, sizeof(pg->dir), "/tmp/pgsluice-pg.XXXXXX");
	if (mkdtemp(pg->dir) == NULL)
		return false;
	chmod(pg->dir, 0755);
	snprintf(pg->cert, sizeof(pg->cert), "%s/cert.pem", pg->dir);
	snprintf(pg->key, sizeof(pg->key), "%s/key.pem", pg->dir);
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	pg->port = postgres_free_port();
	snprintf(options, sizeof(options),
	    "-c port=%d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s -c fsync=off "
	    "-c max_connections=100 -c ssl=on -c ssl_cert_file=%s -c ssl_key_file=%s "
	    "-c ssl_ca_file=%s",
	    pg->port, pg->dir, pg->cert, pg->key, pg->cert);
	pg->running = postgres_init(pg) && POSTGRES_RUN(pg, ctl, "-D", data, "-w", "-s", "-l",
					       "/dev/null", "-o", options, "start");
	return pg->running;
}

static inline void
postgres_stop(struct postgres *pg)
{
	char ctl[160], data[96];

	if (pg->dir[0] == '\0')
		return;
	snprintf(ctl, sizeof(ctl), "%s/pg_ctl", pg->bin);
	snprintf(data, sizeof(data), "%s/data", pg->dir);
	if (pg->running)
		POSTGRES_RUN(pg, ctl, "-D", data, "-s", "-w", "-m", "immediate", "stop");
	POSTGRES_RUN(pg, "rm", "-rf", pg->dir);
	rmdir(pg->dir);
}

#endif
