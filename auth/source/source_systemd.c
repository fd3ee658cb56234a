/* source_systemd.c -- provider=systemd: secret_id= names a credential of the service (LoadCredential=,
 * LoadCredentialEncrypted= or SetCredential= of the unit), which systemd keeps as a file under
 * $CREDENTIALS_DIRECTORY. It does not change while the service runs, so nothing is watched; each
 * fetch reads it all the same, for the systemds that refresh credentials at a reload. */
#include "auth/source/local_file.h"
#include "auth/source/local_source.h"
#include "proxy/config/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_LEN_MAX 255

struct source {
	struct local_source local; /* first member */
	char *path;
	unsigned doubts;
};

static void
work(struct local_source *local)
{
	struct source *s = (struct source *)local;
	struct local_file f;
	enum secret_error e;
	char err[512];

	e = local_file_read(&f, AT_FDCWD, s->path, s->path, err, sizeof(err));
	if (e != SECRET_OK) {
		local_source_fail(local, e, "%s", err);
		return;
	}
	local_file_warn(&f, s->path, &s->doubts);
	local_source_answer(local, s->path, f.text, f.len, NULL);
	local_file_free(&f);
}

static int
check(const char *id, const char *dir, char *err, size_t errlen)
{
	if (id == NULL || id[0] == '\0')
		snprintf(err, errlen,
		    "provider=systemd needs secret_id=, the name of a credential");
	else if (strchr(id, '/') != NULL || strcmp(id, ".") == 0 || strcmp(id, "..") == 0 ||
		 strlen(id) > NAME_LEN_MAX)
		snprintf(err, errlen,
		    "secret_id=%.64s: the name of a credential is expected, without slashes", id);
	else if (dir == NULL || dir[0] != '/')
		snprintf(err, errlen,
		    "provider=systemd: CREDENTIALS_DIRECTORY is not set; is "
		    "there a LoadCredential= in the unit?");
	else
		return 0;
	return -1;
}

static struct secret_source *
source_new(const struct config_secret *cfg, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	static const char *const taken[] = { "secret_id", NULL };
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	struct source *s;

	if (check(cfg->secret_id, dir, err, errlen) == -1)
		return NULL;
	s = local_source_new(sizeof(*s), &source_systemd, taken, cfg, env, work, err, errlen);
	if (s == NULL)
		return NULL;
	if (asprintf(&s->path, "%s/%s", dir, cfg->secret_id) == -1) {
		snprintf(err, errlen, "out of memory");
		local_source_destroy(&s->local);
		free(s);
		return NULL;
	}
	return &s->local.base;
}

static void
source_free(struct secret_source *base)
{
	struct source *s = (struct source *)base;

	local_source_destroy(&s->local);
	free(s->path);
	free(s);
}

const struct secret_source_ops source_systemd = {
	.name = "systemd",
	.open = source_new,
	.fetch = local_source_fetch,
	.close = source_free,
};
