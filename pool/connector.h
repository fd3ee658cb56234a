/* connector.h -- a few threads that open server connections and deliver cancel requests.
 * Login is slow (SCRAM burns 3-5 ms in one libpq call, a CA bundle 20 ms) and must not hold a worker up,
 * so it happens here, many at a time on each thread's loop, and so does name resolution (c-ares).
 * After CONNECT_OK libpq never reads or writes that connection again: whoever took the job owns the
 * socket (and with TLS the SSL, which libpq frees in connector_finish()).
 * Must not know pools, sessions or limits. Times are ms. Nobody but connector*.c includes libpq-fe.h. */
#ifndef POOL_CONNECTOR_H
#define POOL_CONNECTOR_H

#include "proxy/base/stream.h"
#include "proxy/base/tls.h"
#include "proxy/base/worker.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct connectors;

struct connector_settings {
	int threads;
	int64_t dns_max_ttl, dns_nxdomain_ttl; /* upper bounds on how long answers are kept */
};

struct connectors *connectors_start(const struct connector_settings *); /* NULL with errno */
/* Running jobs end with CONNECT_RETRY / failure first; their `done` is posted. */
void connectors_stop(struct connectors *);

/* TLS towards servers: the words of libpq's sslmode etc.; NULL = unset. */
struct connect_tls {
	const char *mode; /* disable allow prefer require verify-ca verify-full */
	const char *ca_file, *cert_file, *key_file, *min_protocol, *max_protocol;
};

/* Whom to connect to and as whom; borrowed for the whole job (the asker keeps it alive). */
struct connect_target {
	const char *hosts; /* comma list of names, addresses, /directories, @abstract */
	int port;
	const char *dbname, *user, *password; /* password may be NULL */
	const char *application_name, *client_encoding, *datestyle, *timezone; /* NULL = not sent */
	const char *replication; /* value of the startup parameter replication, or NULL */
	struct connect_tls tls;
	int64_t timeout; /* server_connect_timeout: for one host, connect and login */
	bool keepalive;
	int keepidle, keepintvl, keepcnt, user_timeout;
};

enum connect_result {
	CONNECT_OK,
	CONNECT_RETRY, /* nobody there, starting up, too many connections, timeout: may pass by itself */
	CONNECT_REFUSED, /* 28xxx, 3D000, wrong certificate ...: will not pass by itself */
};

#define CONNECT_KEY_MAX	   256
#define CONNECT_PARAMS_MAX 64

struct connect_job {
	struct letter letter;
	struct worker *asker;
	/* Runs on the asker's thread, exactly once. The job is the asker's again. */
	void (*done)(struct worker *, struct connect_job *);
	const struct connect_target *target;
	unsigned first_host; /* index into the host list to start with, modulo its length */

	/* set at the end */
	enum connect_result result;
	char sqlstate[6];
	char message[512];  /* one line, names the host tried last; no secret */
	unsigned host_used; /* index of the host that answered */
	void *pg;	    /* PGconn *, for connector_finish() only */
	int fd;		    /* of pg; non-blocking */
	SSL *ssl;	    /* of pg, or NULL */
	uint32_t backend_pid;
	uint8_t key[CONNECT_KEY_MAX];
	uint16_t key_len;
	/* every ParameterStatus the server sent: name NUL value NUL ...; malloc'd, the taker frees it */
	char *params;
	size_t params_len;
	struct sockaddr_storage peer; /* the address connected to */
	socklen_t peer_len;
	bool unix_socket;
};

void connector_connect(struct connectors *, struct connect_job *);

/* Frees the PGconn (and its SSL, and closes its socket) without reading or writing anything. */
void connector_finish(void *pg);

struct cancel_job {
	struct letter letter;
	struct worker *asker;
	void (*done)(struct worker *,
	    struct cancel_job *); /* delivered, or given up after `timeout` */
	struct sockaddr_storage peer;
	socklen_t peer_len;
	bool tls; /* the server connection is encrypted, so this one is too */
	uint32_t backend_pid;
	uint8_t key[CONNECT_KEY_MAX];
	uint16_t key_len;
	int64_t timeout;
	bool ok; /* the server closed the connection: the signal has been sent */
};

void connector_cancel(struct connectors *, struct cancel_job *);

/* SHOW DNS_HOSTS: calls row for each cached name (from any thread; takes a short lock). */
void connector_dns(struct connectors *,
    void (*row)(void *arg, const char *name, int64_t ttl_ms, const char *addrs), void *arg);

#endif
