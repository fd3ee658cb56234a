#include "proxy/app_config.h"

#include "auth/secrets.h"
#include "auth/userlist.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "proxy/app.h"
#include "proxy/app_auth.h"
#include "proxy/app_secrets.h"
#include "proxy/base/log.h"
#include "proxy/base/tls.h"
#include "proxy/config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Collects what is wrong: all into the log, the first one for whoever asked for a reload. */
struct faults {
	char *first;
	size_t room;
	int n;
};

static void
say(void *arg, bool is_error, const char *file, int line, const char *text)
{
	struct faults *f = arg;
	char where[300] = "";

	if (file != NULL && line > 0)
		snprintf(where, sizeof(where), "%s:%d: ", file, line);
	else if (file != NULL)
		snprintf(where, sizeof(where), "%s: ", file);
	if (!is_error) {
		log_warning("%s%s", where, text);
		return;
	}
	log_error("%s%s", where, text);
	if (f->n++ == 0)
		snprintf(f->first, f->room, "%s%s", where, text);
}

static bool
load_tls(struct session_env *e, struct faults *f)
{
	const struct config *c = e->cfg;
	struct tls_settings t = { c->client_tls_sslmode, c->client_tls_cert_file,
		c->client_tls_key_file, c->client_tls_ca_file, c->client_tls_ciphers,
		c->client_tls13_ciphers, c->client_tls_protocols, c->client_tls_ecdhcurve,
		c->client_tls_dheparams };
	char err[400];

	if (c->client_tls_sslmode == TLS_DISABLE)
		return true;
	e->tls = tls_server_ctx(&t, err, sizeof(err));
	if (e->tls == NULL) {
		say(f, true, NULL, 0, err);
		return false;
	}
	if (tls_endpoint_hash(e->tls, e->cb_hash, &e->cb_len) == -1)
		e->cb_len = 0;
	return true;
}

/* The files for connecting to servers are libpq's to read; that they can be read is checked here, where an
 * error can still be told to somebody. */
static bool
check_server_tls(const struct config *c, struct faults *f)
{
	struct tls_settings t = { c->server_tls_sslmode, c->server_tls_cert_file,
		c->server_tls_key_file, c->server_tls_ca_file, c->server_tls_ciphers,
		c->server_tls13_ciphers, c->server_tls_protocols, NULL, NULL };
	char err[400];
	SSL_CTX *ctx;

	if (c->server_tls_sslmode == TLS_DISABLE ||
	    (c->server_tls_cert_file == NULL && c->server_tls_ca_file == NULL))
		return true;
	ctx = tls_client_ctx(&t, err, sizeof(err));
	if (ctx == NULL) {
		say(f, true, NULL, 0, err);
		return false;
	}
	tls_ctx_free(ctx);
	return true;
}

/* A SCRAM secret proves who a client is, and is no password: libpq cannot log in with it before version 18. */
static void
warn_of_scram(const struct session_env *e, struct faults *f)
{
	size_t users = userlist_count_kind(e->users, AUTH_SECRET_SCRAM), databases = 0;
	char text[400];

	for (size_t i = 0; i < e->cfg->n_databases; i++)
		databases += e->cfg->databases[i].user == NULL &&
			     e->cfg->databases[i].secret == NULL;
	if (users == 0 || databases == 0)
		return;
	snprintf(text, sizeof(text),
	    "%zu user%s with a SCRAM secret and %zu database%s without user= and secret=: such a user "
	    "cannot log in to servers that ask for a password: libpq 18 or newer can pass SCRAM keys "
	    "through",
	    users, users == 1 ? "" : "s", databases, databases == 1 ? "" : "s");
	say(f, false, e->cfg->auth_file, 0, text);
}

static bool
load_users(struct session_env *e, struct faults *f)
{
	if (e->cfg->auth_file != NULL)
		e->users = userlist_load(e->cfg->auth_file, say, f);
	else
		e->users = userlist_parse("auth_file", "", 0, say, f);
	if (e->users != NULL)
		warn_of_scram(e, f);
	return e->users != NULL;
}

static struct session_env *
complete(struct app *a, struct config *cfg, struct faults *f)
{
	struct session_env *e = calloc(1, sizeof(*e));
	bool ok = e != NULL;

	if (!ok) {
		config_unref(cfg);
		return NULL;
	}
	atomic_init(&e->refs, 1);
	e->cfg = cfg;
	/* all faults of all files in one pass */
	ok &= load_users(e, f);
	ok &= load_tls(e, f);
	ok &= check_server_tls(cfg, f);
	ok &= app_auth_prepare(a, e, say, f);
	app_secrets_discard(a);
	a->plan = secrets_prepare(a->secrets, cfg, say, f);
	ok &= a->plan != NULL;
	if (ok)
		return e;
	app_secrets_discard(a);
	app_auth_discard(a);
	session_env_unref(e);
	return NULL;
}

struct session_env *
app_config_with(struct app *a, struct config *cfg, char *err, size_t errlen)
{
	struct faults f = { err, errlen, 0 };
	struct session_env *e;

	err[0] = '\0';
	e = complete(a, cfg, &f);
	if (e == NULL && err[0] == '\0')
		snprintf(err, errlen, "out of memory");
	return e;
}

struct session_env *
app_config_load(struct app *a, char *err, size_t errlen)
{
	struct faults f = { err, errlen, 0 };
	struct config *cfg;

	err[0] = '\0';
	cfg = config_load(a->path, say, &f);
	if (cfg == NULL) {
		if (err[0] == '\0')
			snprintf(err, errlen, "%s: out of memory", a->path);
		return NULL;
	}
	return app_config_with(a, cfg, err, errlen);
}

int
app_config_log(const struct app *a, const struct config *cfg)
{
	struct log_settings s = {
		.file = cfg->logfile,
		.to_stderr = !a->quiet && !a->daemon,
		.to_syslog = cfg->syslog,
		.ident = cfg->syslog_ident,
		.facility = cfg->syslog_facility,
		.verbose = a->verbose > cfg->verbose ? a->verbose : cfg->verbose,
	};

	if (log_setup(&s) == 0)
		return 0;
	log_error("cannot open logfile %s: %s", cfg->logfile, strerror(errno));
	return -1;
}

struct env_letter {
	struct letter letter;
	struct session_env *env;
};

static void
deliver_env(struct worker *w, struct letter *letter)
{
	struct env_letter *l = list_entry(letter, struct env_letter, letter);
	struct session_set *set = session_set_of(w);
	struct pool_worker *pw = pool_worker(w);

	session_env_unref(set->env);
	set->env = l->env;
	config_unref(pw->cfg);
	userlist_unref(pw->users);
	pw->cfg = config_ref(l->env->cfg);
	pw->users = userlist_ref(l->env->users);
	free(l);
}

void
app_config_spread(struct app *a, const struct config *old)
{
	pool_set_apply(old, a->env->cfg);
	for (int i = 0; i < a->n_workers; i++) {
		struct env_letter *l = calloc(1, sizeof(*l));

		if (l == NULL) {
			log_error("out of memory: worker %d keeps its old configuration", i);
			continue;
		}
		list_init(&l->letter.node);
		l->letter.deliver = deliver_env;
		l->env = session_env_ref(a->env);
		worker_post(&a->workers[i], &l->letter);
	}
	pool_set_fill(a->env->cfg);
}
