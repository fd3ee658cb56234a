/* pgmsg.h -- reading PostgreSQL protocol v3 messages. Pure: bytes in, values out; nothing is copied,
 * results point into the caller's bytes. Format: PostgreSQL docs, chapter "Frontend/Backend Protocol".
 * A struct pgcur is a cursor whose first short or malformed read sticks: parse everything, then check
 * pgcur_ok() once. No length is ever trusted before it was compared with what is there. */
#ifndef PROXY_WIRE_PGMSG_H
#define PROXY_WIRE_PGMSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PGMSG_HEADER 5 /* type byte and length */
#define PGMSG_STARTUP_MAX                                                                          \
	10000 /* bytes of a startup packet, as PostgreSQL's MAX_STARTUP_PACKET_LENGTH */

#define PG_PROTOCOL(major, minor) (((uint32_t)(major) << 16) | (minor))
#define PG_CANCEL_REQUEST	  PG_PROTOCOL(1234, 5678)
#define PG_SSL_REQUEST		  PG_PROTOCOL(1234, 5679)
#define PG_GSSENC_REQUEST	  PG_PROTOCOL(1234, 5680)

static inline uint32_t
pg_get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct pgcur {
	const uint8_t *p, *end;
	bool failed;
};

static inline struct pgcur
pgcur_over(const uint8_t *p, size_t n)
{
	return (struct pgcur){ .p = p, .end = p + n, .failed = false };
}

uint8_t pgcur_u8(struct pgcur *);
uint16_t pgcur_u16(struct pgcur *);
uint32_t pgcur_u32(struct pgcur *);
/* A NUL-terminated string inside the message; "" after a failure, never NULL. */
const char *pgcur_str(struct pgcur *);
/* n bytes, or NULL. */
const uint8_t *pgcur_bytes(struct pgcur *, size_t n);

static inline size_t
pgcur_left(const struct pgcur *c)
{
	return (size_t)(c->end - c->p);
}

/* Nothing went wrong so far. */
static inline bool
pgcur_ok(const struct pgcur *c)
{
	return !c->failed;
}

/* Nothing went wrong and nothing is left over. */
static inline bool
pgcur_done(const struct pgcur *c)
{
	return !c->failed && c->p == c->end;
}

/* The parts of an ErrorResponse or NoticeResponse that we look at; "" when absent. */
struct pgmsg_error {
	const char *severity, *sqlstate, *message, *detail, *hint;
};

/* Fills *e from a payload; false when malformed (fields read so far are valid). */
bool pgmsg_error(const uint8_t *payload, size_t n, struct pgmsg_error *e);

/* One startup packet behind its length and code: name/value pairs. False when malformed. */
struct pgmsg_startup {
	const char *user, *database, *options, *replication; /* NULL = not given */
};
bool pgmsg_startup(const uint8_t *payload, size_t n, struct pgmsg_startup *s,
    bool (*param)(void *arg, const char *name, const char *value), void *arg);

/* The GUC settings inside the startup parameter `options`: `-c name=value`, `-cname=value`,
 * `--name=value`, with backslash escapes. Calls `set` for each; false (with a text) when it has
 * anything else. Always ends: every turn of its loop consumes input. */
bool pgmsg_options(const char *options, char *scratch, size_t room,
    bool (*set)(void *arg, const char *name, const char *value), void *arg);

#endif
