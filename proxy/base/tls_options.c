#include "proxy/base/tls_options.h"

#include "proxy/base/tls.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* AES-128-GCM first: the cheapest where the CPU has AES, and as good as the others. */
#define CIPHERS                                                                                    \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                               \
	"DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
#define CIPHERS_TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS	      "X25519:P-256:P-384"

static const struct version {
	const char *word;
	int number;
	uint64_t off; /* the option that forbids it */
} versions[] = {
	{ "tlsv1.0", TLS1_VERSION, SSL_OP_NO_TLSv1 },
	{ "tlsv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1 },
	{ "tlsv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2 },
	{ "tlsv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3 },
};

#define VERSIONS	(sizeof(versions) / sizeof(versions[0]))
#define ALL_VERSIONS	0xfu
#define SECURE_VERSIONS 0xcu

static bool
is_word(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && strncasecmp(text, word, len) == 0;
}

/* The bits that one word of the list stands for, 0 if it is none. */
static unsigned int
word_bits(const char *text, size_t len)
{
	if (is_word(text, len, "all") || is_word(text, len, "legacy"))
		return ALL_VERSIONS;
	if (is_word(text, len, "secure") || is_word(text, len, "default"))
		return SECURE_VERSIONS;
	if (is_word(text, len, "tlsv1"))
		return ALL_VERSIONS;
	for (size_t i = 0; i < VERSIONS; i++) {
		if (is_word(text, len, versions[i].word))
			return 1u << i;
	}
	return 0;
}

/* A list of words, separated by commas, colons or blanks; ! takes a word's versions away. 0 =
 * malformed. */
static unsigned int
parse_protocols(const char *list)
{
	unsigned int allowed = 0, bits;

	while (*list != '\0') {
		size_t len = strcspn(list, ",: \t");
		bool minus = *list == '!';

		if (len > 0) {
			bits = word_bits(list + minus, len - minus);
			if (bits == 0)
				return 0;
			/* "!tlsv1.0" alone means all but that */
			if (minus && allowed == 0)
				allowed = ALL_VERSIONS;
			allowed = minus ? allowed & ~bits : allowed | bits;
		}
		list += len;
		list += strspn(list, ",: \t");
	}
	return allowed;
}

static bool
unset(const char *s)
{
	return s == NULL || *s == '\0';
}

static int
set_versions(SSL_CTX *ctx, const char *list, char *err, size_t errlen)
{
	unsigned int allowed = unset(list) ? SECURE_VERSIONS : parse_protocols(list);
	int lowest = 0, highest = 0;

	if (allowed == 0) {
		snprintf(err, errlen,
		    "TLS protocols \"%s\" are not understood: expected secure, all, or a list of "
		    "tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3",
		    list);
		return -1;
	}
	for (size_t i = 0; i < VERSIONS; i++) {
		if ((allowed & 1u << i) == 0)
			continue;
		/* OpenSSL serves nothing above a gap: it would say so only at each handshake */
		if (i > 0 && lowest != 0 && (allowed & 1u << (i - 1)) == 0) {
			snprintf(err, errlen,
			    "TLS protocols \"%s\" leave out a version between others", list);
			return -1;
		}
		lowest = lowest == 0 ? versions[i].number : lowest;
		highest = versions[i].number;
		SSL_CTX_clear_options(ctx, versions[i].off); /* openssl.cnf may have set it */
	}
	if (!SSL_CTX_set_min_proto_version(ctx, lowest) ||
	    !SSL_CTX_set_max_proto_version(ctx, highest)) {
		snprintf(err, errlen, "TLS protocols \"%s\" are not available", list);
		return -1;
	}
	return 0;
}

/* PgBouncer's words for the ciphers below TLS 1.3. */
static const char *
cipher_list(const char *s)
{
	static const char *const usual[] = { "default", "secure", "fast", "normal", "compat",
		"legacy" };

	if (unset(s))
		return CIPHERS;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (strcasecmp(s, usual[i]) == 0)
			return CIPHERS;
	}
	return strcasecmp(s, "all") == 0 ? "ALL:!aNULL:!eNULL" : s;
}

static int
refuse(const char *what, const char *value, char *err, size_t errlen)
{
	char reason[128];

	snprintf(err, errlen, "%s \"%s\" are not understood: %s", what, value,
	    tls_last_error(reason, sizeof(reason)));
	return -1;
}

int
tls_options_apply(SSL_CTX *ctx, const struct tls_settings *s, char *err, size_t errlen)
{
	const char *ciphers = cipher_list(s->ciphers);
	const char *ciphers13 = unset(s->tls13_ciphers) ? CIPHERS_TLS13 : s->tls13_ciphers;
	const char *groups = unset(s->ecdhcurve) || strcasecmp(s->ecdhcurve, "auto") == 0
				 ? GROUPS
				 : s->ecdhcurve;

	if (set_versions(ctx, s->protocols, err, errlen) == -1)
		return -1;
	if (!SSL_CTX_set_cipher_list(ctx, ciphers))
		return refuse("TLS ciphers", ciphers, err, errlen);
	if (!SSL_CTX_set_ciphersuites(ctx, ciphers13))
		return refuse("TLS 1.3 ciphers", ciphers13, err, errlen);
	if (strcasecmp(groups, "none") != 0 && !SSL_CTX_set1_groups_list(ctx, groups))
		return refuse("TLS curves", groups, err, errlen);
	return 0;
}

int
tls_options_dhe(SSL_CTX *ctx, const struct tls_settings *s, char *err, size_t errlen)
{
	if (unset(s->dheparams) || strcasecmp(s->dheparams, "auto") == 0 ||
	    strcasecmp(s->dheparams, "legacy") == 0) {
		SSL_CTX_set_dh_auto(ctx, 1);
		return 0;
	}
	if (strcasecmp(s->dheparams, "none") == 0)
		return 0;
	snprintf(err, errlen, "TLS DHE parameters \"%s\" are not understood: expected auto or none",
	    s->dheparams);
	return -1;
}
