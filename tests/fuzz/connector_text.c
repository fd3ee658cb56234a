/* connector_text.c -- fuzz harness: whatever libpq's trace and error message hold (servers choose
 * most of it), what is read from them stays within its bounds. The first byte chooses the reader. */
#include "pool/connector_error.h"
#include "pool/connector_trace.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
read_trace(const char *text, size_t len)
{
	uint8_t key[16];
	char name[16];
	size_t at = 0, last = 0;

	if (connector_trace_key(text, len, 1, key, sizeof(key)) > sizeof(key))
		abort();
	while (connector_trace_parameter(text, len, &at, name, sizeof(name))) {
		if (strlen(name) >= sizeof(name) || at <= last || at > len)
			abort();
		last = at;
	}
	(void)connector_trace_ready(text, len);
}

static void
read_error(const char *text)
{
	struct connector_error e;

	connector_error_read(text, &e);
	if (e.result == CONNECT_OK || strlen(e.sqlstate) != 5 || e.text[0] == '\0')
		abort();
	for (const char *p = e.text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ')
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0 || (text = malloc(size)) == NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] == 'E')
		read_error(text);
	else
		read_trace(text, size - 1);
	free(text);
	return 0;
}
