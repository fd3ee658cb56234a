#include "proxy/config/config_field.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proxy/config/config_arena.h"
#include "proxy/config/config_report.h"

#define SECONDS_DIGITS 12 /* more never fit the bounds, and 1000 times this fits int64_t */

static const char *const pool_modes[] = { "session", "transaction", "statement", NULL };
static const char *const auth_types[] = { "any", "trust", "plain", "md5", "scram-sha-256", "cert",
	"hba", "ldap", "pam", "jwt", "iam", NULL };
static const char *const tls_modes[] = { "disable", "allow", "prefer", "require", "verify-ca",
	"verify-full", NULL };
static const char *const balances[] = { "round-robin", "disable", NULL };

const char *const *
config_words(const char *key)
{
	static const struct {
		const char *key;
		const char *const *words;
	} lists[] = {
		{ "pool_mode", pool_modes },
		{ "auth_type", auth_types },
		{ "client_tls_sslmode", tls_modes },
		{ "server_tls_sslmode", tls_modes },
		{ "load_balance_hosts", balances },
	};
	size_t i;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (strcmp(key, lists[i].key) == 0)
			return lists[i].words;
	return NULL;
}

/* The one STR where nothing and unset differ: nothing = no check, unset = the empty query. */
static bool
has_empty_word(const struct config_field *field)
{
	return strcmp(field->key, "server_check_query") == 0;
}

static int
parse_bool(const char *text, int64_t *n)
{
	static const char *const words[] = { "0", "1", "off", "on", "no", "yes", "false", "true" };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*n = (int64_t)(i & 1);
			return 0;
		}
	}
	return -1;
}

/* Base 0 as PgBouncer does: unix_socket_mode = 0777 is octal. *rest is what follows the number. */
static int
parse_number(const char *text, int64_t *n, char **rest)
{
	long long value;

	errno = 0;
	value = strtoll(text, rest, 0);
	if (errno != 0 || *rest == text)
		return -1;
	*n = value;
	return 0;
}

static int
parse_int(const char *text, int64_t *n)
{
	char *rest;

	return parse_number(text, n, &rest) == -1 || *rest != '\0' ? -1 : 0;
}

static int
parse_size(const char *text, int64_t *n)
{
	static const struct {
		const char *suffix;
		int shift;
	} units[] = { { "", 0 }, { "B", 0 }, { "kB", 10 }, { "MB", 20 }, { "GB", 30 } };
	char *rest;
	size_t i;

	if (parse_number(text, n, &rest) == -1 || *n < 0)
		return -1;
	rest += strspn(rest, " \t");
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcasecmp(rest, units[i].suffix) == 0) {
			if (*n > INT64_MAX >> units[i].shift)
				return -1;
			*n <<= units[i].shift;
			return 0;
		}
	}
	return -1;
}

/* Seconds with a fraction to milliseconds, without strtod() and its locales. A time above 0 never
 * becomes 0, which would turn a limit off. Only "-1" may be negative: inherit. */
static int
parse_seconds(const char *text, int64_t *ms)
{
	size_t whole = strspn(text, "0123456789"), fraction = 0, i;
	int64_t n = 0, unit = 100;
	bool rest = false;

	if (strcmp(text, "-1") == 0) {
		*ms = -1;
		return 0;
	}
	if (text[whole] == '.')
		fraction = strspn(text + whole + 1, "0123456789");
	if (whole + fraction == 0 || whole > SECONDS_DIGITS)
		return -1;
	if (text[whole + (text[whole] == '.') + fraction] != '\0')
		return -1;
	for (i = 0; i < whole; i++)
		n = n * 10 + (text[i] - '0');
	n *= 1000;
	for (i = 0; i < fraction; i++, unit /= 10) {
		int digit = text[whole + 1 + i] - '0';

		n += unit * digit;
		rest = rest || (unit == 0 && digit != 0);
	}
	*ms = n + (n == 0 && rest);
	return 0;
}

static int
parse_word(const struct config_field *field, const char *text, int64_t *n)
{
	const char *const *words = config_words(field->key);
	int i;

	for (i = 0; words != NULL && words[i] != NULL; i++) {
		if (strcasecmp(text, words[i]) == 0) {
			*n = i;
			return 0;
		}
	}
	return -1;
}

static bool
in_bounds(const struct config_field *field, int64_t n)
{
	if (field->type != OPT_MS)
		return n >= field->min && n <= field->max;
	if (n == -1)
		return field->min < 0;
	return n >= field->min * 1000 && n <= field->max * 1000;
}

static int
parse(const struct config_field *field, const char *text, int64_t *n)
{
	int rc = -1;

	switch (field->type) {
	case OPT_BOOL:
		rc = parse_bool(text, n);
		break;
	case OPT_INT:
		rc = parse_int(text, n);
		break;
	case OPT_SIZE:
		rc = parse_size(text, n);
		break;
	case OPT_MS:
		rc = parse_seconds(text, n);
		break;
	case OPT_ENUM:
		rc = parse_word(field, text, n);
		break;
	case OPT_STR:
		break;
	}
	return rc == 0 && in_bounds(field, *n) ? 0 : -1;
}

static void
store(const struct config_field *field, void *record, int64_t n)
{
	unsigned char *at = (unsigned char *)record + field->offset;

	if (field->type == OPT_BOOL)
		*(bool *)(void *)at = n != 0;
	else if (field->type == OPT_INT || field->type == OPT_ENUM)
		*(int *)(void *)at = (int)n;
	else
		*(int64_t *)(void *)at = n;
}

static int64_t
number(const struct config_field *field, const void *record)
{
	const unsigned char *at = (const unsigned char *)record + field->offset;

	if (field->type == OPT_BOOL)
		return *(const bool *)(const void *)at;
	if (field->type == OPT_INT || field->type == OPT_ENUM)
		return *(const int *)(const void *)at;
	return *(const int64_t *)(const void *)at;
}

static const char **
string(const struct config_field *field, void *record)
{
	return (const char **)(void *)((unsigned char *)record + field->offset);
}

static const char *
string_of(const struct config_field *field, const void *record)
{
	return *(const char *const *)(const void *)((const unsigned char *)record + field->offset);
}

static int
set_string(const struct config_field *field, void *record, const char *text,
    struct config_arena *arena)
{
	const char *copy = NULL;
	bool unset = has_empty_word(field) ? strcmp(text, "<empty>") == 0 : text[0] == '\0';

	if (!unset && (copy = config_arena_text(arena, text)) == NULL)
		return -1;
	*string(field, record) = copy;
	return 0;
}

int
config_field_set(const struct config_field *field, void *record, const char *text,
    struct config_arena *arena, char err[CONFIG_FIELD_ERR])
{
	char quoted[CONFIG_QUOTED], expected[CONFIG_FIELD_ERR - CONFIG_QUOTED - 32];
	int64_t n;

	err[0] = '\0';
	if (field->type == OPT_STR)
		return set_string(field, record, text, arena);
	if (parse(field, text, &n) == 0) {
		store(field, record, n);
		return 0;
	}
	config_field_expected(field, expected, sizeof(expected));
	snprintf(err, CONFIG_FIELD_ERR, "found %s, expected %s",
	    text[0] != '\0' ? config_report_quote(quoted, text) : "nothing", expected);
	return -1;
}

/* A mode whose default the table writes in octal is shown in octal; no other INT is. */
static bool
is_octal(const struct config_field *field)
{
	return field->type == OPT_INT && field->max == 0777;
}

const char *
config_field_text(const struct config_field *field, const void *record, char buf[CONFIG_FIELD_TEXT])
{
	const char *text;
	int64_t n;

	if (field->type == OPT_STR) {
		if ((text = string_of(field, record)) != NULL)
			return text;
		return has_empty_word(field) ? "<empty>" : "";
	}
	n = number(field, record);
	if (field->type == OPT_ENUM && n >= 0)
		return config_words(field->key)[n];
	if (is_octal(field)) {
		snprintf(buf, CONFIG_FIELD_TEXT, "0%" PRIo64, (uint64_t)n);
	} else if (field->type == OPT_MS && n >= 0 && n % 1000 != 0) {
		snprintf(buf, CONFIG_FIELD_TEXT, "%" PRId64 ".%03d", n / 1000, (int)(n % 1000));
		buf[strlen(buf) - (n % 100 == 0 ? 2 : n % 10 == 0)] =
		    '\0'; /* no zeros at its end */
	} else {
		snprintf(buf, CONFIG_FIELD_TEXT, "%" PRId64,
		    field->type == OPT_MS && n >= 0 ? n / 1000 : n);
	}
	return buf;
}

static void
expected_words(const struct config_field *field, char *buf, size_t size)
{
	const char *const *words = config_words(field->key);
	size_t n = 0;
	int i;

	n += (size_t)snprintf(buf, size, "one of");
	for (i = 0; words != NULL && words[i] != NULL && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s %s", i > 0 ? "," : "", words[i]);
}

void
config_field_expected(const struct config_field *field, char *buf, size_t size)
{
	switch (field->type) {
	case OPT_BOOL:
		snprintf(buf, size, "0 or 1 (off or on, no or yes, false or true)");
		break;
	case OPT_INT:
		snprintf(buf, size,
		    is_octal(field) ? "octal permissions from 0%" PRIo64 " to 0%" PRIo64
				    : "a whole number from %" PRId64 " to %" PRId64,
		    field->min, field->max);
		break;
	case OPT_SIZE:
		snprintf(buf, size, "bytes from %" PRId64 " to %" PRId64 ", kB, MB and GB allowed",
		    field->min, field->max);
		break;
	case OPT_MS:
		snprintf(buf, size, "seconds from %" PRId64 " to %" PRId64 ", fractions allowed",
		    field->min, field->max);
		break;
	case OPT_STR:
		snprintf(buf, size, "text");
		break;
	case OPT_ENUM:
		expected_words(field, buf, size);
		break;
	}
}

bool
config_field_equal(const struct config_field *field, const void *a, const void *b)
{
	const char *left, *right;

	if (field->type != OPT_STR)
		return number(field, a) == number(field, b);
	left = string_of(field, a);
	right = string_of(field, b);
	if (left == NULL || right == NULL)
		return left == right;
	return strcmp(left, right) == 0;
}

int
config_field_copy(const struct config_field *field, void *to, const void *from,
    struct config_arena *arena)
{
	const char *text;

	if (field->type != OPT_STR) {
		store(field, to, number(field, from));
		return 0;
	}
	*string(field, to) = NULL;
	if ((text = string_of(field, from)) == NULL)
		return 0;
	return (*string(field, to) = config_arena_text(arena, text)) == NULL ? -1 : 0;
}
