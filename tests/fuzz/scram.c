/* scram.c -- fuzz harness: a client that may send anything during its login, and verifiers of any
 * text.
 * Input: one byte that picks method, user and channel, then messages, each behind two length bytes.
 * No such client may be let in, read out of bounds, or be answered after the end. Verifier texts
 * come behind 0xff. */
#include "auth/client_auth.h"
#include "auth/scram.h"
#include "auth/userlist.h"
#include "proxy/base/buf.h"
#include "proxy/config/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* the passwords hold a byte that no message in the corpus has: only a proof could guess it */
static const char list[] =
    "\"p\" \"fuzz\x01\x02\x03secret\"\n\"m\" \"md5f6100b06df553dbff70d9a6a8a6d9295\"\n"
    "\"s\" \"SCRAM-SHA-256$1:nXVkaTEqbVWSB/yKDuaK9Q==$"
    "Ftd0e0aVfNF0FgAacztfhhGbM+dtUnNoAp54d5zWQeU=:"
    "3JAuR6h+tLNwOxyl5pEgrXpgWBEHKBiplj1W+bCKOm4=\"\n";

static void
verifier(const uint8_t *data, size_t size)
{
	struct scram_verifier v;

	if (scram_verifier_parse(&v, (const char *)data, size) == -1)
		return;
	if (v.iterations < 1 || v.iterations > SCRAM_ITERATIONS_MAX || v.salt_len < 1 ||
	    v.salt_len > SCRAM_SALT_MAX)
		abort();
}

/* The pure half with a nonce that the fuzzer can know, so that it gets past client-final. */
static void
exchange(const uint8_t *data, size_t size, bool plus)
{
	static struct scram_exchange x;
	char out[SCRAM_SERVER_FINAL_LEN + 1];
	const uint8_t *cut = memchr(data, 0, size);
	size_t first = cut != NULL ? (size_t)(cut - data) : size;

	memset(&x, 0, sizeof(x));
	x.plus = x.plus_offered = plus;
	x.cb_len = 1;
	if (scram_first(&x, data, first, "N", (const uint8_t *)"salt", 4, 1) != SCRAM_OK ||
	    cut == NULL)
		return;
	if (scram_final(&x, cut + 1, size - first - 1) != SCRAM_OK)
		return;
	if (x.text_len > sizeof(x.text) || scram_check(&x, scram_verifier_mock(), out) ||
	    out[0] != 'v')
		abort();
}

static void
dialogue(uint8_t pick, const uint8_t *data, size_t size, const struct userlist *users)
{
	static const int methods[] = { AUTH_PLAIN, AUTH_MD5, AUTH_SCRAM, AUTH_SCRAM };
	static const char *const names[] = { "p", "m", "s", "nobody" };
	static const uint8_t hash[32] = { 1 };
	struct client_auth_offer o = { .method = methods[pick & 3],
		.user = names[pick >> 2 & 3],
		.users = users,
		.tls = pick >> 4 & 1,
		.cb_hash = hash,
		.cb_len = sizeof(hash),
		.scram_iterations = 1 };
	enum auth_verdict v;
	struct client_auth *a;
	struct buf out;

	buf_init(&out, 8192);
	a = client_auth_new(&o, &out, &v);
	while (a != NULL && size >= 2) {
		size_t len = (size_t)data[0] << 8 | data[1];
		enum auth_verdict before = v;

		len = len < size - 2 ? len : size - 2;
		v = client_auth_input(a, data + 2, len, &out);
		if (v == AUTH_OK || (before != AUTH_MORE && v != AUTH_PROTOCOL_ERROR) ||
		    buf_failed(&out))
			abort();
		data += 2 + len;
		size -= 2 + len;
	}
	client_auth_free(a);
	buf_release(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct userlist *users;

	if (users == NULL)
		users = userlist_parse("f", list, strlen(list), NULL, NULL);
	if (size == 0 || users == NULL)
		return 0;
	if (data[0] == 0xff)
		verifier(data + 1, size - 1);
	else if (data[0] >= 0xf0)
		exchange(data + 1, size - 1, data[0] & 1);
	else
		dialogue(data[0], data + 1, size - 1, users);
	return 0;
}
