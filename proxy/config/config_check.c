#include "proxy/config/config_check.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "proxy/config/config_option.h"

struct check {
	const struct config *cfg;
	const struct config_origin *origin; /* or NULL */
	struct config_report *report;
};

#define AT(key) place(check, CONFIG_OPTION_##key)

static struct config_place
place(const struct check *check, enum config_option_index i)
{
	return check->origin != NULL ? check->origin->where[i] : (struct config_place){ 0 };
}

static bool
is_bad(const struct check *check, enum config_option_index i)
{
	return check->origin != NULL && check->origin->bad[i];
}

static bool
missing(const struct check *check, const char *value)
{
	return value == NULL && (check->origin == NULL || !check->origin->gaps);
}

static void
check_service(const struct check *check)
{
	size_t i;

	for (i = 0; i < CONFIG_OPTIONS; i++) {
		const struct config_option *o = &config_options[i];
		struct config_place at = place(check, (enum config_option_index)i);

		if (o->service == CONFIG_SERVED || config_option_is_default(o, check->cfg))
			continue;
		if (o->service == CONFIG_REFUSE)
			config_report_error(check->report, at, "%s is not served: %s", o->field.key,
			    o->why);
		else if (at.file != NULL)
			config_report_warning(check->report, at, "%s has no effect: %s",
			    o->field.key, o->why);
	}
}

static void
check_listening(const struct check *check)
{
	const struct config *cfg = check->cfg;
	struct sockaddr_un un;

	if (missing(check, cfg->listen_addr) && cfg->unix_socket_dir == NULL)
		config_report_error(check->report, AT(unix_socket_dir),
		    "listen_addr and unix_socket_dir: found nothing in both, expected an address or a "
		    "directory to listen on");
	if (cfg->unix_socket_dir != NULL &&
	    strlen(cfg->unix_socket_dir) + sizeof("/.s.PGSQL.65535") > sizeof(un.sun_path))
		config_report_error(check->report, AT(unix_socket_dir),
		    "unix_socket_dir: found a path of %zu bytes, expected at most %zu",
		    strlen(cfg->unix_socket_dir), sizeof(un.sun_path) - sizeof("/.s.PGSQL.65535"));
}

static void
check_word_list(const struct check *check, struct config_place at, const char *key,
    const char *list)
{
	static const char *const good[] = { "secure", "default", "tlsv1.2", "tlsv1.3" };
	char word[24], quoted[CONFIG_QUOTED];
	const char *s = list;

	while (s != NULL && *s != '\0') {
		size_t len, i;
		bool known = false;

		s += strspn(s, ", \t");
		if ((len = strcspn(s, ", \t")) == 0)
			break;
		snprintf(word, sizeof(word), "%.*s",
		    (int)(len < sizeof(word) ? len : sizeof(word) - 1), s);
		for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
			known = known || strcmp(word, good[i]) == 0;
		if (!known)
			config_report_error(check->report, at,
			    "%s: found %s, expected secure, tlsv1.2 or tlsv1.3 (older TLS is not served)",
			    key, config_report_quote(quoted, word));
		s += len;
	}
}

static void
check_client_tls(const struct check *check)
{
	const struct config *cfg = check->cfg;
	const char *mode = config_words("client_tls_sslmode")[cfg->client_tls_sslmode];

	if (cfg->client_tls_sslmode != TLS_DISABLE && missing(check, cfg->client_tls_cert_file))
		config_report_error(check->report, AT(client_tls_sslmode),
		    "client_tls_sslmode=%s: found no client_tls_cert_file, expected the certificate to show",
		    mode);
	if (cfg->client_tls_sslmode != TLS_DISABLE && missing(check, cfg->client_tls_key_file))
		config_report_error(check->report, AT(client_tls_sslmode),
		    "client_tls_sslmode=%s: found no client_tls_key_file, expected the certificate's key",
		    mode);
	if (cfg->client_tls_sslmode >= TLS_VERIFY_CA && missing(check, cfg->client_tls_ca_file))
		config_report_error(check->report, AT(client_tls_sslmode),
		    "client_tls_sslmode=%s: found no client_tls_ca_file, expected the authorities that sign "
		    "client certificates",
		    mode);
	check_word_list(check, AT(client_tls_protocols), "client_tls_protocols",
	    cfg->client_tls_protocols);
}

static void
check_server_tls(const struct check *check)
{
	const struct config *cfg = check->cfg;

	if ((cfg->server_tls_cert_file == NULL) != (cfg->server_tls_key_file == NULL) &&
	    missing(check, NULL))
		config_report_error(check->report,
		    cfg->server_tls_key_file == NULL ? AT(server_tls_cert_file)
						     : AT(server_tls_key_file),
		    "found one of server_tls_cert_file and server_tls_key_file, expected both or none");
	if (cfg->server_tls_sslmode >= TLS_VERIFY_CA && missing(check, cfg->server_tls_ca_file))
		config_report_error(check->report, AT(server_tls_sslmode),
		    "server_tls_sslmode=%s: found no server_tls_ca_file, expected the authorities that sign "
		    "server certificates (the system's are in /etc/ssl/certs/ca-certificates.crt)",
		    config_words("server_tls_sslmode")[cfg->server_tls_sslmode]);
	check_word_list(check, AT(server_tls_protocols), "server_tls_protocols",
	    cfg->server_tls_protocols);
}

static void
need(const struct check *check, const char *value, const char *key, const char *what)
{
	if (missing(check, value))
		config_report_error(check->report, AT(auth_type),
		    "auth_type=%s: found no %s, expected %s",
		    config_words("auth_type")[check->cfg->auth_type], key, what);
}

/* Tokens: whose are good, and for what. */
static void
check_tokens(const struct check *check)
{
	const struct config *cfg = check->cfg;
	char quoted[CONFIG_QUOTED];

	if (cfg->auth_type == AUTH_JWT) {
		need(check, cfg->jwt_keys, "jwt_keys", "the keys that sign tokens");
		need(check, cfg->jwt_issuer, "jwt_issuer", "the claim iss of tokens");
		need(check, cfg->jwt_audience, "jwt_audience", "the claim aud of tokens");
		need(check, cfg->jwt_role_claim, "jwt_role_claim", "the claim that names the user");
	}
	if (cfg->auth_type == AUTH_IAM)
		need(check, cfg->iam_secret, "iam_secret", "the entry of [secrets] with the key");
	if (cfg->iam_secret != NULL && config_find_secret(cfg, cfg->iam_secret) == NULL &&
	    missing(check, NULL))
		config_report_error(check->report, AT(iam_secret),
		    "iam_secret: found %s, expected the name of an entry of [secrets]",
		    config_report_quote(quoted, cfg->iam_secret));
	if (cfg->iam_secret != NULL && cfg->iam_hosts == NULL && cfg->listen_addr != NULL &&
	    strchr(cfg->listen_addr, '*') != NULL)
		config_report_error(check->report, AT(iam_secret),
		    "iam_secret: found listen_addr=* and no iam_hosts, expected the host:port that clients "
		    "make tokens for");
	if ((cfg->auth_type == AUTH_JWT || cfg->auth_type == AUTH_IAM) &&
	    cfg->listen_addr != NULL && cfg->client_tls_sslmode == TLS_DISABLE)
		config_report_warning(check->report, AT(auth_type),
		    "auth_type=%s: found client_tls_sslmode=disable, so nobody can log in over TCP",
		    config_words("auth_type")[cfg->auth_type]);
}

/* Where else can users come from than auth_file? */
static bool
knows_users(const struct config *cfg)
{
	bool known = cfg->n_secrets > 0 || cfg->auth_user != NULL;
	size_t i;

	for (i = 0; i < cfg->n_databases; i++)
		known |= cfg->databases[i].auth_user != NULL;
	return known;
}

static void
check_auth(const struct check *check)
{
	const struct config *cfg = check->cfg;
	const char *type = config_words("auth_type")[cfg->auth_type];
	char quoted[CONFIG_QUOTED];
	size_t i;

	if (is_bad(check, CONFIG_OPTION_auth_type))
		return;
	if (cfg->auth_type == AUTH_HBA)
		need(check, cfg->auth_hba_file, "auth_hba_file", "the file with the rules");
	if (cfg->auth_type == AUTH_LDAP)
		need(check, cfg->auth_ldap_options, "auth_ldap_options",
		    "how to ask the LDAP server");
	check_tokens(check);
	if (cfg->auth_type == AUTH_CERT && cfg->client_tls_sslmode != TLS_VERIFY_FULL &&
	    !is_bad(check, CONFIG_OPTION_client_tls_sslmode))
		config_report_error(check->report, AT(auth_type),
		    "auth_type=cert: found client_tls_sslmode=%s, expected verify-full",
		    config_words("client_tls_sslmode")[cfg->client_tls_sslmode]);
	if ((cfg->auth_type == AUTH_PLAIN || cfg->auth_type == AUTH_LDAP ||
		cfg->auth_type == AUTH_PAM) &&
	    cfg->listen_addr != NULL && cfg->client_tls_sslmode < TLS_REQUIRE &&
	    !is_bad(check, CONFIG_OPTION_client_tls_sslmode))
		config_report_warning(check->report, AT(auth_type),
		    "auth_type=%s: clients may send their password unencrypted: client_tls_sslmode=%s, "
		    "better require",
		    type, config_words("client_tls_sslmode")[cfg->client_tls_sslmode]);
	if (cfg->auth_type == AUTH_TRUST && missing(check, cfg->auth_file))
		config_report_warning(check->report, AT(auth_type),
		    "auth_type=trust without auth_file: no user is known");
	if (cfg->auth_type > AUTH_TRUST && cfg->auth_type < AUTH_HBA &&
	    missing(check, cfg->auth_file) && !knows_users(cfg))
		config_report_error(check->report, AT(auth_type),
		    "auth_type=%s: found no auth_file, expected the list of users and secrets",
		    type);
	for (i = 0; cfg->auth_type == AUTH_ANY && i < cfg->n_databases; i++) {
		const struct config_database *db = &cfg->databases[i];

		if (missing(check, db->user))
			config_report_error(check->report,
			    (struct config_place){ db->file, db->line },
			    "database %s: found no user, expected one because auth_type is any",
			    config_report_quote(quoted, db->name));
	}
}

static void
check_syslog(const struct check *check)
{
	static const char *const words[] = { "auth", "authpriv", "daemon", "user", "local0",
		"local1", "local2", "local3", "local4", "local5", "local6", "local7" };
	const char *facility = check->cfg->syslog_facility;
	char quoted[CONFIG_QUOTED];
	size_t i;

	for (i = 0; facility != NULL && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(facility, words[i]) == 0)
			return;
	config_report_error(check->report, AT(syslog_facility),
	    "syslog_facility: found %s, expected auth, authpriv, daemon, user or local0 to local7",
	    config_report_quote(quoted, facility != NULL ? facility : ""));
}

/* A host list must not have holes: "db1,,db2" would quietly mean the local socket. */
static void
check_hosts(const struct check *check, const struct config_database *db)
{
	struct config_place at = { db->file, db->line };
	const char *host = db->host;
	char quoted[CONFIG_QUOTED];
	size_t len;

	for (; host != NULL; host = host[len] == ',' ? host + len + 1 : NULL) {
		len = strcspn(host, ",");
		if (strspn(host, " \t") >= len) {
			config_report_error(check->report, at,
			    "database %s: host: found an empty name in the list, expected names between "
			    "its commas",
			    config_report_quote(quoted, db->name));
			return;
		}
	}
}

/* The token of rds-iam is a password in clear text: only over TLS. */
static void
check_token(const struct check *check, const struct config_database *db,
    const struct config_secret *secret)
{
	char quoted[CONFIG_QUOTED];

	if (secret == NULL || secret->provider == NULL || strcmp(secret->provider, "rds-iam") != 0)
		return;
	config_report_quote(quoted, db->name);
	if (check->cfg->server_tls_sslmode < TLS_REQUIRE)
		config_report_error(check->report, (struct config_place){ db->file, db->line },
		    "database %s: secret %s is an rds-iam token: found server_tls_sslmode=%s, expected "
		    "require, verify-ca or, better, verify-full",
		    quoted, secret->name,
		    config_words("server_tls_sslmode")[check->cfg->server_tls_sslmode]);
	else if (check->cfg->server_tls_sslmode < TLS_VERIFY_CA)
		config_report_warning(check->report, (struct config_place){ db->file, db->line },
		    "database %s: secret %s is an rds-iam token, which goes to whoever answers: "
		    "server_tls_sslmode=verify-full verifies that it is the server",
		    quoted, secret->name);
}

static void
check_database(const struct check *check, const struct config_database *db)
{
	int size = db->pool_size >= 0 ? db->pool_size : check->cfg->default_pool_size;
	struct config_place at = { db->file, db->line };
	char quoted[CONFIG_QUOTED];

	config_report_quote(quoted, db->name);
	if (strcmp(db->name, "pgsluice") == 0 || strcmp(db->name, "pgbouncer") == 0)
		config_report_error(check->report, at,
		    "database %s: found the name of the console, expected another one", quoted);
	check_hosts(check, db);
	if (db->secret != NULL && config_find_secret(check->cfg, db->secret) == NULL &&
	    missing(check, NULL))
		config_report_error(check->report, at,
		    "database %s: secret: found %s, expected the name of an entry of [secrets]",
		    quoted, db->secret);
	if (db->secret != NULL)
		check_token(check, db, config_find_secret(check->cfg, db->secret));
	if (db->secret != NULL && db->password != NULL)
		config_report_error(check->report, at,
		    "database %s: found secret and password, expected one of them", quoted);
	if (db->password != NULL && missing(check, db->user))
		config_report_warning(check->report, at,
		    "database %s: password has no effect without user", quoted);
	if (db->min_pool_size > size && size > 0)
		config_report_warning(check->report, at,
		    "database %s: min_pool_size %d is more than the pool's %d connections", quoted,
		    db->min_pool_size, size);
}

static void
check_databases(const struct check *check)
{
	const struct config *cfg = check->cfg;
	size_t i;

	if (cfg->n_databases == 0 && missing(check, NULL))
		config_report_warning(check->report, (struct config_place){ cfg->conffile, 0 },
		    "found no database, so clients can only reach the console");
	for (i = 0; i < cfg->n_databases; i++)
		check_database(check, &cfg->databases[i]);
	if (cfg->min_pool_size > cfg->default_pool_size && cfg->default_pool_size > 0)
		config_report_warning(check->report, AT(min_pool_size),
		    "min_pool_size %d is more than default_pool_size %d", cfg->min_pool_size,
		    cfg->default_pool_size);
}

void
config_check(const struct config *cfg, const struct config_origin *origin,
    struct config_report *report)
{
	const struct check check = { cfg, origin, report };

	check_service(&check);
	check_listening(&check);
	check_client_tls(&check);
	check_server_tls(&check);
	check_auth(&check);
	check_syslog(&check);
	check_databases(&check);
	if (cfg->n_peers > 0)
		config_report_warning(report,
		    (struct config_place){ cfg->peers[0].file, cfg->peers[0].line },
		    "[peers] has no effect: cancel requests are not passed between processes yet");
}
