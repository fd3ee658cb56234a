/* frontend.c -- fuzz harness: a client that is logged in may send anything, and so may its server
 * (dialogue.h has the format). Nothing may be read out of bounds, and in the end nothing may be left. */
#include "tests/fuzz/dialogue.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	int client;

	if (!begun)
		dialogue_begin();
	begun = true;
	fake_connector_reset();
	client = dialogue_login();
	dialogue_play(client, data, size);
	dialogue_end(client);
	return 0;
}
