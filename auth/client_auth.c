#include "auth/client_auth_inside.h"

#include "auth/hmac.h"
#include "auth/md5_password.h"
#include "auth/scram.h"
#include "auth/secret.h"
#include "auth/userlist.h"
#include "proxy/base/buf.h"
#include "proxy/base/secret.h"
#include "proxy/config/config.h"

#include <stdlib.h>
#include <string.h>

#define PLUS_NAME  "SCRAM-SHA-256-PLUS"
#define PLAIN_NAME "SCRAM-SHA-256"

static size_t
kind_count(const struct client_auth *a, enum auth_secret kind)
{
	return a->users != NULL ? userlist_count_kind(a->users, kind) : 0;
}

void
client_auth_put_header(struct buf *out, uint32_t code, size_t body)
{
	buf_put_u8(out, 'R');
	buf_put_u32(out, (uint32_t)(8 + body));
	buf_put_u32(out, code);
}

void
client_auth_put(struct buf *out, uint32_t code, const void *body, size_t len)
{
	client_auth_put_header(out, code, len);
	buf_put(out, body, len);
}

/* ---- the beginning ---- */

static uint32_t
own_iterations(const struct client_auth *a, const struct client_auth_offer *o)
{
	uint32_t n = o->scram_iterations > 0 ? (uint32_t)o->scram_iterations
					     : SCRAM_ITERATIONS_DEFAULT;

	/* a stand-in and a user of the secret look the same */
	if (a->secret != NULL)
		return secret_iterations(a->secret);
	if (n > SCRAM_ITERATIONS_MAX)
		n = SCRAM_ITERATIONS_MAX;
	if (a->user != NULL && auth_user_kind(a->user) == AUTH_SECRET_PLAIN)
		return n;
	/* a stand-in shows what most users of the list show */
	return kind_count(a, AUTH_SECRET_SCRAM) > kind_count(a, AUTH_SECRET_PLAIN)
		   ? userlist_iterations(a->users)
		   : n;
}

static int
begin_scram(struct client_auth *a, const struct client_auth_offer *o, struct buf *out)
{
	const struct scram_verifier *v = a->user != NULL ? auth_user_verifier(a->user) : NULL;
	bool plus = o->tls && o->cb_hash != NULL && o->cb_len > 0 && o->cb_len <= SCRAM_CB_MAX;

	a->scram = calloc(1, sizeof(*a->scram));
	if (a->scram == NULL)
		return -1;
	if (v != NULL) {
		a->iterations = v->iterations;
		a->salt_len = v->salt_len;
		memcpy(a->salt, v->salt, v->salt_len);
	} else {
		a->iterations = own_iterations(a, o);
		a->salt_len = SCRAM_SALT_LEN;
		if (scram_verifier_mock_salt(o->user, a->salt) == -1)
			return -1;
	}
	if (plus) {
		a->scram->plus_offered = true;
		a->scram->cb_len = o->cb_len;
		memcpy(a->scram->cb_hash, o->cb_hash, o->cb_len);
	}
	client_auth_put_header(out, R_SASL,
	    (plus ? sizeof(PLUS_NAME) : 0) + sizeof(PLAIN_NAME) + 1);
	if (plus)
		buf_put_str(out, PLUS_NAME);
	buf_put_str(out, PLAIN_NAME);
	buf_put_u8(out, 0);
	a->step = STEP_SASL_INITIAL;
	return 0;
}

static bool
md5_becomes_scram(const struct client_auth *a)
{
	if (a->user != NULL)
		return auth_user_kind(a->user) == AUTH_SECRET_SCRAM;
	if (a->secret != NULL)
		return true;
	return kind_count(a, AUTH_SECRET_SCRAM) >
	       kind_count(a, AUTH_SECRET_PLAIN) + kind_count(a, AUTH_SECRET_MD5);
}

static int
begin_md5(struct client_auth *a, struct buf *out)
{
	if (secret_random(a->md5_salt, sizeof(a->md5_salt)) == -1)
		return -1;
	client_auth_put(out, R_MD5, a->md5_salt, sizeof(a->md5_salt));
	a->step = STEP_MD5;
	return 0;
}

/* Nothing is asked, but the user has to exist. */
static enum auth_verdict
known(struct client_auth *a)
{
	if (a->user != NULL)
		return AUTH_OK;
	if (a->secret == NULL)
		return AUTH_FAILED;
	a->by_name = true;
	return client_auth_secret_name(a);
}

static bool
certificate_fits(const struct client_auth_offer *o)
{
	return o->tls && o->cert_cn != NULL && strcmp(o->cert_cn, o->user) == 0;
}

/* Asks the client what the method asks for, or decides; -1 = no memory or randomness. */
static int
begin(struct client_auth *a, const struct client_auth_offer *o, struct buf *out,
    enum auth_verdict *v)
{
	*v = AUTH_MORE;
	if (o->outside) {
		client_auth_put(out, R_CLEARTEXT, NULL, 0);
		a->step = STEP_PLAIN;
		return 0;
	}
	switch (o->method) {
	case AUTH_ANY:
		*v = AUTH_OK;
		return 0;
	case AUTH_TRUST:
		*v = known(a);
		return 0;
	case AUTH_CERT:
		*v = certificate_fits(o) ? known(a) : AUTH_FAILED;
		return 0;
	case AUTH_PLAIN:
		client_auth_put(out, R_CLEARTEXT, NULL, 0);
		a->step = STEP_PLAIN;
		return 0;
	case AUTH_MD5:
		return md5_becomes_scram(a) ? begin_scram(a, o, out) : begin_md5(a, out);
	case AUTH_SCRAM:
		return begin_scram(a, o, out);
	default:
		*v = AUTH_FAILED;
		return 0;
	}
}

struct client_auth *
client_auth_new(const struct client_auth_offer *o, struct buf *out, enum auth_verdict *v)
{
	struct client_auth *a = calloc(1, sizeof(*a));

	*v = AUTH_FAILED;
	if (a == NULL)
		return NULL;
	a->outside = o->outside;
	if (o->users != NULL && !o->outside) {
		/* only the counter changes */
		a->users = userlist_ref((struct userlist *)(uintptr_t)o->users);
		a->user = userlist_find(a->users, o->user);
	}
	if (a->user == NULL && o->secret != NULL && !o->outside &&
	    strlen(o->user) < sizeof(a->name)) {
		a->secret = o->secret;
		memcpy(a->name, o->user, strlen(o->user));
	}
	if (begin(a, o, out, v) == -1) {
		*v = AUTH_FAILED;
		client_auth_free(a);
		return NULL;
	}
	return a;
}

void
client_auth_free(struct client_auth *a)
{
	if (a == NULL)
		return;
	secret_free(a->scram, sizeof(*a->scram));
	secret_free(a->answer, a->answer_len);
	userlist_unref(a->users);
	secret_free(a, sizeof(*a));
}

/* ---- the steps; each returns a verdict and sets the next step only when there is one ---- */

/* A PasswordMessage is one string: the text without its NUL, or NULL. */
static const char *
password_text(const uint8_t *payload, size_t len, size_t *text_len)
{
	if (len == 0 || len > CLIENT_AUTH_PAYLOAD_MAX ||
	    memchr(payload, 0, len) != payload + len - 1)
		return NULL;
	*text_len = len - 1;
	return (const char *)payload;
}

enum auth_verdict
client_auth_recheck(struct client_auth *a, struct buf *out)
{
	if (a->step != STEP_WAIT)
		return AUTH_PROTOCOL_ERROR;
	return a->by_name ? client_auth_secret_name(a) : client_auth_secret_decide(a, out);
}

/* ---- the steps of the dialogue ---- */

static enum auth_verdict
step_plain(struct client_auth *a, const uint8_t *payload, size_t len, struct buf *out)
{
	size_t text_len;
	const char *text = password_text(payload, len, &text_len);
	bool fits;

	if (text == NULL)
		return AUTH_PROTOCOL_ERROR;
	if ((a->secret != NULL || a->outside) && text_len > 0) {
		a->answer = secret_dup(text, text_len);
		a->answer_len = text_len;
		if (a->answer == NULL)
			return AUTH_FAILED;
		return a->outside ? AUTH_GIVEN : client_auth_secret_decide(a, out);
	}
	fits = a->user != NULL && text_len > 0 && auth_user_check_plain(a->user, text, text_len);
	/* where some secrets cost PBKDF2, all do */
	if (kind_count(a, AUTH_SECRET_SCRAM) > 0 &&
	    (a->user == NULL || text_len == 0 || auth_user_kind(a->user) != AUTH_SECRET_SCRAM)) {
		uint8_t waste[HMAC_LEN];

		hmac_pbkdf2(text, text_len, "pgsluice", SCRAM_SALT_LEN / 2,
		    userlist_iterations(a->users), waste);
		explicit_bzero(waste, sizeof(waste));
	}
	return fits ? AUTH_OK : AUTH_FAILED;
}

const char *
client_auth_password(const struct client_auth *a, size_t *len)
{
	*len = a->answer_len;
	return a->answer;
}

static enum auth_verdict
step_md5(struct client_auth *a, const uint8_t *payload, size_t len)
{
	char waste[MD5_PASSWORD_LEN + 1];
	size_t text_len;
	const char *text = password_text(payload, len, &text_len);

	if (text == NULL)
		return AUTH_PROTOCOL_ERROR;
	if (a->user != NULL)
		return auth_user_check_md5(a->user, a->md5_salt, text, text_len) ? AUTH_OK
										 : AUTH_FAILED;
	md5_password_answer(waste, "md500000000000000000000000000000000", a->md5_salt);
	return AUTH_FAILED;
}

static enum auth_verdict
refusal(enum scram_result r)
{
	return r == SCRAM_BINDING ? AUTH_FAILED : AUTH_PROTOCOL_ERROR;
}

static enum auth_verdict
step_sasl_first(struct client_auth *a, const uint8_t *msg, size_t len, struct buf *out)
{
	char nonce[SCRAM_NONCE_LEN + 1];
	uint8_t raw[SCRAM_NONCE_RAW];
	enum scram_result r;
	const char *text;

	if (secret_random(raw, sizeof(raw)) == -1)
		return AUTH_FAILED;
	secret_base64_encode(nonce, sizeof(nonce), raw, sizeof(raw));
	r = scram_first(a->scram, msg, len, nonce, a->salt, a->salt_len, a->iterations);
	if (r != SCRAM_OK)
		return refusal(r);
	text = scram_server_first(a->scram, &len);
	client_auth_put(out, R_SASL_CONTINUE, text, len);
	a->step = STEP_SASL_FINAL;
	return AUTH_MORE;
}

static bool
choose_mechanism(struct scram_exchange *x, const uint8_t *payload, size_t len)
{
	if (x->plus_offered && len == sizeof(PLUS_NAME) && memcmp(payload, PLUS_NAME, len) == 0) {
		x->plus = true;
		return true;
	}
	return len == sizeof(PLAIN_NAME) && memcmp(payload, PLAIN_NAME, len) == 0;
}

/* Name, NUL, a length, that many bytes; length -1 says that there is no initial response. The
 * length is only ever compared with what arrived. */
static enum auth_verdict
step_sasl_initial(struct client_auth *a, const uint8_t *payload, size_t len, struct buf *out)
{
	const uint8_t *nul = len > 0 ? memchr(payload, 0, len) : NULL;
	const uint8_t *p;
	uint32_t claimed;
	size_t left;

	if (nul == NULL || !choose_mechanism(a->scram, payload, (size_t)(nul - payload) + 1))
		return AUTH_PROTOCOL_ERROR;
	p = nul + 1;
	left = len - (size_t)(p - payload);
	if (left < 4)
		return AUTH_PROTOCOL_ERROR;
	claimed = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	left -= 4;
	if (claimed == UINT32_MAX && left == 0) {
		client_auth_put(out, R_SASL_CONTINUE, NULL, 0);
		a->step = STEP_SASL_FIRST;
		return AUTH_MORE;
	}
	return claimed == left ? step_sasl_first(a, p + 4, left, out) : AUTH_PROTOCOL_ERROR;
}

static enum auth_verdict
step_sasl_final(struct client_auth *a, const uint8_t *msg, size_t len, struct buf *out)
{
	const struct scram_verifier *v = NULL, *mock = scram_verifier_mock();
	char server_final[SCRAM_SERVER_FINAL_LEN + 1];
	enum scram_result r = scram_final(a->scram, msg, len);
	bool fits;

	if (r != SCRAM_OK)
		return refusal(r);
	if (a->secret != NULL)
		return client_auth_secret_decide(a, out);
	if (a->user != NULL)
		v = auth_user_derive(a->user, a->salt, a->salt_len, a->iterations);
	if (v == NULL && mock == NULL)
		return AUTH_FAILED;
	fits = scram_check(a->scram, v != NULL ? v : mock, server_final);
	if (!fits || v == NULL)
		return AUTH_FAILED;
	client_auth_put(out, R_SASL_FINAL, server_final, SCRAM_SERVER_FINAL_LEN);
	return AUTH_OK;
}

enum auth_verdict
client_auth_input(struct client_auth *a, const uint8_t *payload, size_t len, struct buf *out)
{
	enum step step = a->step;

	a->step = STEP_DONE;
	switch (step) {
	case STEP_PLAIN:
		return step_plain(a, payload, len, out);
	case STEP_MD5:
		return step_md5(a, payload, len);
	case STEP_SASL_INITIAL:
		return step_sasl_initial(a, payload, len, out);
	case STEP_SASL_FIRST:
		return step_sasl_first(a, payload, len, out);
	case STEP_SASL_FINAL:
		return step_sasl_final(a, payload, len, out);
	default:
		return AUTH_PROTOCOL_ERROR;
	}
}
