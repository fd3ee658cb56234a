/* config_entry_kinds.c -- the keys of each kind of entry, and what they are when they are not given. */
#include "proxy/config/config_entry.h"

#include <string.h>

#define COUNT		   10000000
#define TIME		   315360000
#define CONFIG_SERVER_PORT 5432

#define FIELD(record, key, type, min, max)                                                         \
	{                                                                                          \
#key, OPT_##type, min, max, offsetof(struct record, key), false                    \
	}
#define SECRET_FIELD(record, key)                                                                  \
	{                                                                                          \
#key, OPT_STR, 0, 0, offsetof(struct record, key), true                            \
	}

/* connect_query counts as a secret: it is where settings like encryption keys are given. */
static const struct config_field database_fields[] = {
	FIELD(config_database, host, STR, 0, 0),
	FIELD(config_database, port, INT, 1, 65535),
	FIELD(config_database, dbname, STR, 0, 0),
	FIELD(config_database, user, STR, 0, 0),
	SECRET_FIELD(config_database, password),
	FIELD(config_database, secret, STR, 0, 0),
	FIELD(config_database, auth_user, STR, 0, 0),
	FIELD(config_database, auth_query, STR, 0, 0),
	FIELD(config_database, auth_dbname, STR, 0, 0),
	FIELD(config_database, pool_size, INT, -1, COUNT),
	FIELD(config_database, min_pool_size, INT, -1, COUNT),
	FIELD(config_database, reserve_pool_size, INT, -1, COUNT),
	FIELD(config_database, pool_mode, ENUM, POOL_SESSION, POOL_STATEMENT),
	FIELD(config_database, max_db_connections, INT, -1, COUNT),
	FIELD(config_database, max_db_client_connections, INT, -1, COUNT),
	FIELD(config_database, server_lifetime, MS, -1, TIME),
	FIELD(config_database, query_wait_timeout, MS, -1, TIME),
	SECRET_FIELD(config_database, connect_query),
	FIELD(config_database, load_balance_hosts, ENUM, BALANCE_ROUND_ROBIN, BALANCE_DISABLE),
	FIELD(config_database, client_encoding, STR, 0, 0),
	FIELD(config_database, datestyle, STR, 0, 0),
	FIELD(config_database, timezone, STR, 0, 0),
	FIELD(config_database, application_name, STR, 0, 0),
};

static const struct config_field user_fields[] = {
	FIELD(config_user, pool_mode, ENUM, POOL_SESSION, POOL_STATEMENT),
	FIELD(config_user, pool_size, INT, -1, COUNT),
	FIELD(config_user, reserve_pool_size, INT, -1, COUNT),
	FIELD(config_user, max_user_connections, INT, -1, COUNT),
	FIELD(config_user, max_user_client_connections, INT, -1, COUNT),
	FIELD(config_user, query_timeout, MS, -1, TIME),
	FIELD(config_user, query_wait_timeout, MS, -1, TIME),
	FIELD(config_user, idle_transaction_timeout, MS, -1, TIME),
	FIELD(config_user, transaction_timeout, MS, -1, TIME),
	FIELD(config_user, client_idle_timeout, MS, -1, TIME),
};

static const struct config_field peer_fields[] = {
	FIELD(config_peer, host, STR, 0, 0),
	FIELD(config_peer, port, INT, 1, 65535),
	FIELD(config_peer, pool_size, INT, -1, COUNT),
};

static const struct config_field secret_fields[] = {
	FIELD(config_secret, provider, STR, 0, 0),
	FIELD(config_secret, secret_id, STR, 0, 0),
	FIELD(config_secret, region, STR, 0, 0),
	FIELD(config_secret, endpoint, STR, 0, 0),
	FIELD(config_secret, profile, STR, 0, 0),
	FIELD(config_secret, role_arn, STR, 0, 0),
	FIELD(config_secret, path, STR, 0, 0),
	FIELD(config_secret, user_path, STR, 0, 0),
	FIELD(config_secret, command, STR, 0, 0),
	FIELD(config_secret, role, STR, 0, 0),
	FIELD(config_secret, role_type, STR, 0, 0),
	FIELD(config_secret, mount, STR, 0, 0),
	FIELD(config_secret, namespace, STR, 0, 0),
	FIELD(config_secret, auth_method, STR, 0, 0),
	FIELD(config_secret, auth_mount, STR, 0, 0),
	FIELD(config_secret, auth_role, STR, 0, 0),
	SECRET_FIELD(config_secret, role_id),
	FIELD(config_secret, role_id_file, STR, 0, 0),
	FIELD(config_secret, secret_id_file, STR, 0, 0),
	FIELD(config_secret, token_file, STR, 0, 0),
	FIELD(config_secret, client_id, STR, 0, 0),
	FIELD(config_secret, ca_file, STR, 0, 0),
	FIELD(config_secret, cert_file, STR, 0, 0),
	FIELD(config_secret, key_file, STR, 0, 0),
	FIELD(config_secret, user, STR, 0, 0),
	FIELD(config_secret, host, STR, 0, 0),
	FIELD(config_secret, dbname, STR, 0, 0),
	FIELD(config_secret, port, INT, 1, 65535),
	FIELD(config_secret, user_key, STR, 0, 0),
	FIELD(config_secret, password_key, STR, 0, 0),
	FIELD(config_secret, host_key, STR, 0, 0),
	FIELD(config_secret, port_key, STR, 0, 0),
	FIELD(config_secret, dbname_key, STR, 0, 0),
	FIELD(config_secret, format, STR, 0, 0),
	FIELD(config_secret, ttl, MS, 1, 86400),
	FIELD(config_secret, min_refresh_interval, MS, 0, 3600),
	FIELD(config_secret, retry_max, MS, 1, 3600),
	FIELD(config_secret, max_stale, MS, 0, TIME),
	FIELD(config_secret, grace, MS, 0, 86400),
	FIELD(config_secret, timeout, MS, 0, 300),
	FIELD(config_secret, max_calls_per_hour, INT, 1, COUNT),
};

/* Numbers of a record start as "inherit", whatever they are. */
static void
inherit_all(const struct config_field *fields, size_t n, void *record)
{
	size_t i;

	for (i = 0; i < n; i++) {
		unsigned char *at = (unsigned char *)record + fields[i].offset;

		if (fields[i].type == OPT_INT || fields[i].type == OPT_ENUM)
			*(int *)(void *)at = -1;
		else if (fields[i].type == OPT_MS)
			*(int64_t *)(void *)at = -1;
	}
}

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void
init_database(void *record)
{
	struct config_database *db = record;

	memset(db, 0, sizeof(*db));
	inherit_all(database_fields, LENGTH(database_fields), db);
	db->port = CONFIG_SERVER_PORT;
	db->load_balance_hosts = BALANCE_ROUND_ROBIN;
}

static void
init_user(void *record)
{
	memset(record, 0, sizeof(struct config_user));
	inherit_all(user_fields, LENGTH(user_fields), record);
}

static void
init_peer(void *record)
{
	struct config_peer *peer = record;

	memset(peer, 0, sizeof(*peer));
	inherit_all(peer_fields, LENGTH(peer_fields), peer);
	peer->port = 6432;
}

static void
init_secret(void *record)
{
	struct config_secret *s = record;

	memset(s, 0, sizeof(*s));
	s->ttl = 300 * 1000;
	s->min_refresh_interval = 1000;
	s->retry_max = 30 * 1000;
	s->grace = 60 * 1000;
	s->timeout = 8 * 1000;
	s->max_calls_per_hour = 600;
}

#define KIND(section, noun, record, name, fields, init)                                            \
	{                                                                                          \
		section, noun, fields, LENGTH(fields), sizeof(struct record), name,                \
		    offsetof(struct record, line), offsetof(struct record, file), init             \
	}

const struct config_entry_kind config_entry_databases = KIND("databases", "database",
    config_database, offsetof(struct config_database, name), database_fields, init_database);
const struct config_entry_kind config_entry_users = KIND("users", "user", config_user,
    offsetof(struct config_user, name), user_fields, init_user);
const struct config_entry_kind config_entry_peers = KIND("peers", "peer", config_peer, 0,
    peer_fields, init_peer);
const struct config_entry_kind config_entry_secrets = KIND("secrets", "secret", config_secret,
    offsetof(struct config_secret, name), secret_fields, init_secret);
