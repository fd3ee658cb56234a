#include "auth/auth_user.h"

#include "auth/md5_password.h"
#include "auth/scram_verifier.h"
#include "proxy/base/secret.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct auth_user {
	enum auth_secret kind;
	uint8_t name_len;
	uint32_t secret_len;
	_Atomic(struct scram_verifier *) verifier;
	char bytes[]; /* name, NUL, secret (but not a SCRAM one), NUL */
};

static size_t
size_of(size_t name_len, size_t secret_len)
{
	return sizeof(struct auth_user) + name_len + secret_len + 2;
}

static const char *
secret_of(const struct auth_user *u)
{
	return u->bytes + u->name_len + 1;
}

static enum auth_secret
kind_of(const char *secret, size_t len)
{
	if (len == 0)
		return AUTH_SECRET_NONE;
	if (md5_password_is(secret, len))
		return AUTH_SECRET_MD5;
	return scram_verifier_is(secret, len) ? AUTH_SECRET_SCRAM : AUTH_SECRET_PLAIN;
}

static struct scram_verifier *
parse_verifier(const char *secret, size_t len, bool *malformed)
{
	struct scram_verifier *v = malloc(sizeof(*v));

	if (v != NULL && scram_verifier_parse(v, secret, len) == -1) {
		/* to take it for a plain password would let the text itself log in */
		*malformed = true;
		secret_free(v, sizeof(*v));
		return NULL;
	}
	return v;
}

struct auth_user *
auth_user_new(const char *name, size_t name_len, const char *secret, size_t secret_len,
    bool *malformed)
{
	enum auth_secret kind = kind_of(secret, secret_len);
	struct scram_verifier *v = NULL;
	struct auth_user *u;

	*malformed = false;
	if (kind == AUTH_SECRET_SCRAM) {
		v = parse_verifier(secret, secret_len, malformed);
		if (v == NULL)
			return NULL;
		secret_len = 0;
	}
	u = calloc(1, size_of(name_len, secret_len));
	if (u == NULL)
		goto fail_verifier;
	u->kind = kind;
	u->name_len = (uint8_t)name_len;
	u->secret_len = (uint32_t)secret_len;
	atomic_init(&u->verifier, v);
	memcpy(u->bytes, name, name_len);
	memcpy(u->bytes + name_len + 1, secret, secret_len);
	for (size_t i = 0; kind == AUTH_SECRET_MD5 && i < secret_len; i++)
		u->bytes[name_len + 1 + i] = (char)tolower((unsigned char)secret[i]);
	return u;
fail_verifier:
	secret_free(v, sizeof(*v));
	return NULL;
}

void
auth_user_free(struct auth_user *u)
{
	if (u == NULL)
		return;
	secret_free(atomic_load(&u->verifier), sizeof(struct scram_verifier));
	secret_free(u, size_of(u->name_len, u->secret_len));
}

const char *
auth_user_name(const struct auth_user *u)
{
	return u->bytes;
}

enum auth_secret
auth_user_kind(const struct auth_user *u)
{
	return u->kind;
}

const char *
auth_user_plain(const struct auth_user *u)
{
	return u->kind == AUTH_SECRET_PLAIN ? secret_of(u) : NULL;
}

bool
auth_user_check_plain(const struct auth_user *u, const char *password, size_t len)
{
	char own[MD5_PASSWORD_LEN + 1];
	bool same;

	switch (u->kind) {
	case AUTH_SECRET_PLAIN:
		return secret_equal_text(password, len, secret_of(u), u->secret_len);
	case AUTH_SECRET_MD5:
		if (md5_password_make(own, password, len, u->bytes) == -1)
			return false;
		same = secret_equal(own, secret_of(u), MD5_PASSWORD_LEN);
		explicit_bzero(own, sizeof(own));
		return same;
	case AUTH_SECRET_SCRAM:
		return scram_verifier_matches(auth_user_verifier(u), password, len);
	default:
		return false;
	}
}

bool
auth_user_check_md5(const struct auth_user *u, const uint8_t salt[4], const char *answer,
    size_t len)
{
	char secret[MD5_PASSWORD_LEN + 1], want[MD5_PASSWORD_LEN + 1];
	bool same;

	if (u->kind == AUTH_SECRET_MD5)
		memcpy(secret, secret_of(u), sizeof(secret));
	else if (u->kind != AUTH_SECRET_PLAIN ||
		 md5_password_make(secret, secret_of(u), u->secret_len, u->bytes) == -1)
		return false;
	same = md5_password_answer(want, secret, salt) == 0 &&
	       secret_equal_text(answer, len, want, MD5_PASSWORD_LEN);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(want, sizeof(want));
	return same;
}

const struct scram_verifier *
auth_user_verifier(const struct auth_user *u)
{
	return atomic_load_explicit(&u->verifier, memory_order_acquire);
}

/* Two threads may both derive at a user's first login; the first to publish wins, and both use its
 * verifier. */
static const struct scram_verifier *
publish(const struct auth_user *u, struct scram_verifier *v)
{
	struct auth_user *owner = (struct auth_user *)(uintptr_t)u; /* the one field that changes */
	struct scram_verifier *none = NULL;

	if (atomic_compare_exchange_strong(&owner->verifier, &none, v))
		return v;
	secret_free(v, sizeof(*v));
	return none;
}

const struct scram_verifier *
auth_user_derive(const struct auth_user *u, const uint8_t *salt, size_t salt_len,
    uint32_t iterations)
{
	const struct scram_verifier *v = auth_user_verifier(u);
	struct scram_verifier *fresh;

	if (v == NULL) {
		if (u->kind != AUTH_SECRET_PLAIN)
			return NULL;
		fresh = malloc(sizeof(*fresh));
		if (fresh == NULL)
			return NULL;
		scram_verifier_derive(fresh, secret_of(u), u->secret_len, salt, salt_len,
		    iterations);
		v = publish(u, fresh);
	}
	if (v->iterations != iterations || v->salt_len != salt_len ||
	    memcmp(v->salt, salt, salt_len) != 0)
		return NULL;
	return v;
}
