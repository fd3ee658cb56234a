#include "auth/source/local_source.h"

#include "auth/hmac.h"
#include "proxy/base/secret.h"
#include "proxy/base/secure.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_DIGITS 12
#define USED_UP_PART   4 / 5 /* of its life, then a value that ends is fetched anew */

/* ---- opening ---- */

static void
on_due(struct deadline *d)
{
	struct local_source *s = list_entry(d, struct local_source, due);

	if (s->stage == SECRET_CURRENT)
		s->work(s);
	else
		local_source_fail(s, SECRET_NOT_SERVED,
		    "provider %s knows the current version only", s->base.ops->name);
}

void *
local_source_new(size_t size, const struct secret_source_ops *ops, const char *const *taken,
    const struct config_secret *cfg, const struct secret_source_env *env,
    void (*work)(struct local_source *), char *err, size_t errlen)
{
	struct local_source *s;

	if (source_entry_check(cfg, taken, err, errlen) == -1)
		return NULL;
	s = calloc(1, size);
	if (s == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	if (source_form_init(&s->form, cfg, err, errlen) == -1) {
		free(s);
		return NULL;
	}
	s->base.ops = ops;
	s->loop = env->loop;
	s->unix_ms = env->unix_ms;
	s->work = work;
	deadline_init(&s->due, on_due);
	return s;
}

void
local_source_destroy(struct local_source *s)
{
	loop_deadline_remove(s->loop, &s->due);
	source_form_release(&s->form);
}

/* ---- a fetch ---- */

void
local_source_fetch(struct secret_source *base, enum secret_stage stage, secret_fetched *done,
    void *arg)
{
	struct local_source *s = (struct local_source *)base;

	s->stage = stage;
	s->done = done;
	s->arg = arg;
	s->begun_ms = loop_now_ms(s->loop);
	local_source_again(s, 0);
}

void
local_source_again(struct local_source *s, uint64_t after_ms)
{
	loop_deadline(s->loop, &s->due, loop_now_ms(s->loop) + after_ms);
}

/* done() may start the next fetch, so this one is over before it is called. */
static void
give(struct local_source *s, const struct secret_answer *a)
{
	secret_fetched *done = s->done;

	s->done = NULL;
	done(s->arg, a);
}

void
local_source_fail(struct local_source *s, enum secret_error error, const char *fmt, ...)
{
	struct secret_answer a = { .error = error };
	char message[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	a.message = message;
	give(s, &a);
}

/* ---- from text to value ---- */

static bool
begins_with_brace(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (memchr(" \t\r\n", text[i], 4) == NULL)
			return text[i] == '{';
	return false;
}

static bool
is_one_line(const char *text, size_t len)
{
	size_t i;

	if (len > 0 && text[len - 1] == '\n')
		len--;
	for (i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return true;
}

/* What format=auto does not take for a password. */
static int
read_value(const struct local_source *s, struct secret_value *v, const char *text, size_t len,
    char *err, size_t errlen)
{
	const struct source_form *form = &s->form;

	if (form->format != SOURCE_FORM_AUTO)
		return source_form_read(form, v, text, len, err, errlen);
	if (begins_with_brace(text, len))
		return secret_value_parse(v, text, len, &form->names, false, err, errlen);
	if (is_one_line(text, len))
		return source_form_read(form, v, text, len, err, errlen);
	snprintf(err, errlen, "neither JSON nor one line without control characters");
	return -1;
}

/* ---- version ids ---- */

static const struct hmac_key *
version_key(void)
{
	static struct hmac_key *key;
	unsigned char drawn[HMAC_LEN];

	if (key != NULL)
		return key;
	if (secret_random(drawn, sizeof(drawn)) == -1)
		return NULL;
	key = secure_alloc(sizeof(*key));
	if (key != NULL)
		hmac_key_init(key, drawn, sizeof(drawn));
	explicit_bzero(drawn, sizeof(drawn));
	return key;
}

/* state = MAC(state, MAC(part)): no two lists of parts run into each other. */
static void
mix(const struct hmac_key *key, unsigned char state[HMAC_LEN], const void *part, size_t len)
{
	unsigned char both[2 * HMAC_LEN];

	memcpy(both, state, HMAC_LEN);
	hmac_sign(key, part, len, both + HMAC_LEN);
	hmac_sign(key, both, sizeof(both), state);
	explicit_bzero(both, sizeof(both));
}

static int
name_version(struct secret_value *v)
{
	const struct hmac_key *key;
	unsigned char mac[HMAC_LEN] = { 0 };
	size_t i;

	if (v->version[0] != '\0')
		return 0;
	key = version_key();
	if (key == NULL)
		return -1;
	mix(key, mac, v->user, strlen(v->user));
	mix(key, mac, v->password, v->password_len);
	mix(key, mac, v->host, strlen(v->host));
	mix(key, mac, v->dbname, strlen(v->dbname));
	mix(key, mac, &v->port, sizeof(v->port));
	for (i = 0; i < VERSION_DIGITS / 2; i++)
		snprintf(v->version + 2 * i, 3, "%02x", mac[i]);
	return 0;
}

/* ---- the answer ---- */

static void
give_value(struct local_source *s, const char *what, struct secret_value *v)
{
	struct secret_answer a = { .error = SECRET_OK, .value = v, .version = v->version };
	int64_t now = s->unix_ms();

	if (v->expires_unix_ms != 0 && v->expires_unix_ms <= now) {
		local_source_fail(s, SECRET_BAD_VALUE, "%s: its Expiration has passed", what);
		return;
	}
	if (name_version(v) == -1) {
		local_source_fail(s, SECRET_TRANSIENT, "out of memory or of random bytes");
		return;
	}
	if (v->expires_unix_ms != 0) {
		a.expires_unix_ms = v->expires_unix_ms;
		a.refresh_unix_ms = now + (v->expires_unix_ms - now) * USED_UP_PART;
	}
	give(s, &a);
}

void
local_source_answer(struct local_source *s, const char *what, const char *text, size_t len,
    const char *user)
{
	struct secret_value *v = secure_alloc(sizeof(*v));
	char err[256];

	if (v == NULL) {
		local_source_fail(s, SECRET_TRANSIENT, "out of memory for secrets");
		return;
	}
	if (read_value(s, v, text, len, err, sizeof(err)) == -1) {
		local_source_fail(s, SECRET_BAD_VALUE, "%s: %s", what, err);
	} else {
		if (user != NULL)
			snprintf(v->user, sizeof(v->user), "%s", user);
		give_value(s, what, v);
	}
	secure_free(v);
}
