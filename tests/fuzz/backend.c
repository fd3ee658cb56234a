/* backend.c -- fuzz harness: what a server sends, whole and cut at every place that the input says.
 * Input: how often the client asks, by which protocol, into which pieces the rest is cut, then the server's
 * bytes. */
#include "tests/fuzz/dialogue.h"

static void
ask(int client, uint8_t how)
{
	static const char query[] = "Q\0\0\0\x0dselect 1";
	static const char extended[] =
	    "P\0\0\0\x08\0\0\0\0B\0\0\0\x0c\0\0\0\0\0\0\0\0D\0\0\0\x06P\0"
	    "E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";

	for (int i = 0; i < (how & 3) + 1; i++) {
		if (how & 4)
			dialogue_say(client, extended, sizeof(extended) - 1);
		else
			dialogue_say(client, query, sizeof(query));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	size_t piece;
	int client;

	if (!begun)
		dialogue_begin();
	begun = true;
	if (size < 3)
		return 0;
	fake_connector_reset();
	client = dialogue_login();
	ask(client, data[0]);
	piece = (size_t)data[1] << 8 | data[2];
	if (piece < size / 64 + 1)
		piece = size / 64 + 1;
	for (size_t at = 3; at < size; at += piece) {
		dialogue_say(dialogue_server(), data + at, size - at < piece ? size - at : piece);
		dialogue_drain(client);
	}
	dialogue_drain(client);
	dialogue_end(client);
	return 0;
}
