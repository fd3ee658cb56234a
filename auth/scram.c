#include "auth/scram.h"

#include "proxy/base/secret.h"

#include <stdio.h>
#include <string.h>

#define CB_TYPE "p=tls-server-end-point,,"

struct cursor {
	const char *p, *end;
};

static bool
take(struct cursor *c, char want)
{
	if (c->p == c->end || *c->p != want)
		return false;
	c->p++;
	return true;
}

/* Reads "<name>=<value>" and the comma behind it, if any; name 0 takes any letter. */
static bool
attribute(struct cursor *c, char name, const char **value, size_t *len)
{
	const char *comma;

	if (c->end - c->p < 2 || c->p[1] != '=')
		return false;
	if (name != 0 ? *c->p != name
		      : !((*c->p >= 'a' && *c->p <= 'z') || (*c->p >= 'A' && *c->p <= 'Z')))
		return false;
	*value = c->p + 2;
	comma = memchr(*value, ',', (size_t)(c->end - *value));
	*len = (size_t)((comma != NULL ? comma : c->end) - *value);
	c->p = comma != NULL ? comma + 1 : c->end;
	return true;
}

/* The gs2 header says what the client thinks of channel binding. 'y' means that it could bind but
 * believes we cannot: if we offered it, somebody removed the offer on the way. */
static enum scram_result
gs2_header(struct scram_exchange *x, struct cursor *c)
{
	size_t type_len = strlen(CB_TYPE) - 2, len;
	const char *type;

	if (c->p == c->end)
		return SCRAM_MALFORMED;
	x->gs2_flag = *c->p;
	switch (x->gs2_flag) {
	case 'n':
	case 'y':
		c->p++;
		if (x->plus || !take(c, ','))
			return SCRAM_MALFORMED;
		if (x->gs2_flag == 'y' && x->plus_offered)
			return SCRAM_BINDING;
		break;
	case 'p':
		if (!x->plus || !attribute(c, 'p', &type, &len) || c->p == c->end)
			return SCRAM_MALFORMED;
		if (len + 2 != type_len || memcmp(type - 2, CB_TYPE, type_len) != 0)
			return SCRAM_BINDING;
		break;
	default:
		return SCRAM_MALFORMED;
	}
	return take(c, ',') ? SCRAM_OK
			    : SCRAM_MALFORMED; /* an authorization identity is not served */
}

static bool
printable(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] < 0x21 || s[i] > 0x7e)
			return false;
	}
	return len > 0;
}

static void
append(struct scram_exchange *x, const char *s, size_t len)
{
	memcpy(x->text + x->text_len, s, len);
	x->text_len = (uint16_t)(x->text_len + len);
}

static void
compose_server_first(struct scram_exchange *x, const char *client_nonce, size_t client_len,
    const char *nonce, const uint8_t *salt, size_t salt_len, uint32_t iterations)
{
	char tail[8 + SECRET_BASE64_LEN(SCRAM_SALT_MAX) + 16];
	char salt_text[SECRET_BASE64_LEN(SCRAM_SALT_MAX) + 1];
	size_t own_len = strnlen(nonce, 64);
	int n;

	append(x, ",", 1);
	x->first_at = x->text_len;
	append(x, "r=", 2);
	x->nonce_at = x->text_len;
	x->nonce_len = (uint16_t)(client_len + own_len);
	append(x, client_nonce, client_len);
	append(x, nonce, own_len);
	secret_base64_encode(salt_text, sizeof(salt_text), salt, salt_len);
	n = snprintf(tail, sizeof(tail), ",s=%s,i=%u", salt_text, (unsigned int)iterations);
	append(x, tail, (size_t)n);
	x->first_len = (uint16_t)(x->text_len - x->first_at);
}

enum scram_result
scram_first(struct scram_exchange *x, const void *msg, size_t len, const char *nonce,
    const uint8_t *salt, size_t salt_len, uint32_t iterations)
{
	struct cursor c = { msg, (const char *)msg + len };
	const char *client_nonce, *skipped;
	size_t nonce_len, skipped_len;
	enum scram_result r;

	if (len == 0 || len > SCRAM_CLIENT_FIRST_MAX || salt_len > SCRAM_SALT_MAX ||
	    memchr(msg, 0, len) != NULL)
		return SCRAM_MALFORMED;
	r = gs2_header(x, &c);
	if (r != SCRAM_OK)
		return r;
	x->text_len = 0;
	append(x, c.p, (size_t)(c.end - c.p));
	/* the name is that of the startup message, whatever stands here, as in PostgreSQL */
	if (!attribute(&c, 'n', &skipped, &skipped_len) ||
	    !attribute(&c, 'r', &client_nonce, &nonce_len) || !printable(client_nonce, nonce_len))
		return SCRAM_MALFORMED;
	while (c.p != c.end) {
		if (!attribute(&c, 0, &skipped, &skipped_len))
			return SCRAM_MALFORMED;
	}
	compose_server_first(x, client_nonce, nonce_len, nonce, salt, salt_len, iterations);
	return SCRAM_OK;
}

const char *
scram_server_first(const struct scram_exchange *x, size_t *len)
{
	*len = x->first_len;
	return x->text + x->first_at;
}

/* c= repeats the gs2 header of client-first, and with -PLUS carries the hash of the certificate
 * that the client saw. The client's text is compared with the one that we would have sent. */
static enum scram_result
channel_binding(const struct scram_exchange *x, const char *value, size_t len)
{
	uint8_t raw[sizeof(CB_TYPE) + SCRAM_CB_MAX];
	char text[SECRET_BASE64_LEN(sizeof(raw)) + 1];
	size_t head = strlen(CB_TYPE), text_len;

	if (!x->plus) {
		const char *want = x->gs2_flag == 'y' ? "eSws" : "biws";

		return len == 4 && memcmp(value, want, 4) == 0 ? SCRAM_OK : SCRAM_MALFORMED;
	}
	if (x->cb_len == 0 || x->cb_len > SCRAM_CB_MAX)
		return SCRAM_BINDING;
	memcpy(raw, CB_TYPE, head);
	memcpy(raw + head, x->cb_hash, x->cb_len);
	text_len = secret_base64_encode(text, sizeof(text), raw, head + x->cb_len);
	return len == text_len && secret_equal(value, text, len) ? SCRAM_OK : SCRAM_BINDING;
}

enum scram_result
scram_final(struct scram_exchange *x, const void *msg, size_t len)
{
	struct cursor c = { msg, (const char *)msg + len };
	const char *value, *proof;
	enum scram_result binding;
	size_t value_len;

	if (len == 0 || len > SCRAM_CLIENT_FINAL_MAX || memchr(msg, 0, len) != NULL)
		return SCRAM_MALFORMED;
	if (!attribute(&c, 'c', &value, &value_len))
		return SCRAM_MALFORMED;
	binding = channel_binding(x, value, value_len);
	if (binding != SCRAM_OK)
		return binding;
	if (!attribute(&c, 'r', &value, &value_len) || value_len != x->nonce_len ||
	    !secret_equal(value, x->text + x->nonce_at, value_len))
		return SCRAM_MALFORMED;
	do {
		proof = c.p;
		if (!attribute(&c, 0, &value, &value_len))
			return SCRAM_MALFORMED;
	} while (*proof != 'p');
	if (c.p != c.end ||
	    secret_base64_decode(x->proof, SCRAM_KEY_LEN, value, value_len) != SCRAM_KEY_LEN)
		return SCRAM_MALFORMED;
	x->text_len = (uint16_t)(x->first_at + x->first_len);
	append(x, ",", 1);
	append(x, msg, (size_t)(proof - 1 - (const char *)msg));
	return SCRAM_OK;
}

bool
scram_check(const struct scram_exchange *x, const struct scram_verifier *v,
    char server_final[SCRAM_SERVER_FINAL_LEN + 1])
{
	uint8_t key[HMAC_LEN], digest[HMAC_LEN], signature[HMAC_LEN];
	bool same;

	hmac_sign(&v->stored, x->text, x->text_len, key);
	for (size_t i = 0; i < SCRAM_KEY_LEN; i++)
		key[i] ^= x->proof[i];
	hmac_digest(key, sizeof(key), digest);
	same = secret_equal(digest, v->stored_key, SCRAM_KEY_LEN);
	hmac_sign(&v->server, x->text, x->text_len, signature);
	memcpy(server_final, "v=", 2);
	secret_base64_encode(server_final + 2, SCRAM_SERVER_FINAL_LEN - 1, signature,
	    sizeof(signature));
	explicit_bzero(key, sizeof(key)); /* the client's key: as good as its password */
	return same;
}
