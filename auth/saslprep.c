#include "auth/saslprep.h"

#include "proxy/base/secret.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <stringprep.h>

static bool
is_ascii(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] >= 0x80)
			return false;
	return true;
}

char *
saslprep(const char *password, size_t len, size_t *prepared_len)
{
	char *text, *out = NULL;
	int rc;

	if (is_ascii(password, len) || memchr(password, 0, len) != NULL)
		return NULL;
	text = secret_dup(password, len);
	if (text == NULL)
		return NULL;
	rc = stringprep_profile(text, &out, "SASLprep", STRINGPREP_NO_UNASSIGNED);
	secret_free(text, len);
	if (rc != STRINGPREP_OK)
		return NULL;
	*prepared_len = strlen(out);
	return out;
}

void
saslprep_free(char *prepared, size_t len)
{
	if (prepared == NULL)
		return;
	explicit_bzero(prepared, len);
	free(prepared);
}
