/* server_idle.c -- a server between two holders: what may arrive, and how long it may live. */
#include "pool/pool.h"
#include "pool/server.h"

#include "auth/secret_version.h"
#include "proxy/base/log.h"
#include "proxy/wire/pgmsg.h"

#define RETIRE_MS 5000 /* within which the idle servers of a replaced user end */

static void
drop_bytes(struct server_sink *sink, const uint8_t *p, size_t n)
{
	/* notices and notifications that nobody waits for */
	(void)sink;
	(void)p;
	(void)n;
}

static enum request_verdict
idle_event(struct server_sink *sink, struct server *s, uint8_t type, const uint8_t *payload,
    size_t n, enum request_verdict v)
{
	struct pgmsg_error e;

	(void)sink;
	if (type == 'S')
		return v;
	if (type == 'E' && pgmsg_error(payload, n, &e))
		log_info("S-%llu: %s/%s server said: %s: %s", (unsigned long long)s->id,
		    s->pool->db->quota.name, s->pool->user->name, e.severity, e.message);
	return REQUEST_BAD;
}

bool
server_idle_input(struct server *s)
{
	struct server_sink sink = { .bytes = drop_bytes, .event = idle_event };

	return server_pump(s, &sink) == PUMP_MORE;
}

bool
server_is_retired(const struct server *s)
{
	return s->secret != NULL && atomic_load_explicit(&s->secret->retired, memory_order_relaxed);
}

bool
server_is_too_old(const struct server *s, uint64_t now)
{
	uint64_t life = (uint64_t)atomic_load_explicit(&s->pool->rules.server_lifetime,
	    memory_order_relaxed);

	return now - s->connected_ms >= life + life / 16 * (s->id % 16) / 16;
}

void
server_arm_limits(struct server *s)
{
	uint64_t life = (uint64_t)atomic_load_explicit(&s->pool->rules.server_lifetime,
	    memory_order_relaxed);
	uint64_t idle = (uint64_t)atomic_load_explicit(&s->pool->rules.server_idle_timeout,
	    memory_order_relaxed);
	uint64_t at = s->connected_ms + life + life / 16 * (s->id % 16) / 16;

	if (idle > 0 && s->idle_since_ms + idle < at)
		at = s->idle_since_ms + idle;
	/* not all at once: each is likely to be replaced by a new login */
	if (server_is_retired(s))
		at = loop_now_ms(&s->worker->loop) + s->id * 7919 % RETIRE_MS;
	loop_deadline(&s->worker->loop, &s->deadline, at);
}
