/* source_exec.c -- provider=exec: command= is run, and what it prints on stdout is the secret: JSON as
 * for the other providers or as credential_process of the AWS programs (Username, Password,
 * Expiration, VersionId), or the password alone. A value with an Expiration is fetched anew after
 * four fifths of its time.
 *
 * The command is split into words without a shell (command_line.h says how); the first one is a path,
 * or a name that is looked for in our PATH. It runs in our working directory, its environment has
 * these of our variables and no others:
 *   PATH HOME USER LOGNAME LANG LC_ALL TZ TMPDIR SSL_CERT_FILE SSL_CERT_DIR CREDENTIALS_DIRECTORY
 *   KUBECONFIG HTTP_PROXY HTTPS_PROXY NO_PROXY (also in small letters)
 *   and all that begin with AWS_, AZURE_, CLOUDSDK_, GOOGLE_, IDENTITY_ or VAULT_.
 * One run at a time. Anything but exit status 0 is a transient failure. The first words on stderr
 * are shown then, unless the command has also printed on stdout: they might repeat the secret. */
#include "auth/source/child.h"
#include "auth/source/command_line.h"
#include "auth/source/local_source.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAYING_MAX 200 /* characters of stderr in a message */

extern char **environ;

struct source {
	struct local_source local; /* first member */
	char **argv;
	int64_t timeout_ms;
	struct child *child; /* of the fetch under way */
};

/* ---- the environment ---- */

static const char *const passed_on[] = { "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ",
	"TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "CREDENTIALS_DIRECTORY", "KUBECONFIG",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy" };
static const char *const passed_on_prefix[] = { "AWS_", "AZURE_", "CLOUDSDK_", "GOOGLE_",
	"IDENTITY_", "VAULT_" };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static bool
is_passed_on(const char *variable)
{
	size_t len = strcspn(variable, "=");
	size_t i;

	for (i = 0; i < LENGTH(passed_on); i++)
		if (strlen(passed_on[i]) == len && strncmp(variable, passed_on[i], len) == 0)
			return true;
	for (i = 0; i < LENGTH(passed_on_prefix); i++)
		if (strncmp(variable, passed_on_prefix[i], strlen(passed_on_prefix[i])) == 0)
			return true;
	return false;
}

/* Points into our own environment. */
static char **
child_environment(void)
{
	size_t n = 0, i;
	char **envp;

	while (environ[n] != NULL)
		n++;
	envp = malloc((n + 1) * sizeof(*envp));
	if (envp == NULL)
		return NULL;
	for (i = n = 0; environ[i] != NULL; i++)
		if (is_passed_on(environ[i]))
			envp[n++] = environ[i];
	envp[n] = NULL;
	return envp;
}

/* ---- the end of a run ---- */

/* The beginning of what it said, on one line, as printable ASCII. */
static void
quote_saying(const struct child_result *r, char out[SAYING_MAX + 3])
{
	size_t i, n = 2;

	out[0] = '\0';
	if (r->out_len > 0)
		return;
	for (i = 0; i < r->err_len && n < SAYING_MAX + 2; i++) {
		char c = r->err[i];
		bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';

		if (blank && (n == 2 || out[n - 1] == ' '))
			continue;
		out[n++] = blank ? ' ' : (c > ' ' && c < 0x7f ? c : '?');
	}
	while (n > 2 && out[n - 1] == ' ')
		n--;
	if (n == 2)
		return;
	out[0] = ':';
	out[1] = ' ';
	out[n] = '\0';
}

static void
on_ended(void *arg, const struct child_result *r)
{
	struct source *s = arg;
	const char *program = s->argv[0];
	char saying[SAYING_MAX + 3];

	s->child = NULL;
	quote_saying(r, saying);
	switch (r->end) {
	case CHILD_EXITED:
		if (r->code == 0)
			local_source_answer(&s->local, program, r->out, r->out_len, NULL);
		else
			local_source_fail(&s->local, SECRET_TRANSIENT,
			    "%.200s exited with status %d%s", program, r->code, saying);
		break;
	case CHILD_SIGNALLED:
		local_source_fail(&s->local, SECRET_TRANSIENT, "%.200s was ended by signal %d%s",
		    program, r->code, saying);
		break;
	case CHILD_TIMED_OUT:
		local_source_fail(&s->local, SECRET_TRANSIENT,
		    "%.200s did not end within %lld ms and was killed%s", program,
		    (long long)s->timeout_ms, saying);
		break;
	case CHILD_TOO_MUCH:
		local_source_fail(&s->local, SECRET_BAD_VALUE,
		    "%.200s printed more than %d bytes and was killed", program, CHILD_OUT_MAX);
		break;
	case CHILD_LOST:
		local_source_fail(&s->local, SECRET_TRANSIENT,
		    "%.200s ended, its exit status is unknown", program);
		break;
	}
}

/* ---- the source ---- */

static void
work(struct local_source *local)
{
	struct source *s = (struct source *)local;
	char **envp = child_environment();
	char err[512] = "out of memory";

	if (envp != NULL)
		s->child = child_start(local->loop, s->argv, envp, s->timeout_ms, on_ended, s, err,
		    sizeof(err));
	free(envp);
	if (s->child == NULL)
		local_source_fail(local, SECRET_TRANSIENT, "%s", err);
}

static void
source_free(struct secret_source *base)
{
	struct source *s = (struct source *)base;

	child_abandon(s->child);
	local_source_destroy(&s->local);
	free(s->argv);
	free(s);
}

static struct secret_source *
source_new(const struct config_secret *cfg, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	static const char *const taken[] = { "command", NULL };
	struct source *s;
	char why[128];

	if (cfg->command == NULL || cfg->command[0] == '\0') {
		snprintf(err, errlen, "provider=exec needs command=, a program and its arguments");
		return NULL;
	}
	if (cfg->timeout <= 0) {
		snprintf(err, errlen, "timeout=0: provider=exec needs a limit");
		return NULL;
	}
	s = local_source_new(sizeof(*s), &source_exec, taken, cfg, env, work, err, errlen);
	if (s == NULL)
		return NULL;
	s->timeout_ms = cfg->timeout;
	s->argv = command_line_split(cfg->command, why, sizeof(why));
	if (s->argv == NULL) {
		snprintf(err, errlen, "command: %s", why);
		source_free(&s->local.base);
		return NULL;
	}
	return &s->local.base;
}

const struct secret_source_ops source_exec = {
	.name = "exec",
	.open = source_new,
	.fetch = local_source_fetch,
	.close = source_free,
};
