/* Texts of others that the AWS providers read: shared configuration files, STS's XML, the JSON of
 * metadata services. The first byte chooses. */
#include "auth/source/aws_keys.h"
#include "auth/source/aws_profile.h"
#include "auth/source/aws_xml.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is found must lie in the text. */
static void
profile(const char *text, size_t len, bool is_config)
{
	size_t n;
	const char *at = aws_profile_find(text, len, is_config, "a", "role_arn", &n);

	if (at != NULL && (at < text || n > len || at + n > text + len))
		__builtin_trap();
	aws_profile_find(text, len, is_config, "default", NULL, &n);
}

static void
xml(const char *text, size_t len)
{
	char out[64];
	long n = aws_xml_text(text, len, "Code", out, sizeof(out));

	if (n >= 0 && strlen(out) != (size_t)n)
		__builtin_trap();
}

static void
keys(const char *text, size_t len)
{
	struct aws_keys k = { .access_key_id = NULL };
	char err[160];

	if (aws_keys_read(&k, text, len, "Token", err, sizeof(err)) == 0 && k.access_key_id == NULL)
		__builtin_trap();
	aws_keys_wipe(&k);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 1)
		return 0;
	/* a copy of its own: reading over its end is noticed */
	text = malloc(size);
	if (text == NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 5) {
	case 0:
	case 1:
		profile(text, size - 1, data[0] % 5 == 1);
		break;
	case 2:
		xml(text, size - 1);
		break;
	case 3:
		keys(text, size - 1);
		break;
	default:
		aws_keys_time(text);
	}
	free(text);
	return 0;
}
