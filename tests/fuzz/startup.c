/* startup.c -- fuzz harness: the startup packet behind its length and version, its `options` alone, and the
 * first bytes of a connection.
 * Input: 0 and a packet, 1 and options, 2 and bytes of a connection. */
#include "proxy/session/startup_params.h"
#include "tests/fuzz/dialogue.h"

static void
count(void *arg, const char *name, const char *value)
{
	/* reads both to their ends */
	*(size_t *)arg += strlen(name) + strlen(value);
}

static void
packet(const uint8_t *data, size_t size)
{
	struct startup_params p;
	size_t n = 0;

	if (startup_params_parse(&p, data, size, "extra_float_digits, junk") == FAULT_NONE) {
		if (p.user == NULL || p.database == NULL || p.user[0] == '\0' || p.n_pairs % 2 != 0)
			abort();
		n = strlen(p.user) + strlen(p.database);
		startup_params_each(&p, count, &n);
		for (size_t i = 0; i < p.n_unknown; i++)
			n += strlen(p.unknown[i]);
	}
	startup_params_release(&p);
}

static bool
take(void *arg, const char *name, const char *value)
{
	count(arg, name, value);
	return true;
}

static void
options(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1), *scratch = malloc(size + 1);
	size_t n = 0;

	if (text != NULL && scratch != NULL) {
		memcpy(text, data, size);
		(void)pgmsg_options(text, scratch, size + 1, take, &n);
		if (n > size)
			abort();
	}
	free(text);
	free(scratch);
}

static void
connection(const uint8_t *data, size_t size)
{
	int client;

	fake_connector_reset();
	client = dialogue_connect();
	dialogue_say(client, data, size < 20000 ? size : 20000);
	dialogue_drain(client);
	dialogue_end(client);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;

	if (!begun)
		dialogue_begin();
	begun = true;
	if (size == 0)
		return 0;
	if (data[0] == 0)
		packet(data + 1, size - 1);
	else if (data[0] == 1)
		options(data + 1, size - 1);
	else
		connection(data + 1, size - 1);
	return 0;
}
