#include "auth/client_auth.h"
#include "auth/md5_password.h"
#include "auth/scram.h"
#include "auth/userlist.h"
#include "proxy/base/buf.h"
#include "proxy/config/config.h"
#include "tests/unit/auth/scram_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define VERIFIER                                                                                    \
	"SCRAM-SHA-256$4096:nXVkaTEqbVWSB/yKDuaK9Q==$Ftd0e0aVfNF0FgAacztfhhGbM+dtUnNoAp54d5zWQeU=:" \
	"3JAuR6h+tLNwOxyl5pEgrXpgWBEHKBiplj1W+bCKOm4="
#define LIST                                                                                       \
	"\"plain\" \"pencil\"\n\"d\" \"md5f6100b06df553dbff70d9a6a8a6d9295\"\n"                    \
	"\"scram\" \"" VERIFIER "\"\n\"empty\" \"\"\n"
#define BARE "n=,r=clientnonce"
#define HASH "0123456789abcdef0123456789abcdef"

static struct userlist *users;

static int
setup(void **state)
{
	(void)state;
	users = userlist_parse("f", LIST, strlen(LIST), NULL, NULL);
	return users == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	userlist_unref(users);
	return 0;
}

static struct client_auth_offer
offer(int method, const char *user)
{
	return (struct client_auth_offer){ .method = method,
		.user = user,
		.users = users,
		.scram_iterations = 4096 };
}

/* Takes one 'R' message off the buffer: its code, and its body as a string. */
static int
message(struct buf *out, char *body, size_t size)
{
	const uint8_t *p = buf_data(out);
	uint32_t len, code;

	assert_true(buf_len(out) >= 9 && p[0] == 'R');
	len = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
	code = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 8 | p[8];
	assert_int_equal(len + 1, buf_len(out));
	assert_true(len - 8 < size);
	memcpy(body, p + 9, len - 8);
	body[len - 8] = '\0';
	buf_consume(out, len + 1);
	return (int)code;
}

static size_t
initial(uint8_t *out, const char *mechanism, uint32_t claimed, const char *text, size_t len)
{
	size_t n = strlen(mechanism) + 1;

	memcpy(out, mechanism, n);
	for (int i = 3; i >= 0; i--)
		out[n++] = (uint8_t)(claimed >> 8 * i);
	memcpy(out + n, text, len);
	return n + len;
}

/* A whole SCRAM login; *shown is server-first. */
static enum auth_verdict
scram_login(const struct client_auth_offer *o, const char *password, bool plus, char shown[1024])
{
	const char *gs2 = plus ? "p=tls-server-end-point,," : "n,,";
	char first[256], final[4096], body[1024];
	enum auth_verdict v;
	uint8_t payload[512];
	struct client_auth *a;
	struct buf out;
	size_t n;

	buf_init(&out, 65536);
	a = client_auth_new(o, &out, &v);
	assert_int_equal(v, AUTH_MORE);
	assert_int_equal(message(&out, body, sizeof(body)), 10);
	snprintf(first, sizeof(first), "%s" BARE, gs2);
	n = initial(payload, plus ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256", (uint32_t)strlen(first),
	    first, strlen(first));
	assert_int_equal(client_auth_input(a, payload, n, &out), AUTH_MORE);
	assert_int_equal(message(&out, shown, 1024), 11);
	n = scram_client_final(final, sizeof(final), password, gs2, plus ? HASH : NULL,
	    plus ? 32 : 0, BARE, shown);
	v = client_auth_input(a, (uint8_t *) final, n, &out);
	if (v == AUTH_OK) {
		assert_int_equal(message(&out, body, sizeof(body)), 12);
		assert_int_equal(strlen(body), SCRAM_SERVER_FINAL_LEN);
	}
	assert_int_equal(buf_len(&out), 0);
	assert_int_equal(client_auth_input(a, (uint8_t *) final, n, &out), AUTH_PROTOCOL_ERROR);
	client_auth_free(a);
	buf_release(&out);
	return v;
}

/* A login of one password message; returns the verdict, *code is the request's. */
static enum auth_verdict
password_login(const struct client_auth_offer *o, const char *text, size_t len, int *code)
{
	enum auth_verdict v;
	struct client_auth *a;
	char body[64];
	struct buf out;

	buf_init(&out, 65536);
	a = client_auth_new(o, &out, &v);
	assert_int_equal(v, AUTH_MORE);
	*code = message(&out, body, sizeof(body));
	v = client_auth_input(a, (const uint8_t *)text, len, &out);
	assert_int_equal(buf_len(&out), 0);
	assert_int_equal(client_auth_input(a, (const uint8_t *)text, len, &out),
	    AUTH_PROTOCOL_ERROR);
	client_auth_free(a);
	buf_release(&out);
	return v;
}

/* goal: methods that need no answer decide at once and send nothing */
static void
test_at_once(void **state)
{
	static const struct {
		int method;
		const char *user, *cn;
		bool tls;
		enum auth_verdict want;
	} rows[] = {
		{ AUTH_ANY, "nobody", NULL, false, AUTH_OK },
		{ AUTH_TRUST, "plain", NULL, false, AUTH_OK },
		{ AUTH_TRUST, "empty", NULL, false, AUTH_OK },
		{ AUTH_TRUST, "nobody", NULL, false, AUTH_FAILED },
		{ AUTH_CERT, "plain", "plain", true, AUTH_OK },
		{ AUTH_CERT, "plain", "plain", false, AUTH_FAILED },
		{ AUTH_CERT, "plain", "scram", true, AUTH_FAILED },
		{ AUTH_CERT, "plain", "Plain", true, AUTH_FAILED },
		{ AUTH_CERT, "plain", NULL, true, AUTH_FAILED },
		{ AUTH_CERT, "nobody", "nobody", true, AUTH_FAILED },
		{ AUTH_HBA, "plain", "plain", true, AUTH_FAILED },
		{ AUTH_LDAP, "plain", "plain", true, AUTH_FAILED },
		{ AUTH_PAM, "plain", "plain", true, AUTH_FAILED },
		{ 99, "plain", "plain", true, AUTH_FAILED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_auth_offer o = offer(rows[i].method, rows[i].user);
		enum auth_verdict v;
		struct client_auth *a;
		struct buf out;

		o.tls = rows[i].tls;
		o.cert_cn = rows[i].cn;
		buf_init(&out, 1024);
		a = client_auth_new(&o, &out, &v);
		assert_non_null(a);
		assert_int_equal(v, rows[i].want);
		assert_int_equal(buf_len(&out), 0);
		assert_int_equal(client_auth_input(a, (const uint8_t *)"x", 2, &out),
		    AUTH_PROTOCOL_ERROR);
		client_auth_free(a);
		o.users = NULL;
		client_auth_free(client_auth_new(&o, &out, &v));
		assert_int_equal(v, rows[i].method == AUTH_ANY ? AUTH_OK : AUTH_FAILED);
	}
	client_auth_free(NULL);
}

/* goal: a clear password is judged against all three forms of secret, and must be one terminated
 * string */
static void
test_plain(void **state)
{
	static const char *const good[] = { "plain", "d", "scram" }, *const bad[] = { "empty",
		"nobody" };
	static char big[70000];
	struct client_auth_offer o;
	int code;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		o = offer(AUTH_PLAIN, good[i]);
		assert_int_equal(password_login(&o, "pencil", 7, &code), AUTH_OK);
		assert_int_equal(code, 3);
		assert_int_equal(password_login(&o, "pencils", 8, &code), AUTH_FAILED);
		assert_int_equal(password_login(&o, "", 1, &code), AUTH_FAILED);
	}
	for (size_t i = 0; i < 2; i++) {
		o = offer(AUTH_PLAIN, bad[i]);
		assert_int_equal(password_login(&o, "pencil", 7, &code), AUTH_FAILED);
		assert_int_equal(password_login(&o, "", 1, &code), AUTH_FAILED);
	}
	o = offer(AUTH_PLAIN, "plain");
	assert_int_equal(password_login(&o, "", 0, &code), AUTH_PROTOCOL_ERROR);
	assert_int_equal(password_login(&o, "pencil", 6, &code), AUTH_PROTOCOL_ERROR);
	assert_int_equal(password_login(&o, "pencil\0\0", 8, &code), AUTH_PROTOCOL_ERROR);
	memset(big, 'x', sizeof(big));
	big[CLIENT_AUTH_PAYLOAD_MAX - 1] = '\0';
	assert_int_equal(password_login(&o, big, CLIENT_AUTH_PAYLOAD_MAX, &code), AUTH_FAILED);
	big[CLIENT_AUTH_PAYLOAD_MAX - 1] = 'x';
	big[CLIENT_AUTH_PAYLOAD_MAX] = '\0';
	assert_int_equal(password_login(&o, big, CLIENT_AUTH_PAYLOAD_MAX + 1, &code),
	    AUTH_PROTOCOL_ERROR);
}

/* goal: md5 answers log in for plain and md5 secrets; unknown and empty ones get the same challenge
 * and fail; two challenges differ */
static void
test_md5(void **state)
{
	static const struct {
		const char *user;
		enum auth_verdict want;
	} rows[] = { { "plain", AUTH_OK }, { "d", AUTH_OK }, { "empty", AUTH_FAILED },
		{ "nobody", AUTH_FAILED } };
	char body[64], last[4] = { 0 }, secret[36], answer[36];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_auth_offer o = offer(AUTH_MD5, rows[i].user);
		enum auth_verdict v;
		struct client_auth *a;
		struct buf out;

		buf_init(&out, 1024);
		a = client_auth_new(&o, &out, &v);
		assert_int_equal(v, AUTH_MORE);
		assert_int_equal(buf_len(&out), 13);
		assert_int_equal(message(&out, body, sizeof(body)), 5);
		assert_memory_not_equal(body, last, 4);
		memcpy(last, body, 4);
		assert_int_equal(md5_password_make(secret, "pencil", 6, rows[i].user), 0);
		assert_int_equal(md5_password_answer(answer, secret, (uint8_t *)body), 0);
		assert_int_equal(client_auth_input(a, (uint8_t *)answer, sizeof(answer), &out),
		    rows[i].want);
		client_auth_free(a);
		buf_release(&out);
	}
}

/* goal: under md5 a user with a SCRAM secret gets SCRAM */
static void
test_md5_switches(void **state)
{
	struct client_auth_offer o = offer(AUTH_MD5, "scram");
	char shown[1024];

	(void)state;
	assert_int_equal(scram_login(&o, "pencil", false, shown), AUTH_OK);
	assert_int_equal(scram_login(&o, "pencils", false, shown), AUTH_FAILED);
}

/* goal: SCRAM logs in with verifiers and plain secrets; others get a dialogue of the same form,
 * whose salt is stable, and fail even with the right password */
static void
test_scram(void **state)
{
	static const struct {
		const char *user;
		enum auth_verdict want;
	} rows[] = { { "plain", AUTH_OK }, { "scram", AUTH_OK }, { "d", AUTH_FAILED },
		{ "empty", AUTH_FAILED }, { "nobody", AUTH_FAILED }, { "", AUTH_FAILED } };
	char shown[1024], again[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client_auth_offer o = offer(AUTH_SCRAM, rows[i].user);

		assert_int_equal(scram_login(&o, "pencil", false, shown), rows[i].want);
		assert_int_equal(scram_login(&o, "pencil", false, again), rows[i].want);
		assert_int_equal(scram_login(&o, "", false, again), AUTH_FAILED);
		assert_string_equal(strstr(shown, ",s="), strstr(again, ",s="));
		assert_string_not_equal(shown, again);
		assert_int_equal(strlen(shown),
		    strlen("r=clientnonce,s=,i=4096") + SCRAM_NONCE_LEN + 24);
	}
}

/* goal: with a certificate -PLUS is offered first and works, a downgrade is a failed login, and
 * without TLS neither is to be had */
static void
test_plus(void **state)
{
	struct client_auth_offer o = offer(AUTH_SCRAM, "scram");
	char shown[1024], body[64];
	enum auth_verdict v;
	uint8_t payload[256];
	struct client_auth *a;
	struct buf out;
	size_t n;

	(void)state;
	o.tls = true;
	o.cb_hash = (const uint8_t *)HASH;
	o.cb_len = 32;
	assert_int_equal(scram_login(&o, "pencil", true, shown), AUTH_OK);
	assert_int_equal(scram_login(&o, "wrong", true, shown), AUTH_FAILED);
	assert_int_equal(scram_login(&o, "pencil", false, shown), AUTH_OK);
	o.cb_hash = (const uint8_t *)"another hash 0123456789abcdef012";
	assert_int_equal(scram_login(&o, "pencil", true, shown), AUTH_FAILED);
	buf_init(&out, 1024);
	a = client_auth_new(&o, &out, &v);
	assert_int_equal(message(&out, body, sizeof(body)), 10);
	assert_memory_equal(body, "SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0", 34);
	n = initial(payload, "SCRAM-SHA-256", strlen("y,," BARE), "y,," BARE, strlen("y,," BARE));
	assert_int_equal(client_auth_input(a, payload, n, &out), AUTH_FAILED);
	client_auth_free(a);
	o.tls = false;
	a = client_auth_new(&o, &out, &v);
	assert_int_equal(message(&out, body, sizeof(body)), 10);
	assert_memory_equal(body, "SCRAM-SHA-256\0", 15);
	n = initial(payload, "SCRAM-SHA-256-PLUS", 5, "p=x,,", 5);
	assert_int_equal(client_auth_input(a, payload, n, &out), AUTH_PROTOCOL_ERROR);
	client_auth_free(a);
	buf_release(&out);
}

/* goal: every claimed length of SASLInitialResponse but the true one is a protocol error; -1
 * without bytes is answered by an empty challenge, as PostgreSQL does */
static void
test_initial_length(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 18, 20, 0x7fffffff, 0x80000000u, 0xfffffff0u,
		0xfffffffeu, 0xffffffffu };
	struct client_auth_offer o = offer(AUTH_SCRAM, "scram");
	const char *first = "n,," BARE;
	enum auth_verdict v;
	struct client_auth *a;
	uint8_t payload[256];
	char body[1024];
	struct buf out;
	size_t n;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(strlen(first), 19);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		buf_clear(&out);
		a = client_auth_new(&o, &out, &v);
		n = initial(payload, "SCRAM-SHA-256", lengths[i], first, 19);
		assert_int_equal(client_auth_input(a, payload, n, &out), AUTH_PROTOCOL_ERROR);
		client_auth_free(a);
	}
	/* cut anywhere */
	for (n = initial(payload, "SCRAM-SHA-256", 19, first, 19) - 1; n > 0; n--) {
		buf_clear(&out);
		a = client_auth_new(&o, &out, &v);
		assert_int_equal(client_auth_input(a, payload, n - 1, &out), AUTH_PROTOCOL_ERROR);
		client_auth_free(a);
	}
	buf_clear(&out);
	a = client_auth_new(&o, &out, &v);
	message(&out, body, sizeof(body));
	n = initial(payload, "SCRAM-SHA-256", 0xffffffffu, "", 0);
	assert_int_equal(client_auth_input(a, payload, n, &out), AUTH_MORE);
	assert_int_equal(message(&out, body, sizeof(body)), 11);
	assert_string_equal(body, "");
	assert_int_equal(client_auth_input(a, (const uint8_t *)first, 19, &out), AUTH_MORE);
	assert_int_equal(message(&out, body, sizeof(body)), 11);
	client_auth_free(a);
	buf_release(&out);
}

/* goal: when most users have verifiers, a stand-in looks like one: their count, and SCRAM under
 * md5 */
static void
test_stand_in(void **state)
{
	static const char list[] = "\"a\" \"SCRAM-SHA-256$7777:nXVkaTEqbVWSB/yKDuaK9Q==$"
				   "Ftd0e0aVfNF0FgAacztfhhGbM+dtUnNoAp54d5zWQeU=:"
				   "3JAuR6h+tLNwOxyl5pEgrXpgWBEHKBiplj1W+bCKOm4=\"\n";
	struct client_auth_offer o = offer(AUTH_MD5, "nobody");
	char shown[1024];

	(void)state;
	o.users = userlist_parse("f", list, strlen(list), NULL, NULL);
	assert_int_equal(scram_login(&o, "pencil", false, shown), AUTH_FAILED);
	assert_string_equal(strstr(shown, ",i="), ",i=7777");
	userlist_unref((struct userlist *)(uintptr_t)o.users);
}

/* goal: a login outlives the reload that replaces its list, and no cap of the output is overrun */
static void
test_reload_and_full_buffer(void **state)
{
	struct userlist *own = userlist_parse("f", LIST, strlen(LIST), NULL, NULL);
	struct client_auth_offer o = offer(AUTH_PLAIN, "plain");
	enum auth_verdict v;
	struct client_auth *a;
	struct buf out;

	(void)state;
	o.users = own;
	buf_init(&out, 4);
	a = client_auth_new(&o, &out, &v);
	assert_int_equal(v, AUTH_MORE);
	assert_true(buf_failed(&out));
	userlist_unref(own);
	assert_int_equal(client_auth_input(a, (const uint8_t *)"pencil", 7, &out), AUTH_OK);
	client_auth_free(a);
	buf_release(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_md5),
		cmocka_unit_test(test_md5_switches),
		cmocka_unit_test(test_scram),
		cmocka_unit_test(test_plus),
		cmocka_unit_test(test_initial_length),
		cmocka_unit_test(test_stand_in),
		cmocka_unit_test(test_reload_and_full_buffer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
