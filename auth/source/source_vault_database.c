/* Users of the database engine. Dynamic: every read makes a new user with a lease that is renewed and
 * given back. Static: one user whose password the engine changes; it says how long until then. */
#include "auth/source/secret_source.h"

#include "auth/source/source_entry.h"
#include "auth/source/vault_call.h"
#include "proxy/base/buf.h"
#include "proxy/base/hmap.h"
#include "proxy/base/log.h"
#include "proxy/base/loop.h"
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_MAX 1024
#define TTL_MAX_S (INT64_C(1) << 40)

struct db;

/* A fetch or a renewal under way. */
struct job {
	struct list_node node; /* in jobs of its source */
	struct db *db;
	struct vault_call *call;
	struct deadline later; /* answers without asking */
	struct secret_answer early;
	secret_fetched *done;
	void *arg;
	bool is_fetch, is_spare;
};

struct db {
	struct secret_source base;
	struct secret_source_env env;
	struct vault_login *login;
	char *path; /* "MOUNT/creds/ROLE" or "MOUNT/static-creds/ROLE", encoded */
	bool is_static;
	int64_t lease_s; /* what leases are given for: what a renewal asks for */
	struct list_node jobs;
	struct job spare; /* when there is no memory, somebody must still be told */
	struct vault_watch watch;
	void (*changed)(void *arg);
	void *changed_arg;
};

/* ---- jobs ---- */

static void
job_end(struct job *j, const struct secret_answer *a)
{
	secret_fetched *done = j->done;
	void *arg = j->arg;

	list_del(&j->node);
	loop_deadline_remove(j->db->env.loop, &j->later);
	if (!j->is_spare)
		free(j);
	done(arg, a);
}

static void
on_later(struct deadline *d)
{
	struct job *j = list_entry(d, struct job, later);
	struct secret_answer a = j->early;

	job_end(j, &a);
}

static void
answer_later(struct job *j, enum secret_error error, const char *message)
{
	j->early = (struct secret_answer){ .error = error, .message = message };
	loop_deadline(j->db->env.loop, &j->later, loop_now_ms(j->db->env.loop));
}

/* Never NULL: the spare one answers within a tick, so it is free again by the next call. */
static struct job *
job_new(struct db *db, bool is_fetch, secret_fetched *done, void *arg)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL) {
		j = &db->spare;
		list_del(&j->node);
		j->is_spare = true;
	}
	j->db = db;
	j->call = NULL;
	j->done = done;
	j->arg = arg;
	j->is_fetch = is_fetch;
	list_init(&j->node);
	deadline_init(&j->later, on_later);
	list_push_back(&db->jobs, &j->node);
	return j;
}

static void
job_send(struct job *j, const char *method, const char *path, const char *body, vault_replied *done)
{
	if (!j->is_spare)
		j->call = vault_call(j->db->login, method, path, body, done, j);
	if (j->call == NULL)
		answer_later(j, SECRET_TRANSIENT, "out of memory");
}

static void
job_refuse(struct job *j, const struct vault_reply *r)
{
	struct secret_answer a = { .error = r->error,
		.message = r->message,
		.retry_after_ms = r->retry_after_ms };

	if (r->status == 404)
		a.message = "there is no such database engine or role (or no such namespace)";
	job_end(j, &a);
}

/* ---- reading ---- */

/* Reads lease_id and lease_duration; false: there is none, and a->message says so. */
static bool
read_lease(struct db *db, const struct source_json *doc, char lease[LEASE_MAX + 1],
    struct secret_answer *a)
{
	int64_t ttl_s = source_json_number(doc, 0, "lease_duration");

	if (source_json_text(doc, 0, "lease_id", lease, LEASE_MAX + 1) == 0 || ttl_s < 0 ||
	    ttl_s > TTL_MAX_S) {
		a->error = SECRET_BAD_VALUE;
		a->message = "Vault's answer has no lease: is this role dynamic?";
		return false;
	}
	a->lease = lease;
	a->renewable = json_is(&doc->json, json_member(&doc->json, 0, "renewable"), JSON_TRUE);
	if (ttl_s != 0)
		a->expires_unix_ms = vault_login_leased(db->login,
		    db->env.unix_ms() + ttl_s * 1000);
	return true;
}

/* The random part at the end of a lease's id: the whole may be longer than what is kept of versions. */
static const char *
version_of(const char *lease)
{
	const char *slash = strrchr(lease, '/');

	return slash == NULL || slash[1] == '\0' ? lease : slash + 1;
}

/* The time of the last rotation tells versions apart; without it, the password does. */
static bool
read_static(struct db *db, const struct source_json *doc, const struct secret_value *v,
    char version[LEASE_MAX + 1], struct secret_answer *a)
{
	size_t data = SOURCE_JSON_AT(doc, "data");
	int64_t ttl_s = source_json_number(doc, data, "ttl");

	if (ttl_s < 0 || ttl_s > TTL_MAX_S) {
		a->error = SECRET_BAD_VALUE;
		a->message = "Vault's answer has no ttl: is this role static?";
		return false;
	}
	if (source_json_text(doc, data, "last_vault_rotation", version, 128) == 0 &&
	    source_json_text(doc, data, "last_openbao_rotation", version, 128) == 0)
		snprintf(version, LEASE_MAX + 1, "%016llx",
		    (unsigned long long)hmap_hash(v->password, v->password_len));
	a->refresh_unix_ms = db->env.unix_ms() + ttl_s * 1000 + 1000;
	return true;
}

static void db_revoke(struct secret_source *, const char *lease);

static void
on_fetched(void *arg, const struct vault_reply *r)
{
	static const struct secret_names names;
	struct job *j = arg;
	struct db *db = j->db;
	const struct source_json *doc = &r->doc;
	size_t data = SOURCE_JSON_AT(doc, "data");
	struct secret_answer a = { .error = SECRET_OK };
	struct secret_value value;
	char err[128], version[LEASE_MAX + 1];

	j->call = NULL;
	if (r->error != SECRET_OK) {
		job_refuse(j, r);
		return;
	}
	memset(&value, 0, sizeof(value));
	if (!json_is(&doc->json, data, JSON_OBJECT)) {
		a.error = SECRET_BAD_VALUE;
		a.message = "Vault's answer has no data";
	} else if (secret_value_parse(&value, doc->json.text + doc->json.tok[data].at,
		       doc->json.tok[data].len, &names, false, err, sizeof(err)) == -1) {
		a.error = SECRET_BAD_VALUE;
		a.message = err;
	} else if (db->is_static ? read_static(db, doc, &value, version, &a)
				 : read_lease(db, doc, version, &a)) {
		a.value = &value;
		a.version = db->is_static ? version : version_of(version);
		if (!db->is_static)
			db->lease_s = source_json_number(doc, 0, "lease_duration");
	}
	if (a.error == SECRET_BAD_VALUE && !db->is_static &&
	    source_json_text(doc, 0, "lease_id", version, sizeof(version)) != 0)
		db_revoke(&db->base, version); /* nobody will use that user */
	job_end(j, &a);
	secret_value_wipe(&value);
}

static void
db_fetch(struct secret_source *s, enum secret_stage stage, secret_fetched *done, void *arg)
{
	struct db *db = (struct db *)s;
	struct job *j = job_new(db, true, done, arg);

	if (stage != SECRET_CURRENT)
		answer_later(j, SECRET_NOT_SERVED, "a database engine has current users only");
	else
		job_send(j, "GET", db->path, NULL, on_fetched);
}

/* ---- leases ---- */

/* {"lease_id":"..."} and, for a renewal, how long we would like it. */
static bool
put_lease(struct buf *b, const char *lease, int64_t increment_s)
{
	buf_init(b, 8 * LEASE_MAX);
	buf_put(b, "{\"lease_id\":", 12);
	json_put_string(b, lease, strlen(lease));
	if (increment_s > 0)
		buf_printf(b, ",\"increment\":%lld", (long long)increment_s);
	buf_put_str(b, "}");
	return !buf_failed(b);
}

static void
on_renewed(void *arg, const struct vault_reply *r)
{
	struct job *j = arg;
	struct secret_answer a = { .error = SECRET_OK };
	char lease[LEASE_MAX + 1];

	j->call = NULL;
	if (r->error != SECRET_OK) {
		job_refuse(j, r);
		return;
	}
	if (read_lease(j->db, &r->doc, lease, &a))
		a.version = version_of(lease);
	job_end(j, &a);
}

static void
db_renew(struct secret_source *s, const char *lease, secret_fetched *done, void *arg)
{
	struct db *db = (struct db *)s;
	struct job *j = job_new(db, false, done, arg);
	struct buf b;

	if (put_lease(&b, lease, db->lease_s))
		job_send(j, "POST", "sys/leases/renew", (const char *)buf_data(&b), on_renewed);
	else
		answer_later(j, SECRET_TRANSIENT, "out of memory");
	buf_release(&b);
}

static void
on_revoked(void *arg, const struct vault_reply *r)
{
	(void)arg;
	if (r->error != SECRET_OK)
		log_warning("vault: cannot revoke a lease, it lives to its end: %s", r->message);
}

static void
db_revoke(struct secret_source *s, const char *lease)
{
	struct db *db = (struct db *)s;
	struct buf b;

	if (!put_lease(&b, lease, 0) || vault_call(db->login, "POST", "sys/leases/revoke",
					    (const char *)buf_data(&b), on_revoked, NULL) == NULL)
		log_warning("vault: cannot revoke a lease, it lives to its end: out of memory");
	buf_release(&b);
}

/* Another token took the place of ours, with which our lease ends. A fetch under way brings a user
 * of the new one anyway. */
static void
on_replaced(struct vault_watch *w)
{
	struct db *db = list_entry(w, struct db, watch);

	if (db->is_static || db->lease_s == 0 || db->changed == NULL)
		return;
	list_each(n, tmp, &db->jobs) if (list_entry(n, struct job, node)->is_fetch) return;
	db->changed(db->changed_arg);
}

static void
db_watch(struct secret_source *s, void (*changed)(void *arg), void *arg)
{
	struct db *db = (struct db *)s;

	db->changed = changed;
	db->changed_arg = arg;
}

/* ---- opening ---- */

static int
read_role_type(struct db *db, const char *type, char *err, size_t errlen)
{
	if (type == NULL || strcmp(type, "dynamic") == 0)
		return 0;
	db->is_static = true;
	if (strcmp(type, "static") == 0)
		return 0;
	snprintf(err, errlen, "role_type=%s: must be dynamic or static", type);
	return -1;
}

static char *
db_path(const struct db *db, const struct config_secret *c, char *err, size_t errlen)
{
	char *mount, *role = NULL, *out = NULL;

	if (c->role == NULL) {
		snprintf(err, errlen, "role: missing, the database role in Vault");
		return NULL;
	}
	mount = vault_server_path("mount", c->mount == NULL ? "database" : c->mount, err, errlen);
	if (mount != NULL)
		role = vault_server_path("role", c->role, err, errlen);
	if (role != NULL && asprintf(&out, "%s/%s/%s", mount,
				db->is_static ? "static-creds" : "creds", role) == -1) {
		out = NULL;
		snprintf(err, errlen, "out of memory");
	}
	free(mount);
	free(role);
	return out;
}

static struct secret_source *
db_open(const struct config_secret *c, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	static const char *const taken[] = { "mount", "role", "role_type", VAULT_LOGIN_KEYS, NULL };
	struct db *db;

	if (source_entry_check(c, taken, err, errlen) == -1)
		return NULL;
	db = calloc(1, sizeof(*db));
	if (db == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	db->base.ops = &source_vault_database;
	db->env = *env;
	list_init(&db->jobs);
	list_init(&db->spare.node);
	if (read_role_type(db, c->role_type, err, errlen) == -1)
		goto fail;
	db->path = db_path(db, c, err, errlen);
	if (db->path == NULL)
		goto fail;
	db->login = vault_login_open(c, env, err, errlen);
	if (db->login == NULL)
		goto fail_path;
	db->watch.replaced = on_replaced;
	vault_login_watch(db->login, &db->watch);
	return &db->base;
fail_path:
	free(db->path);
fail:
	free(db);
	return NULL;
}

static void
db_close(struct secret_source *s)
{
	struct db *db = (struct db *)s;
	struct list_node *n;

	while ((n = list_pop(&db->jobs)) != NULL) {
		struct job *j = list_entry(n, struct job, node);

		vault_call_cancel(j->call);
		loop_deadline_remove(db->env.loop, &j->later);
		if (!j->is_spare)
			free(j);
	}
	vault_login_unwatch(&db->watch);
	vault_login_release(db->login);
	free(db->path);
	free(db);
}

const struct secret_source_ops source_vault_database = {
	.name = "vault-database",
	.open = db_open,
	.fetch = db_fetch,
	.renew = db_renew,
	.revoke = db_revoke,
	.watch = db_watch,
	.close = db_close,
};
