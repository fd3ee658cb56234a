#include "pool/connector_scram.h"

#include "proxy/wire/pgmsg.h"

#include <string.h>
#include <sys/socket.h>

#define SASL_CONTINUE 11
#define PEEK_MAX      4096 /* libpq takes 2000 bytes of an authentication message at most */

bool
connector_scram_asks_too_much(const uint8_t *p, size_t n)
{
	struct pgcur c = pgcur_over(p, n);
	bool authentication = pgcur_u8(&c) == 'R';
	uint32_t len = pgcur_u32(&c), rounds = 0;
	const uint8_t *at, *end;

	if (!authentication || pgcur_u32(&c) != SASL_CONTINUE || !pgcur_ok(&c) || len < 8)
		return false;
	end = p + 1 + len < p + n ? p + 1 + len : p + n;
	at = memmem(c.p, (size_t)(end - c.p), ",i=", 3);
	if (at == NULL)
		return false;
	for (at += 3; at < end && *at >= '0' && *at <= '9'; at++) {
		rounds = rounds * 10 + (uint32_t)(*at - '0');
		if (rounds > CONNECTOR_SCRAM_ROUNDS_MAX)
			return true;
	}
	return false;
}

bool
connector_scram_peek(int fd)
{
	uint8_t bytes[PEEK_MAX];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);

	return n > 0 && connector_scram_asks_too_much(bytes, (size_t)n);
}
