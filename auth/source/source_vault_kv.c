/* A secret in a KV engine, version 2. The engine numbers versions and keeps old ones: the current
 * one is read without a number, the previous one is the number before the one we gave last. */
#include "auth/source/secret_source.h"

#include "auth/source/source_entry.h"
#include "auth/source/vault_call.h"
#include "proxy/base/loop.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kv {
	struct secret_source base;
	struct secret_source_env env;
	struct source_form form;
	struct vault_login *login;
	char *path;	/* "MOUNT/data/PATH", encoded */
	int64_t number; /* of the version given last as the current one, 0 = none yet */
	struct vault_call *call;
	struct deadline later; /* answers without asking */
	struct secret_answer early;
	enum secret_stage stage;
	secret_fetched *done;
	void *arg;
};

static void
answer(struct kv *k, const struct secret_answer *a)
{
	secret_fetched *done = k->done;

	k->done = NULL;
	done(k->arg, a);
}

static void
answer_later(struct kv *k, enum secret_error error, const char *message)
{
	k->early = (struct secret_answer){ .error = error, .message = message };
	loop_deadline(k->env.loop, &k->later, loop_now_ms(k->env.loop));
}

static void
on_later(struct deadline *d)
{
	struct kv *k = list_entry(d, struct kv, later);

	answer(k, &k->early);
}

/* A deleted version is answered with 404 and its metadata. */
static const char *
why_gone(const struct source_json *doc, size_t metadata)
{
	char when[64];

	if (metadata == JSON_NONE)
		return NULL;
	if (json_is(&doc->json, json_member(&doc->json, metadata, "destroyed"), JSON_TRUE))
		return "the version is destroyed";
	if (source_json_text(doc, metadata, "deletion_time", when, sizeof(when)) != 0)
		return "the version is deleted";
	return NULL;
}

static void
read_version(struct kv *k, const struct vault_reply *r)
{
	const struct source_json *doc = &r->doc;
	size_t data = SOURCE_JSON_AT(doc, "data", "data");
	size_t metadata = SOURCE_JSON_AT(doc, "data", "metadata");
	int64_t number = source_json_number(doc, metadata, "version");
	struct secret_answer a = { .error = SECRET_BAD_VALUE };
	struct secret_value value;
	char err[128], version[24], when[64];

	memset(&value, 0, sizeof(value));
	if (!json_is(&doc->json, data, JSON_OBJECT) || number < 1)
		a.message = "no KV engine of version 2 answers at this mount and path";
	else if (source_form_read(&k->form, &value, doc->json.text + doc->json.tok[data].at,
		     doc->json.tok[data].len, err, sizeof(err)) == -1)
		a.message = err;
	else {
		snprintf(version, sizeof(version), "%lld", (long long)number);
		a = (struct secret_answer){ .value = &value, .version = version };
		/* in the future: the engine's delete_version_after */
		a.deleted = source_json_text(doc, metadata, "deletion_time", when, sizeof(when)) !=
			    0;
		if (k->stage == SECRET_CURRENT)
			k->number = number;
	}
	answer(k, &a);
	secret_value_wipe(&value);
}

static void
on_reply(void *arg, const struct vault_reply *r)
{
	struct kv *k = arg;
	struct secret_answer a = { .error = r->error,
		.message = r->message,
		.retry_after_ms = r->retry_after_ms };
	const char *gone;

	k->call = NULL;
	if (r->error == SECRET_OK) {
		read_version(k, r);
		return;
	}
	gone = why_gone(&r->doc, SOURCE_JSON_AT(&r->doc, "data", "metadata"));
	if (gone != NULL)
		a.message = gone;
	else if (r->status == 404)
		a.message = "there is no secret at this mount and path (or no such namespace)";
	answer(k, &a);
}

static void
kv_fetch(struct secret_source *s, enum secret_stage stage, secret_fetched *done, void *arg)
{
	struct kv *k = (struct kv *)s;
	char path[4096];
	int n = 0;

	k->done = done;
	k->arg = arg;
	k->stage = stage;
	if (stage == SECRET_PENDING) {
		answer_later(k, SECRET_NOT_SERVED, "KV has no pending versions");
		return;
	}
	if (stage == SECRET_PREVIOUS && k->number < 2) {
		answer_later(k, SECRET_GONE, "there is no earlier version");
		return;
	}
	if (stage == SECRET_PREVIOUS)
		n = snprintf(path, sizeof(path), "%s?version=%lld", k->path,
		    (long long)k->number - 1);
	else
		n = snprintf(path, sizeof(path), "%s", k->path);
	if (n < (int)sizeof(path))
		k->call = vault_call(k->login, "GET", path, NULL, on_reply, k);
	if (k->call == NULL)
		answer_later(k, SECRET_TRANSIENT, "out of memory");
}

static void
kv_close(struct secret_source *s)
{
	struct kv *k = (struct kv *)s;

	vault_call_cancel(k->call);
	loop_deadline_remove(k->env.loop, &k->later);
	vault_login_release(k->login);
	source_form_release(&k->form);
	free(k->path);
	free(k);
}

/* "MOUNT/data/PATH" of the entry. */
static char *
kv_path(const struct config_secret *c, char *err, size_t errlen)
{
	char *mount, *path = NULL, *out = NULL;

	if (c->path == NULL) {
		snprintf(err, errlen, "path: missing, where the secret is below its mount");
		return NULL;
	}
	mount = vault_server_path("mount", c->mount == NULL ? "secret" : c->mount, err, errlen);
	if (mount != NULL)
		path = vault_server_path("path", c->path, err, errlen);
	if (path != NULL && asprintf(&out, "%s/data/%s", mount, path) == -1) {
		out = NULL;
		snprintf(err, errlen, "out of memory");
	}
	free(mount);
	free(path);
	return out;
}

static struct secret_source *
kv_open(const struct config_secret *c, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	static const char *const taken[] = { "mount", "path", VAULT_LOGIN_KEYS, "format", NULL };
	struct kv *k;

	if (source_entry_check(c, taken, err, errlen) == -1)
		return NULL;
	if (c->format != NULL && strcmp(c->format, "plain") == 0) {
		snprintf(err, errlen, "format=plain: a KV secret is JSON");
		return NULL;
	}
	k = calloc(1, sizeof(*k));
	if (k == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	k->base.ops = &source_vault_kv;
	k->env = *env;
	deadline_init(&k->later, on_later);
	if (source_form_init(&k->form, c, err, errlen) == -1)
		goto fail;
	k->path = kv_path(c, err, errlen);
	if (k->path == NULL)
		goto fail_form;
	k->login = vault_login_open(c, env, err, errlen);
	if (k->login == NULL)
		goto fail_path;
	return &k->base;
fail_path:
	free(k->path);
fail_form:
	source_form_release(&k->form);
fail:
	free(k);
	return NULL;
}

const struct secret_source_ops source_vault_kv = {
	.name = "vault-kv",
	.open = kv_open,
	.fetch = kv_fetch,
	.close = kv_close,
};
