#include "auth/scram_verifier.h"

#include "auth/saslprep.h"
#include "proxy/base/secret.h"

#include <pthread.h>
#include <string.h>

#define PREFIX "SCRAM-SHA-256$"

static pthread_once_t mock_once = PTHREAD_ONCE_INIT;
static bool mock_ready;
static struct hmac_key mock_seed;
static struct scram_verifier mock;

static void
prepare_keys(struct scram_verifier *v)
{
	hmac_key_init(&v->stored, v->stored_key, SCRAM_KEY_LEN);
	hmac_key_init(&v->server, v->server_key, SCRAM_KEY_LEN);
}

bool
scram_verifier_is(const char *text, size_t len)
{
	return len >= strlen(PREFIX) && memcmp(text, PREFIX, strlen(PREFIX)) == 0;
}

/* Cuts the piece before `sep` off the text; false when there is no such character. */
static bool
cut(const char **text, size_t *len, char sep, const char **piece, size_t *piece_len)
{
	const char *at = memchr(*text, sep, *len);

	if (at == NULL)
		return false;
	*piece = *text;
	*piece_len = (size_t)(at - *text);
	*text = at + 1;
	*len -= *piece_len + 1;
	return true;
}

static bool
read_iterations(const char *text, size_t len, uint32_t *out)
{
	uint32_t n = 0;

	if (len == 0 || len > 8)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		n = n * 10 + (uint32_t)(text[i] - '0');
	}
	*out = n;
	return n >= 1 && n <= SCRAM_ITERATIONS_MAX;
}

int
scram_verifier_parse(struct scram_verifier *v, const char *text, size_t len)
{
	const char *piece;
	size_t piece_len;
	ssize_t n;

	memset(v, 0, sizeof(*v));
	if (!scram_verifier_is(text, len))
		return -1;
	text += strlen(PREFIX);
	len -= strlen(PREFIX);
	if (!cut(&text, &len, ':', &piece, &piece_len) ||
	    !read_iterations(piece, piece_len, &v->iterations))
		goto malformed;
	if (!cut(&text, &len, '$', &piece, &piece_len))
		goto malformed;
	n = secret_base64_decode(v->salt, sizeof(v->salt), piece, piece_len);
	if (n < 1)
		goto malformed;
	v->salt_len = (uint8_t)n;
	if (!cut(&text, &len, ':', &piece, &piece_len))
		goto malformed;
	if (secret_base64_decode(v->stored_key, SCRAM_KEY_LEN, piece, piece_len) != SCRAM_KEY_LEN)
		goto malformed;
	if (secret_base64_decode(v->server_key, SCRAM_KEY_LEN, text, len) != SCRAM_KEY_LEN)
		goto malformed;
	prepare_keys(v);
	return 0;
malformed:
	scram_verifier_wipe(v);
	return -1;
}

void
scram_verifier_derive(struct scram_verifier *v, const char *password, size_t len,
    const uint8_t *salt, size_t salt_len, uint32_t iterations)
{
	size_t prepared_len = 0;
	char *prepared = saslprep(password, len, &prepared_len);
	uint8_t salted[HMAC_LEN], client_key[HMAC_LEN];
	struct hmac_key k;

	memset(v, 0, sizeof(*v));
	v->iterations = iterations;
	v->salt_len = (uint8_t)salt_len;
	memcpy(v->salt, salt, salt_len);
	if (prepared != NULL)
		hmac_pbkdf2(prepared, prepared_len, salt, salt_len, iterations, salted);
	else
		hmac_pbkdf2(password, len, salt, salt_len, iterations, salted);
	saslprep_free(prepared, prepared_len);
	hmac_key_init(&k, salted, sizeof(salted));
	hmac_sign(&k, "Client Key", 10, client_key);
	hmac_digest(client_key, sizeof(client_key), v->stored_key);
	hmac_sign(&k, "Server Key", 10, v->server_key);
	prepare_keys(v);
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client_key, sizeof(client_key));
	explicit_bzero(&k, sizeof(k));
}

bool
scram_verifier_matches(const struct scram_verifier *v, const char *password, size_t len)
{
	struct scram_verifier own;
	bool same;

	scram_verifier_derive(&own, password, len, v->salt, v->salt_len, v->iterations);
	same = secret_equal(own.stored_key, v->stored_key, SCRAM_KEY_LEN);
	scram_verifier_wipe(&own);
	return same;
}

void
scram_verifier_wipe(struct scram_verifier *v)
{
	explicit_bzero(v, sizeof(*v));
}

static void
mock_init(void)
{
	uint8_t seed[HMAC_LEN];

	if (secret_random(seed, sizeof(seed)) == -1 ||
	    secret_random(mock.stored_key, SCRAM_KEY_LEN) == -1 ||
	    secret_random(mock.server_key, SCRAM_KEY_LEN) == -1)
		return;
	hmac_key_init(&mock_seed, seed, sizeof(seed));
	explicit_bzero(seed, sizeof(seed));
	mock.iterations = SCRAM_ITERATIONS_DEFAULT;
	mock.salt_len = SCRAM_SALT_LEN;
	prepare_keys(&mock);
	mock_ready = true;
}

int
scram_verifier_mock_salt(const char *user, uint8_t salt[SCRAM_SALT_LEN])
{
	uint8_t whole[HMAC_LEN];

	pthread_once(&mock_once, mock_init);
	if (!mock_ready)
		return -1;
	hmac_sign(&mock_seed, user, strlen(user), whole);
	memcpy(salt, whole, SCRAM_SALT_LEN);
	return 0;
}

const struct scram_verifier *
scram_verifier_mock(void)
{
	pthread_once(&mock_once, mock_init);
	return mock_ready ? &mock : NULL;
}
