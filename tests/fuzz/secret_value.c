/* secret_value.c -- fuzz harness: any bytes as a secret are either refused with a message and leave
 * nothing, or give a password and texts that end inside their room. The first byte says whether a plain
 * text may be one, and whether the members have other names. */
#include "auth/secret_value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool truth)
{
	if (!truth)
		abort();
}

static void
check(const struct secret_value *v)
{
	expect(v->password_len > 0 && v->password_len <= SECRET_PASSWORD_MAX);
	expect(strnlen(v->password, sizeof(v->password)) == v->password_len);
	expect(strnlen(v->user, sizeof(v->user)) < sizeof(v->user));
	expect(strnlen(v->host, sizeof(v->host)) < sizeof(v->host));
	expect(strnlen(v->dbname, sizeof(v->dbname)) < sizeof(v->dbname));
	expect(strnlen(v->version, sizeof(v->version)) < sizeof(v->version));
	expect(strpbrk(v->host, "\r\n") == NULL && strpbrk(v->version, "\r\n") == NULL);
	expect(v->port >= 0 && v->port <= 65535);
	expect(v->expires_unix_ms >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct secret_names names = { "u", "p", "h", "n", "d" };
	static const struct secret_value zero;
	struct secret_value v;
	char err[256] = "";
	int rc;

	if (size == 0)
		return 0;
	memset(&v, 0x5a, sizeof(v));
	rc = secret_value_parse(&v, (const char *)data + 1, size - 1, data[0] & 2 ? &names : NULL,
	    (data[0] & 1) != 0, err, sizeof(err));
	if (rc == 0) {
		expect(err[0] == '\0');
		check(&v);
		secret_value_wipe(&v);
	} else {
		expect(rc == -1 && err[0] != '\0' && strpbrk(err, "\r\n") == NULL);
	}
	expect(memcmp(&v, &zero, sizeof(v)) == 0);
	return 0;
}
