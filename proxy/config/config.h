/* config.h -- the configuration as values: one immutable snapshot, shared by counting references.
 *
 * Any thread may read a snapshot that it holds a reference to; counting is atomic; nothing in it
 * changes after config_load() or config_set() returned it (config_keep_fixed() only before it is
 * shared). Everything a snapshot points to lives in its own memory, which is wiped when the last
 * reference goes. Times are milliseconds, sizes bytes. A text is never "" but NULL when unset, with
 * one exception: server_check_query is NULL for the empty query (written <empty>) and "" for no
 * check. Opens the configuration file and its includes, and no other file. Must not know who reads
 * the values. */
#ifndef PROXY_CONFIG_CONFIG_H
#define PROXY_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_type { OPT_BOOL, OPT_INT, OPT_SIZE, OPT_MS, OPT_STR, OPT_ENUM };

/* The words of each enum are in config_field.c, in the same order. */
enum pool_mode { POOL_SESSION, POOL_TRANSACTION, POOL_STATEMENT };
enum auth_type {
	AUTH_ANY,
	AUTH_TRUST,
	AUTH_PLAIN,
	AUTH_MD5,
	AUTH_SCRAM,
	AUTH_CERT,
	AUTH_HBA,
	AUTH_LDAP,
	AUTH_PAM,
	AUTH_JWT,
	AUTH_IAM
};
enum tls_mode { TLS_DISABLE, TLS_ALLOW, TLS_PREFER, TLS_REQUIRE, TLS_VERIFY_CA, TLS_VERIFY_FULL };
enum balance_hosts { BALANCE_ROUND_ROBIN, BALANCE_DISABLE };

#define CONFIG_SERVER_PORT 5432 /* of a database whose entry names none */

/* A line of [databases]. Numbers and pool_mode: -1 = as the global option (query_wait_timeout: as
 * the user). */
struct config_database {
	const char *name; /* "*" is the fallback for names that are not listed */
	const char *host; /* name, address, /dir, @abstract, or a comma list; NULL: config_host() */
	int port;	  /* of every host of the list */
	const char *dbname; /* on the server; NULL (only with "*"): the name the client asked for */
	const char *user;   /* forced user; NULL: the client's */
	const char *password;
	const char *secret; /* entry of [secrets] to log in with, or NULL */
	const char *auth_user, *auth_query, *auth_dbname; /* NULL: as the global option */
	int pool_size, min_pool_size, reserve_pool_size, pool_mode;
	int max_db_connections, max_db_client_connections;
	int64_t server_lifetime, query_wait_timeout;
	const char *connect_query;
	int load_balance_hosts; /* enum balance_hosts */
	const char *client_encoding, *datestyle, *timezone, *application_name;
	int line;
	const char *file;
};

/* A line of [users]. -1 = as the database or the global option. */
struct config_user {
	const char *name;
	int pool_mode, pool_size, reserve_pool_size;
	int max_user_connections, max_user_client_connections;
	int64_t query_timeout, query_wait_timeout, idle_transaction_timeout, transaction_timeout;
	int64_t client_idle_timeout;
	int line;
	const char *file;
};

/* A line of [peers]. */
struct config_peer {
	int id;
	const char *host;
	int port;
	int pool_size; /* -1 = as default_pool_size */
	int line;
	const char *file;
};

/* A line of [secrets]: where a user's name and password come from. Which keys a provider takes is for
 * auth/source to check. NULL and 0 = unset. */
struct config_secret {
	const char *name, *provider;
	const char *secret_id;				    /* name, ARN or URL */
	const char *region, *endpoint, *profile, *role_arn; /* AWS */
	const char *path, *user_path;			    /* file, vault-kv */
	const char *command;				    /* exec */
	const char *role, *role_type, *mount, *namespace;   /* Vault: role_type dynamic or static */
	const char *auth_method, *auth_mount, *auth_role;   /* Vault's login */
	const char *role_id, *role_id_file, *secret_id_file, *token_file;
	const char *client_id; /* Azure: of a user-assigned identity */
	const char *ca_file, *cert_file, *key_file;
	const char *user, *host, *dbname; /* count before those in the secret */
	int port;
	const char *user_key, *password_key, *host_key, *port_key, *dbname_key; /* JSON members */
	const char *format; /* json, plain or auto (the default) */
	int64_t ttl, min_refresh_interval, retry_max, max_stale, grace, timeout;
	int max_calls_per_hour;
	int line;
	const char *file;
};

struct config_own;

#define CONFIG_MEMBER_BOOL(key)	  bool key;
#define CONFIG_MEMBER_INT(key)	  int key;
#define CONFIG_MEMBER_SIZE(key)	  int64_t key;
#define CONFIG_MEMBER_MS(key)	  int64_t key;
#define CONFIG_MEMBER_STR(key)	  const char *key;
#define CONFIG_MEMBER_SECRET(key) const char *key;
#define CONFIG_MEMBER_ENUM(key)	  int key;
#define OPTION(key, type, ...)	  CONFIG_MEMBER_##type(key)
struct config {
#include "proxy/config/options.def"
	const struct config_database *databases; /* sorted by name, each name once */
	size_t n_databases;
	const struct config_user *users; /* likewise */
	size_t n_users;
	const struct config_peer *peers; /* sorted by id */
	size_t n_peers;
	const struct config_secret *secrets; /* sorted by name, each name once */
	size_t n_secrets;
	struct config_own *own; /* references and memory; for config.c */
};
#undef OPTION

/* One fault (is_error) or warning. text is one line without a newline and never holds a secret:
 * which key, what was found, what is expected. file is what the user wrote; line 0 = no particular
 * line. */
typedef void config_say(void *arg, bool is_error, const char *file, int line, const char *text);

/* Read path and its includes. Every fault and warning of all of them goes to say (which may be
 * NULL). NULL after any fault: nothing of a bad file takes effect. The caller holds the one
 * reference. */
struct config *config_load(const char *path, config_say *say, void *arg);

struct config *config_ref(struct config *cfg);
void config_unref(struct config *cfg); /* NULL is harmless */

/* The entry of that very name, else "*", else NULL. */
const struct config_database *config_find_database(const struct config *cfg, const char *name);
const struct config_user *config_find_user(const struct config *cfg,
    const char *name); /* NULL: not listed */
const struct config_secret *config_find_secret(const struct config *cfg, const char *name);

/* Do two entries of [secrets] say the same? */
bool config_secret_equal(const struct config_secret *, const struct config_secret *);

/* Where to look for the servers of db: its host, else the Unix socket directory, else /tmp. Never
 * NULL. */
const char *config_host(const struct config *cfg, const struct config_database *db);

/* A new snapshot with one global option replaced, for SET on the console. NULL and one line in err
 * when the key is unknown, needs a restart, has no effect, or the value does not fit. cfg is
 * untouched. */
struct config *config_set(const struct config *cfg, const char *key, const char *value, char *err,
    size_t errlen);

/* At reload: give fresh, which nobody else holds yet, the values of running for all keys that need
 * a restart. Call config_diff() first, or it has nothing to say about them. -1 when out of
 * memory. */
int config_keep_fixed(struct config *fresh, const struct config *running);

/* SHOW CONFIG, in the order of options.def. Texts are never NULL ("" = unset), values as they are
 * written in the file; they are valid during the call of row only. */
void config_show(const struct config *cfg,
    void (*row)(void *arg, const char *key, const char *value, const char *def, bool changeable),
    void *arg);

/* What a reload changes. Options by their key; entries as "databases.NAME.KEY", and
 * "databases.NAME" with "absent" and "present" when one came or went ("users.NAME...",
 * "peers.ID..." likewise). Secrets show as "***". applies_live is false for options that need a
 * restart. Texts are valid during the call only. */
void config_diff(const struct config *old, const struct config *new_,
    void (*change)(void *arg, const char *key, const char *from, const char *to, bool applies_live),
    void *arg);

#endif
