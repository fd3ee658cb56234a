/* Part of aws_exchange.h: a profile's credential_process, run without a shell. */
#include "auth/source/aws_exchange.h"

#include "auth/source/child.h"
#include "auth/source/command_line.h"
#include "auth/source/source_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 10000
#define ENV_MAX	   128

/* What AWS's tools need, but no secrets: children's environments can be read in /proc. */
static bool
passes(const char *entry)
{
	static const char *const wanted[] = { "PATH=", "HOME=", "USER=", "LOGNAME=", "LANG=", "LC_",
		"TZ=", "TMPDIR=", "AWS_", "SSL_CERT_",
		"https_proxy=", "HTTPS_PROXY=", "no_proxy=", "NO_PROXY=" };
	static const char *const secret[] = { "AWS_SECRET_ACCESS_KEY=", "AWS_SESSION_TOKEN=",
		"AWS_SECURITY_TOKEN=", "AWS_CONTAINER_AUTHORIZATION_TOKEN=" };

	for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
		if (strncmp(entry, secret[i], strlen(secret[i])) == 0)
			return false;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (strncmp(entry, wanted[i], strlen(wanted[i])) == 0)
			return true;
	return false;
}

/* Its stderr is not quoted: programs that deal with keys are known to print them when they fail. */
static void
on_ended(void *arg, const struct child_result *r)
{
	struct aws_exchange *x = arg;
	struct source_json doc = { .tape = NULL };
	char err[160];

	x->child = NULL;
	if (r->end != CHILD_EXITED || r->code != 0) {
		static const char *const how[] = {
			[CHILD_EXITED] = "ended with status",
			[CHILD_SIGNALLED] = "was killed by signal",
			[CHILD_TIMED_OUT] = "took too long",
			[CHILD_TOO_MUCH] = "printed too much",
			[CHILD_LOST] = "ended, nobody knows how",
		};

		aws_exchange_fail(x, SECRET_TRANSIENT, 0, "credential_process of %s %s %d",
		    x->plan->where, how[r->end], r->code);
		return;
	}
	if (source_json_read(&doc, r->out, r->out_len) == 0 &&
	    source_json_number(&doc, 0, "Version") != 1)
		aws_exchange_fail(x, SECRET_DENIED, 0,
		    "credential_process of %s: its Version is not 1", x->plan->where);
	else if (aws_keys_read(&x->keys, r->out, r->out_len, "SessionToken", err, sizeof(err)) ==
		 -1)
		aws_exchange_fail(x, SECRET_DENIED, 0, "credential_process of %s: %s",
		    x->plan->where, err);
	else
		aws_exchange_succeed(x);
	source_json_release(&doc);
}

static void
send(struct aws_exchange *x)
{
	char err[160], **argv = command_line_split(x->plan->command, err, sizeof(err));
	char *envp[ENV_MAX + 1];
	size_t n = 0;

	for (size_t i = 0; environ[i] != NULL && n < ENV_MAX; i++)
		if (passes(environ[i]))
			envp[n++] = environ[i];
	envp[n] = NULL;
	if (argv != NULL)
		x->child = child_start(x->env->loop, argv, envp, TIMEOUT_MS, on_ended, x, err,
		    sizeof(err));
	if (x->child == NULL)
		aws_exchange_fail(x, SECRET_DENIED, 0, "credential_process of %s: %s",
		    x->plan->where, err);
	free(argv);
}

void
aws_process_keys(struct aws_exchange *x, const struct aws_plan *p)
{
	x->plan = p;
	aws_exchange_step(x, send, 1);
}
