/* What a finished handshake says about the peer, and what a failed one says about itself. */
#include "proxy/base/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

bool
tls_peer_cn(SSL *ssl, char *out, size_t len)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	uint8_t *text = NULL;
	X509_NAME *subject;
	bool fits = false;
	int at, n;

	/* the result is X509_V_OK also where nobody verified anything */
	if (cert == NULL || (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0 ||
	    SSL_get_verify_result(ssl) != X509_V_OK)
		return false;
	subject = X509_get_subject_name(cert);
	at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at < 0)
		return false;
	n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (n > 0 && (size_t)n < len && memchr(text, 0, (size_t)n) == NULL) {
		memcpy(out, text, (size_t)n);
		out[n] = '\0';
		fits = true;
	}
	if (n < 0)
		ERR_clear_error();
	OPENSSL_free(text);
	return fits;
}

bool
tls_alpn_is_postgresql(SSL *ssl)
{
	const uint8_t *name = NULL;
	unsigned int len = 0;

	SSL_get0_alpn_selected(ssl, &name, &len);
	return len == 10 && memcmp(name, "postgresql", 10) == 0;
}

const char *
tls_last_error(char *buf, size_t len)
{
	unsigned long code = ERR_get_error();
	const char *reason = ERR_reason_error_string(code);

	if (code == 0)
		snprintf(buf, len, "no reason given");
	else if (ERR_SYSTEM_ERROR(code))
		snprintf(buf, len, "%s", strerror(ERR_GET_REASON(code)));
	else if (reason != NULL)
		snprintf(buf, len, "%s", reason);
	else
		snprintf(buf, len, "OpenSSL error %lX", code);
	ERR_clear_error();
	return buf;
}

void
tls_ctx_free(SSL_CTX *ctx)
{
	SSL_CTX_free(ctx);
}
