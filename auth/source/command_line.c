#include "auth/source/command_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies one quoted part, *text just behind its quote; leaves *text behind the other one. */
static const char *
take_quoted(const char **text, char **out, char quote)
{
	const char *p = *text;

	for (; *p != quote; p++) {
		if (quote == '"' && *p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		if (*p == '\0')
			return "a quote is not closed";
		*(*out)++ = *p;
	}
	*text = p + 1;
	return NULL;
}

/* Copies one word and a NUL, never more bytes than it takes. NULL, or what is wrong. */
static const char *
take_word(const char **text, char **out)
{
	const char *wrong = NULL;

	while (wrong == NULL && **text != '\0' && !is_blank(**text)) {
		char c = *(*text)++;

		if (c == '\'' || c == '"') {
			wrong = take_quoted(text, out, c);
			continue;
		}
		if (c == '\\') {
			c = *(*text)++;
			if (c == '\0')
				return "nothing follows the last backslash";
		}
		*(*out)++ = c;
	}
	*(*out)++ = '\0';
	return wrong;
}

char **
command_line_split(const char *text, char *err, size_t errlen)
{
	const char *wrong = NULL;
	size_t n = 0;
	char **words, *out;

	/* the words behind the pointers: at most one NUL more than there are characters */
	words = malloc((COMMAND_LINE_WORDS_MAX + 1) * sizeof(*words) + strlen(text) + 2);
	if (words == NULL) {
		snprintf(err, errlen, "out of memory");
		return NULL;
	}
	out = (char *)(words + COMMAND_LINE_WORDS_MAX + 1);
	while (wrong == NULL) {
		while (is_blank(*text))
			text++;
		if (*text == '\0')
			break;
		if (n == COMMAND_LINE_WORDS_MAX) {
			wrong = "too many words";
			break;
		}
		words[n++] = out;
		wrong = take_word(&text, &out);
	}
	words[n] = NULL;
	if (wrong == NULL && (n == 0 || words[0][0] == '\0'))
		wrong = "there is no command";
	if (wrong == NULL)
		return words;
	snprintf(err, errlen, "%s", wrong);
	free(words);
	return NULL;
}
