#include "auth/source/source_entry.h"

#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY(member)                                                                                \
	{                                                                                          \
#member, offsetof(struct config_secret, member)                                    \
	}

static const struct {
	const char *name;
	size_t at;
} keys[] = {
	KEY(secret_id),
	KEY(region),
	KEY(endpoint),
	KEY(profile),
	KEY(role_arn),
	KEY(path),
	KEY(user_path),
	KEY(command),
	KEY(role),
	KEY(role_type),
	KEY(mount),
	KEY(namespace),
	KEY(auth_method),
	KEY(auth_mount),
	KEY(auth_role),
	KEY(role_id),
	KEY(role_id_file),
	KEY(secret_id_file),
	KEY(token_file),
	KEY(client_id),
	KEY(ca_file),
	KEY(cert_file),
	KEY(key_file),
};

static void
say_taken(const char *key, const char *provider, const char *const *taken, char *err, size_t errlen)
{
	int n = snprintf(err, errlen, "%s: not a key of provider %s, which takes", key, provider);

	for (size_t i = 0; taken[i] != NULL && n > 0 && (size_t)n < errlen; i++)
		n += snprintf(err + n, errlen - (size_t)n, "%s %s", i == 0 ? "" : ",", taken[i]);
}

int
source_entry_check(const struct config_secret *c, const char *const *taken, char *err,
    size_t errlen)
{
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *value;
		size_t t = 0;

		memcpy(&value, (const char *)c + keys[i].at, sizeof(value));
		if (value == NULL)
			continue;
		while (taken[t] != NULL && strcmp(taken[t], keys[i].name) != 0)
			t++;
		if (taken[t] == NULL) {
			say_taken(keys[i].name, c->provider, taken, err, errlen);
			return -1;
		}
	}
	return 0;
}

static int
copy_name(const char **to, const char *from)
{
	if (from == NULL)
		return 0;
	*to = strdup(from);
	return *to == NULL ? -1 : 0;
}

int
source_form_init(struct source_form *f, const struct config_secret *c, char *err, size_t errlen)
{
	*f = (struct source_form){ .format = SOURCE_FORM_AUTO };
	if (c->format == NULL || strcmp(c->format, "auto") == 0)
		f->format = SOURCE_FORM_AUTO;
	else if (strcmp(c->format, "json") == 0)
		f->format = SOURCE_FORM_JSON;
	else if (strcmp(c->format, "plain") == 0)
		f->format = SOURCE_FORM_PLAIN;
	else {
		snprintf(err, errlen, "format=%s: must be json, plain or auto", c->format);
		return -1;
	}
	if (copy_name(&f->names.user, c->user_key) == -1 ||
	    copy_name(&f->names.password, c->password_key) == -1 ||
	    copy_name(&f->names.host, c->host_key) == -1 ||
	    copy_name(&f->names.port, c->port_key) == -1 ||
	    copy_name(&f->names.dbname, c->dbname_key) == -1) {
		source_form_release(f);
		snprintf(err, errlen, "out of memory");
		return -1;
	}
	return 0;
}

void
source_form_release(struct source_form *f)
{
	free((char *)f->names.user);
	free((char *)f->names.password);
	free((char *)f->names.host);
	free((char *)f->names.port);
	free((char *)f->names.dbname);
	*f = (struct source_form){ .format = SOURCE_FORM_AUTO };
}

/* A password that happens to look like JSON. */
static int
read_plain(struct secret_value *v, const char *text, size_t len, char *err, size_t errlen)
{
	memset(v, 0, sizeof(*v));
	if (len != 0 && text[len - 1] == '\n')
		len--;
	if (len == 0)
		snprintf(err, errlen, "the secret is empty");
	else if (len > SECRET_PASSWORD_MAX)
		snprintf(err, errlen, "the password is longer than %d bytes", SECRET_PASSWORD_MAX);
	else if (memchr(text, '\0', len) != NULL)
		snprintf(err, errlen, "the password has a NUL in it");
	else {
		memcpy(v->password, text, len);
		v->password_len = len;
		return 0;
	}
	return -1;
}

int
source_form_read(const struct source_form *f, struct secret_value *v, const char *text, size_t len,
    char *err, size_t errlen)
{
	if (len > SECRET_TEXT_MAX) {
		snprintf(err, errlen, "the secret is longer than %d bytes", SECRET_TEXT_MAX);
		return -1;
	}
	if (f->format == SOURCE_FORM_PLAIN)
		return read_plain(v, text, len, err, errlen);
	return secret_value_parse(v, text, len, &f->names, f->format == SOURCE_FORM_AUTO, err,
	    errlen);
}
