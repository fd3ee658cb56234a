#include "auth/source/aws_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

struct span {
	const char *at;
	size_t len;
};

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\0';
}

static struct span
trim(struct span s)
{
	while (s.len != 0 && is_blank(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len != 0 && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

static bool
is(struct span s, const char *text)
{
	return s.len == strlen(text) && strncasecmp(s.at, text, s.len) == 0;
}

/* Names are exact, unlike keys. */
static bool
is_name(struct span s, const char *name)
{
	s = trim(s);
	if (s.len >= 2 && (s.at[0] == '"' || s.at[0] == '\'') && s.at[s.len - 1] == s.at[0]) {
		s.at++;
		s.len -= 2;
	}
	return s.len == strlen(name) && memcmp(s.at, name, s.len) == 0;
}

/* Does "[...]" head the profile's section? */
static bool
is_section(struct span line, bool is_config, const char *profile)
{
	const char *close = memchr(line.at, ']', line.len);
	struct span s = { line.at + 1, 0 };

	if (close == NULL)
		return false;
	s.len = (size_t)(close - s.at);
	s = trim(s);
	if (!is_config)
		return is_name(s, profile);
	if (s.len > 8 && memcmp(s.at, "profile", 7) == 0 && is_blank(s.at[7]))
		return is_name((struct span){ s.at + 8, s.len - 8 }, profile);
	return strcmp(profile, "default") == 0 && is_name(s, "default");
}

static const char *
find_in(struct span line, const char *key, size_t *value_len)
{
	const char *equals = memchr(line.at, '=', line.len);
	struct span value;

	if (equals == NULL || !is(trim((struct span){ line.at, (size_t)(equals - line.at) }), key))
		return NULL;
	value = trim((struct span){ equals + 1, (size_t)(line.at + line.len - equals) - 1 });
	*value_len = value.len;
	return value.at;
}

const char *
aws_profile_find(const char *text, size_t len, bool is_config, const char *profile, const char *key,
    size_t *value_len)
{
	const char *found = NULL, *end = text + len;
	bool inside = false;

	*value_len = 0;
	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text)), *here;
		struct span line = { text, (size_t)((stop == NULL ? end : stop) - text) };

		text = stop == NULL ? end : stop + 1;
		if (line.len == 0 || strchr("#; \t\r", line.at[0]) != NULL)
			continue;
		if (line.at[0] == '[') {
			inside = is_section(line, is_config, profile);
			if (inside && key == NULL)
				return line.at;
		} else if (inside && key != NULL && (here = find_in(line, key, value_len)) != NULL)
			found = here;
	}
	if (found == NULL)
		*value_len = 0;
	return found;
}

/* ---- files ---- */

/* The variable, else ~/.aws/NAME. False when there is no home either. */
static bool
path_of(const char *variable, const char *name, char *out, size_t size)
{
	const char *path = getenv(variable), *home = getenv("HOME");
	int n = -1;

	if (path != NULL && path[0] == '~' && path[1] == '/' && home != NULL)
		n = snprintf(out, size, "%s%s", home, path + 1);
	else if (path != NULL && *path != '\0')
		n = snprintf(out, size, "%s", path);
	else if (home != NULL && *home != '\0')
		n = snprintf(out, size, "%s/.aws/%s", home, name);
	return n > 0 && (size_t)n < size;
}

/* A file that is not there is like an empty one; so is a home that we may not look into. */
static int
load(struct local_file *f, const char *variable, const char *name, char *err, size_t errlen)
{
	char path[4096];

	memset(f, 0, sizeof(*f));
	if (!path_of(variable, name, path, sizeof(path)))
		return 0;
	if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) == -1 &&
	    (errno == ENOENT || getenv(variable) == NULL))
		return 0;
	return local_file_read(f, AT_FDCWD, path, path, err, errlen) == SECRET_OK ? 0 : -1;
}

int
aws_profiles_load(struct aws_profiles *p, char *err, size_t errlen)
{
	int a = load(&p->config, "AWS_CONFIG_FILE", "config", err, errlen);
	int b = load(&p->credentials, "AWS_SHARED_CREDENTIALS_FILE", "credentials", err, errlen);

	return a == -1 || b == -1 ? -1 : 0;
}

void
aws_profiles_release(struct aws_profiles *p)
{
	local_file_free(&p->config);
	local_file_free(&p->credentials);
}

static const char *
find(const struct local_file *f, bool is_config, const char *profile, const char *key, size_t *len)
{
	return f->text == NULL ? NULL
			       : aws_profile_find(f->text, f->len, is_config, profile, key, len);
}

bool
aws_profiles_has(const struct aws_profiles *p, const char *profile)
{
	size_t len;

	return find(&p->config, true, profile, NULL, &len) != NULL ||
	       find(&p->credentials, false, profile, NULL, &len) != NULL;
}

size_t
aws_profiles_get(const struct aws_profiles *p, const char *profile, const char *key, char *out,
    size_t size)
{
	size_t len;
	const char *value = find(&p->credentials, false, profile, key, &len);

	if (value == NULL)
		value = find(&p->config, true, profile, key, &len);
	out[0] = '\0';
	if (value == NULL || len >= size)
		return 0;
	memcpy(out, value, len);
	out[len] = '\0';
	return len;
}
