#include "pool/connect_target.h"

#include "auth/secret_version.h"
#include "auth/userlist.h"
#include "pool/connector.h"
#include "pool/pool.h"
#include "pool/pool_set.h"
#include "proxy/config/config.h"

#include <string.h>

static const char *
tls_word(int mode)
{
	static const char *const words[] = { "disable", "allow", "prefer", "require", "verify-ca",
		"verify-full" };

	return words[mode];
}

/* server_tls_protocols as libpq's bounds: secure, all, or a list of tlsv1.2 and tlsv1.3. */
static void
fill_protocols(struct connect_tls *t, const char *list)
{
	bool v12 = list == NULL || strstr(list, "1.2") != NULL,
	     v13 = list == NULL || strstr(list, "1.3") != NULL;

	if (!v12 && !v13)
		v12 = v13 = true;
	t->min_protocol = v12 ? "TLSv1.2" : "TLSv1.3";
	t->max_protocol = v13 ? NULL : "TLSv1.2";
}

static void
fill_by_secret(struct connect_target *t, const struct config_database *db,
    const struct secret_version *v)
{
	if (db->user == NULL)
		t->user = v->user;
	t->password = v->password;
	if (db->host == NULL && v->host != NULL) {
		t->hosts = v->host;
		if (v->port != 0 && db->port == CONFIG_SERVER_PORT)
			t->port = v->port;
	}
	/* an entry that was given no dbname has its own name there */
	if (v->dbname != NULL && (db->dbname == NULL || strcmp(db->dbname, db->name) == 0))
		t->dbname = v->dbname;
}

void
connect_target_fill(struct connect_target *t, const struct config *cfg,
    const struct config_database *db, const struct pool *p, const struct userlist *users,
    const struct secret_version *version)
{
	const struct auth_user *u = version == NULL ? userlist_find(users, p->user->name) : NULL;

	t->hosts = config_host(cfg, db);
	t->port = db->port;
	t->dbname = db->dbname != NULL ? db->dbname : p->db->quota.name;
	t->user = p->user->name;
	t->password = db->user != NULL && db->password != NULL && p->replication != pool_for_auth
			  ? db->password
			  : NULL;
	if (t->password == NULL && u != NULL)
		t->password = auth_user_plain(u);
	if (version != NULL)
		fill_by_secret(t, db, version);
	t->application_name = db->application_name;
	t->client_encoding = db->client_encoding;
	t->datestyle = db->datestyle;
	t->timezone = db->timezone;
	t->replication = p->replication == pool_for_auth ? NULL : p->replication;
	t->tls.mode = tls_word(cfg->server_tls_sslmode);
	t->tls.ca_file = cfg->server_tls_ca_file;
	t->tls.cert_file = cfg->server_tls_cert_file;
	t->tls.key_file = cfg->server_tls_key_file;
	fill_protocols(&t->tls, cfg->server_tls_protocols);
	t->timeout = cfg->server_connect_timeout;
	t->keepalive = cfg->tcp_keepalive;
	t->keepidle = cfg->tcp_keepidle;
	t->keepintvl = cfg->tcp_keepintvl;
	t->keepcnt = cfg->tcp_keepcnt;
	t->user_timeout = cfg->tcp_user_timeout;
}
