/* tls_options.h -- the parts of struct tls_settings that are words and lists, applied to a context;
 * shared by tls.c's two kinds of context and of no use elsewhere. Must not know files and
 * certificates. */
#ifndef PROXY_BASE_TLS_OPTIONS_H
#define PROXY_BASE_TLS_OPTIONS_H

#include <openssl/types.h>
#include <stddef.h>

struct tls_settings;

/* Protocol versions, ciphers, groups. -1 with a sentence in err. */
int tls_options_apply(SSL_CTX *, const struct tls_settings *, char *err, size_t errlen);
/* DHE parameters; servers only. -1 with a sentence in err. */
int tls_options_dhe(SSL_CTX *, const struct tls_settings *, char *err, size_t errlen);

#endif
