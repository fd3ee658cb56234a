#include "proxy/config/config_connstr.h"

#include <stddef.h>
#include <string.h>

static const char blanks[] = " \t\n\v\f\r";

void
config_connstr_start(struct config_connstr *pairs, char *text)
{
	*pairs = (struct config_connstr){ .at = text, .key = "", .value = "", .after = "" };
}

static bool
fault(struct config_connstr *pairs, const char *why, const char *after)
{
	pairs->fault = why;
	pairs->after = after;
	return false;
}

/* Close up '' and cut at the closing quote; NULL when there is none, else what follows it. */
static char *
unquote(char *text)
{
	char *to = text;

	for (; *text != '\0'; text++) {
		if (*text == '\'' && *++text != '\'') {
			*to = '\0';
			return text;
		}
		*to++ = *text;
	}
	return NULL;
}

static bool
take_value(struct config_connstr *pairs)
{
	char *value = pairs->at, *end;

	if (*value == '\'') {
		pairs->gap = false;
		pairs->value = value + 1;
		if ((end = unquote(value + 1)) == NULL)
			return fault(pairs, "the quote at its start is never closed", pairs->key);
		if (*end != '\0' && strchr(blanks, *end) == NULL)
			return fault(pairs,
			    "a blank must follow the closing quote ('' stands for a quote)",
			    pairs->key);
		pairs->at = end;
		return true;
	}
	end = value + strcspn(value, blanks);
	pairs->value = value;
	pairs->at = *end == '\0' ? end : end + 1;
	*end = '\0';
	return true;
}

bool
config_connstr_next(struct config_connstr *pairs)
{
	const char *before = pairs->key;
	char *key, *end, *value;

	if (pairs->fault != NULL)
		return false;
	key = pairs->at + strspn(pairs->at, blanks);
	if (*key == '\0')
		return false;
	end = key + strcspn(key, "= \t\n\v\f\r");
	value = end + strspn(end, blanks);
	if (*value != '=' || end == key)
		return fault(pairs, "expected key=value", before);
	*end = '\0';
	pairs->key = key;
	pairs->at = value + 1 + strspn(value + 1, blanks);
	pairs->gap = pairs->at != value + 1;
	return take_value(pairs);
}
