#include "proxy/session/startup.h"

#include "proxy/base/log.h"
#include "proxy/base/tls.h"
#include "proxy/config/config.h"
#include "proxy/session/cancel.h"
#include "proxy/session/login.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/wire/pgmsg.h"

#include <stdio.h>
#include <string.h>

#define TLS_HANDSHAKE_BYTE 0x16

static const struct session_env *
env_of(const struct session *s)
{
	return session_set_of(session_worker(s))->env;
}

/* A client that speaks something else gets no answer it could not read. */
static bool
hang_up(struct session *s, const char *reason)
{
	session_end(s, reason);
	return false;
}

static bool
begin_tls(struct session *s, const uint8_t *first, size_t n)
{
	buf_release(&s->in);
	if (stream_accept_tls(&s->stream, env_of(s)->tls, first, n) == -1)
		return hang_up(s, "TLS setup failed");
	session_enter(s, SESSION_TLS);
	return true;
}

/* SSLRequest and GSSENCRequest: one byte says yes or no. Bytes that came with the request would be taken
 * for encrypted ones later (CVE-2021-3935): nobody honest sends them. */
static bool
encryption_request(struct session *s, uint32_t code, size_t n)
{
	bool yes = code == PG_SSL_REQUEST && env_of(s)->tls != NULL && !s->local_socket;

	if (n > 8)
		return hang_up(s, "data was sent together with an encryption request");
	if (s->stream.ssl != NULL)
		return hang_up(s, "encryption was requested inside TLS");
	/* each of the two makes sense once; more is a client that plays for time */
	if (s->hello & (code == PG_SSL_REQUEST ? HELLO_SSL : HELLO_GSS))
		return hang_up(s, "too many encryption requests");
	s->hello |= code == PG_SSL_REQUEST ? HELLO_SSL : HELLO_GSS;
	buf_release(&s->in);
	if (stream_write(&s->stream, yes ? "S" : "N", 1) == -1)
		return hang_up(s, "client went away");
	return yes ? begin_tls(s, NULL, 0) : true;
}

/* Direct TLS, as PostgreSQL 17 takes it: only with ALPN, which startup_secured() checks. */
static bool
direct_tls(struct session *s, const uint8_t *p, size_t n)
{
	if (env_of(s)->tls == NULL || s->stream.ssl != NULL || s->hello != 0)
		return hang_up(s, "unexpected TLS handshake");
	s->hello |= HELLO_DIRECT;
	return begin_tls(s, p, n);
}

bool
startup_secured(struct session *s, bool ok)
{
	char why[200];

	if (!ok) {
		tls_last_error(why, sizeof(why));
		log_debug("C-%llu: TLS handshake failed: %s", (unsigned long long)s->id, why);
		return hang_up(s, "TLS handshake failed");
	}
	if ((s->hello & HELLO_DIRECT) && !tls_alpn_is_postgresql(s->stream.ssl))
		return hang_up(s, "direct TLS without ALPN protocol \"postgresql\"");
	session_enter(s, SESSION_STARTUP);
	return true;
}

static bool
version_3(struct session *s, uint32_t code, const uint8_t *p, size_t len)
{
	if (env_of(s)->cfg->client_tls_sslmode >= TLS_REQUIRE && s->stream.ssl == NULL &&
	    !s->local_socket)
		return session_fail(s, FAULT_TLS_REQUIRED, NULL);
	return login_begin(s, code & 0xffff, p, len);
}

/* One packet of the startup phase is at p; n bytes are there. False when the session is gone. */
static bool
packet(struct session *s, const uint8_t *p, size_t n)
{
	uint32_t len = pg_get_u32(p), code = pg_get_u32(p + 4);
	char message[100];

	if (len < 8 || len > PGMSG_STARTUP_MAX)
		return session_fail(s, FAULT_PROTOCOL, "invalid length of startup packet");
	if (code == PG_CANCEL_REQUEST)
		return cancel_request(s, p, n, len);
	if (code == PG_SSL_REQUEST || code == PG_GSSENC_REQUEST)
		return len == 8 ? encryption_request(s, code, n)
				: hang_up(s, "invalid encryption request");
	if (code >> 16 != 3) {
		snprintf(message, sizeof(message),
		    "unsupported frontend protocol %u.%u: 3.0 to 3.2 are served", code >> 16,
		    code & 0xffff);
		return session_fail(s, FAULT_PROTOCOL_VERSION, message);
	}
	if (n < len)
		return true;
	/* a client in a hurry may have sent its password and first request too */
	buf_consume(&s->in, len);
	return version_3(s, code, p + 8, len - 8);
}

bool
startup_readable(struct session *s)
{
	uint8_t *rbuf = session_worker(s)->rbuf;
	size_t kept = buf_len(&s->in), n;
	ssize_t got;

	memcpy(rbuf, buf_len(&s->in) > 0 ? buf_data(&s->in) : rbuf, kept);
	got = stream_read(&s->stream, rbuf + kept, PGMSG_STARTUP_MAX + 1 - kept);
	if (got == 0)
		return true;
	if (got == -1)
		return hang_up(s, kept > 0 ? "client unexpected eof" : NULL);
	n = kept + (size_t)got;
	buf_clear(&s->in);
	buf_put(&s->in, rbuf, n);
	if (buf_failed(&s->in))
		return hang_up(s, "out of memory");
	if (kept == 0 && rbuf[0] == TLS_HANDSHAKE_BYTE)
		return direct_tls(s, rbuf, n);
	return n < 8 ? true : packet(s, rbuf, n);
}
