/* tls.h -- OpenSSL contexts for answering clients and for calling servers, and what a finished
 * handshake says about the peer. Contexts are immutable once made and may serve many threads; a
 * reload makes new ones, and the connections of the old one keep it alive (SSL_CTX_free() drops the
 * caller's reference).
 * Must not know the configuration, the PostgreSQL protocol or sockets. */
#ifndef PROXY_BASE_TLS_H
#define PROXY_BASE_TLS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_ENDPOINT_HASH_MAX 64

struct tls_settings {
	int mode; /* disable, allow, prefer, require, verify-ca, verify-full: 0 to 5 */
	/* NULL or "" = not set */
	const char *cert_file, *key_file, *ca_file;
	const char *ciphers; /* up to TLS 1.2: OpenSSL's, or default, secure, fast, normal, all */
	const char *tls13_ciphers; /* OpenSSL's names */
	const char *protocols; /* secure (1.2 and up), all, or tlsv1.0 to tlsv1.3; ! takes away */
	const char *ecdhcurve; /* auto, none (OpenSSL's choice) or a list of groups by name */
	const char *dheparams; /* auto or none */
};

/* A context, to be freed by SSL_CTX_free(); NULL with a sentence in err that names the setting or
 * file and the reason. May block on files: not on a worker.
 * The server's asks for a client certificate, and insists on it, in verify-ca and verify-full only;
 * it refuses clients that offer ALPN without "postgresql"; it neither caches sessions nor issues
 * tickets. */
SSL_CTX *tls_server_ctx(const struct tls_settings *, char *err, size_t errlen);
void tls_ctx_free(SSL_CTX *); /* NULL is harmless */
SSL_CTX *tls_client_ctx(const struct tls_settings *, char *err, size_t errlen);
/* Prepares one connection of a client context: server name indication and, in verify-full, the name
 * or address that the certificate must carry. -1 = no memory. */
int tls_client_expect(SSL *, const struct tls_settings *, const char *host);

/* RFC 5929 tls-server-end-point of the context's own certificate, computed when the context was
 * made. -1 when there is no certificate, or its signature has no hash of its own (Ed25519): offer
 * no channel binding. */
int tls_endpoint_hash(SSL_CTX *, uint8_t out[TLS_ENDPOINT_HASH_MAX], size_t *len);
/* Common name of the peer's certificate, if one was shown and verified. False also when there is
 * none, when it holds a NUL, or does not fit: never a cut one. */
bool tls_peer_cn(SSL *, char *out, size_t len);
/* Was "postgresql" agreed on? A client that begins with TLS at once must have offered it. */
bool tls_alpn_is_postgresql(SSL *);
/* Why the last OpenSSL call of this thread failed (the first cause, without secrets), written to
 * buf and returned; empties the thread's error queue. Errno is the place to look if there was
 * none. */
const char *tls_last_error(char *buf, size_t len);

#endif
