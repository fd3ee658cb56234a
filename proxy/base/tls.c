#include "proxy/base/tls.h"

#include "proxy/base/tls_options.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* asynchronous libpq before 15.20 stalls on larger records */
#define RECORD_MAX 8192
/* a certificate chain is a few kB; OpenSSL would take 100 kB from anybody */
#define CHAIN_MAX 32768

/* the numbers of tls_settings.mode that matter here */
enum { MODE_DISABLE = 0, MODE_VERIFY_CA = 4, MODE_VERIFY_FULL = 5 };

static const uint8_t alpn[] = { 10, 'p', 'o', 's', 't', 'g', 'r', 'e', 's', 'q', 'l' };

struct endpoint {
	size_t len;
	uint8_t hash[TLS_ENDPOINT_HASH_MAX];
};

static pthread_once_t endpoint_once = PTHREAD_ONCE_INIT;
static int endpoint_index = -1;

static bool
set(const char *s)
{
	return s != NULL && *s != '\0';
}

static int
fail(const char *what, const char *file, char *err, size_t errlen)
{
	char reason[128];

	tls_last_error(reason, sizeof(reason));
	if (file != NULL)
		snprintf(err, errlen, "cannot load %s \"%s\": %s", what, file, reason);
	else
		snprintf(err, errlen, "cannot prepare %s: %s", what, reason);
	return -1;
}

/* ---- parts of both kinds of context ---- */

/* A passphrase would be asked for on the terminal: an encrypted key is an error instead. */
static int
no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf, (void)size, (void)writing, (void)arg;
	return -1;
}

static int
load_certificate(SSL_CTX *ctx, const struct tls_settings *s, char *err, size_t errlen)
{
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (!set(s->key_file)) {
		snprintf(err, errlen, "the TLS certificate \"%s\" needs a key file", s->cert_file);
		return -1;
	}
	if (SSL_CTX_use_certificate_chain_file(ctx, s->cert_file) != 1)
		return fail("TLS certificate", s->cert_file, err, errlen);
	if (SSL_CTX_use_PrivateKey_file(ctx, s->key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return fail("TLS key", s->key_file, err, errlen);
	return 0;
}

static int
load_authorities(SSL_CTX *ctx, const struct tls_settings *s, char *err, size_t errlen)
{
	if (!set(s->ca_file)) {
		snprintf(err, errlen, "to verify certificates, TLS needs a CA file");
		return -1;
	}
	if (SSL_CTX_load_verify_file(ctx, s->ca_file) != 1)
		return fail("TLS CA", s->ca_file, err, errlen);
	return 0;
}

static SSL_CTX *
common_ctx(const SSL_METHOD *method, const struct tls_settings *s, char *err, size_t errlen)
{
	SSL_CTX *ctx;

	ERR_clear_error();
	if (s->mode <= MODE_DISABLE) {
		snprintf(err, errlen, "TLS is disabled");
		return NULL;
	}
	ctx = SSL_CTX_new(method);
	if (ctx == NULL) {
		fail("a TLS context", NULL, err, errlen);
		return NULL;
	}
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	/* an idle connection holds no record buffers; writes go out of whatever buffer the bytes
	 * are in */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_max_send_fragment(ctx, RECORD_MAX);
	SSL_CTX_set_max_cert_list(ctx, CHAIN_MAX);
	if (tls_options_apply(ctx, s, err, errlen) == -1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* ---- the server's ---- */

/* PostgreSQL 17 does the same: a client that names protocols and not ours meant another server. */
static int
choose_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in, unsigned int in_len,
    void *arg)
{
	(void)ssl, (void)arg;
	for (unsigned int at = 0; at < in_len; at += 1u + in[at]) {
		if (in_len - at >= sizeof(alpn) && memcmp(in + at, alpn, sizeof(alpn)) == 0) {
			*out = in + at + 1;
			*out_len = alpn[0];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void
endpoint_free(void *parent, void *p, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
	(void)parent, (void)ad, (void)index, (void)argl, (void)argp;
	free(p);
}

static void
endpoint_init(void)
{
	endpoint_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, endpoint_free);
}

/* RFC 5929: the hash of the certificate's signature, but SHA-256 in place of MD5 and SHA-1. */
static int
remember_endpoint(SSL_CTX *ctx)
{
	X509 *cert = SSL_CTX_get0_certificate(ctx);
	struct endpoint *e;
	const EVP_MD *md;
	unsigned int len;
	int nid = NID_undef;

	pthread_once(&endpoint_once, endpoint_init);
	if (endpoint_index == -1 || cert == NULL)
		return -1;
	if (X509_get_signature_info(cert, &nid, NULL, NULL, NULL) != 1 || nid == NID_undef) {
		ERR_clear_error();
		return 0;
	}
	md = nid == NID_md5 || nid == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(nid);
	if (md == NULL || EVP_MD_get_size(md) > TLS_ENDPOINT_HASH_MAX)
		return 0;
	e = calloc(1, sizeof(*e));
	if (e == NULL)
		return -1;
	if (X509_digest(cert, md, e->hash, &len) != 1 ||
	    !SSL_CTX_set_ex_data(ctx, endpoint_index, e)) {
		free(e);
		return -1;
	}
	e->len = len;
	return 0;
}

static int
demand_client_certificate(SSL_CTX *ctx, const struct tls_settings *s, char *err, size_t errlen)
{
	STACK_OF(X509_NAME) * names;

	if (load_authorities(ctx, s, err, errlen) == -1)
		return -1;
	names = SSL_load_client_CA_file(s->ca_file);
	if (names == NULL)
		return fail("TLS CA", s->ca_file, err, errlen);
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

SSL_CTX *
tls_server_ctx(const struct tls_settings *s, char *err, size_t errlen)
{
	SSL_CTX *ctx = common_ctx(TLS_server_method(), s, err, errlen);

	if (ctx == NULL)
		return NULL;
	if (!set(s->cert_file)) {
		snprintf(err, errlen, "TLS needs a certificate file and a key file");
		goto fail_ctx;
	}
	if (load_certificate(ctx, s, err, errlen) == -1 ||
	    tls_options_dhe(ctx, s, err, errlen) == -1)
		goto fail_ctx;
	if (s->mode >= MODE_VERIFY_CA && demand_client_certificate(ctx, s, err, errlen) == -1)
		goto fail_ctx;
	if (remember_endpoint(ctx) == -1) {
		fail("channel binding", NULL, err, errlen);
		goto fail_ctx;
	}
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	return ctx;
fail_ctx:
	SSL_CTX_free(ctx);
	return NULL;
}

int
tls_endpoint_hash(SSL_CTX *ctx, uint8_t out[TLS_ENDPOINT_HASH_MAX], size_t *len)
{
	const struct endpoint *e = NULL;

	pthread_once(&endpoint_once, endpoint_init);
	if (ctx != NULL && endpoint_index != -1)
		e = SSL_CTX_get_ex_data(ctx, endpoint_index);
	if (e == NULL)
		return -1;
	memcpy(out, e->hash, e->len);
	*len = e->len;
	return 0;
}

/* ---- the client's ---- */

SSL_CTX *
tls_client_ctx(const struct tls_settings *s, char *err, size_t errlen)
{
	SSL_CTX *ctx = common_ctx(TLS_client_method(), s, err, errlen);

	if (ctx == NULL)
		return NULL;
	if (set(s->cert_file) && load_certificate(ctx, s, err, errlen) == -1)
		goto fail_ctx;
	if (s->mode >= MODE_VERIFY_CA) {
		if (load_authorities(ctx, s, err, errlen) == -1)
			goto fail_ctx;
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	}
	if (SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn)) != 0) {
		fail("a TLS context", NULL, err, errlen);
		goto fail_ctx;
	}
	return ctx;
fail_ctx:
	SSL_CTX_free(ctx);
	return NULL;
}

static bool
is_address(const char *host)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);

	if (ip == NULL)
		ERR_clear_error();
	ASN1_OCTET_STRING_free(ip);
	return ip != NULL;
}

int
tls_client_expect(SSL *ssl, const struct tls_settings *s, const char *host)
{
	bool address = is_address(host);

	if (!address && SSL_set_tlsext_host_name(ssl, host) != 1)
		return -1;
	if (s->mode != MODE_VERIFY_FULL)
		return 0;
	if (address)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1 ? 0 : -1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 ? 0 : -1;
}
