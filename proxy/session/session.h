/* session.h -- one client of ours: the PostgreSQL protocol from hello to goodbye.
 * A session lives on one worker. The steps (startup, login, relay, console) are files of their own; they
 * get bytes, and change the state by session_enter() only. All that may free the session return false
 * when they did, and nothing of it is touched afterwards. Must not know HTTP. */
#ifndef PROXY_SESSION_SESSION_H
#define PROXY_SESSION_SESSION_H

#include "pool/pool.h"
#include "pool/server.h"
#include "proxy/base/fault.h"
#include "proxy/base/stream.h"

enum session_state {
#define STATE(name, waits_for, next) SESSION_##name,
#include "proxy/session/session_states.def"
#undef STATE
	SESSION_STATES
};

enum { HELLO_SSL = 1, HELLO_GSS = 2, HELLO_DIRECT = 4 };

struct client_statements;
struct console;
struct login;
struct session_set;

struct session {
	struct stream stream; /* first: to and from the client */
	struct server_holder holder;
	struct pool_ticket ticket;
	struct deadline deadline;
	struct list_node place; /* in session_set.all, or .logins until logged in */

	struct pool *pool;		      /* reference; NULL before login and on the console */
	struct quota *user;		      /* of the name it logged in with; NULL before */
	struct server *server;		      /* whom it is attached to, or NULL */
	struct params *params;		      /* the session parameters it wants (reference) */
	struct client_statements *statements; /* prepared statements, NULL until it has one */
	union {
		struct login *login;	 /* until logged in */
		struct console *console; /* in state CONSOLE */
	};
	struct buf in;	    /* what could not be dealt with yet */
	uint32_t body_left; /* bytes of a large message that are still to be passed on */
	uint32_t slot;	    /* its place in session_set.slots; part of the cancel key's pid */

	uint8_t state;
	uint8_t key_len;	  /* of the cancel key; 4 in protocol 3.0 */
	uint8_t hello;		  /* HELLO_*: what came before the startup packet */
	uint8_t peer_family;	  /* AF_INET, AF_INET6, AF_UNIX */
	bool pinned : 1;	  /* keeps its server until it ends */
	bool counted : 1;	  /* in the limits of pool, database, user and max_client_conn */
	bool told_of_wait : 1;	  /* the notice of query_wait_notify was sent */
	bool params_failed : 1;	  /* the server refused its parameters */
	bool server_said_bye : 1; /* a FATAL of the server went to the client */
	bool local_socket : 1;
	bool closing_after : 1;	  /* SHUTDOWN WAIT_FOR_SERVERS and the like: end when idle */
	bool touched_unknown : 1; /* ... and perhaps in parameters whose names are not known */
	bool touched : 1; /* SQL changed session parameters in a way the server does not report */
	uint16_t peer_port;

	uint64_t id;
	uint64_t connected_ms;
	uint64_t request_us; /* when the oldest unanswered request was sent, 0 = none */
	uint64_t xact_us;    /* when it got its server */
	union {
		uint8_t key[8];	   /* cancel key of up to 8 bytes */
		uint8_t *long_key; /* of more */
	};
	uint8_t peer_addr[16]; /* IPv4 or IPv6, network order */
};

/* Takes an accepted socket. */
void session_open(struct worker *, int fd, const struct sockaddr_storage *peer);
void session_enter(struct session *, enum session_state);
const char *session_waits_for(const struct session *);

/* Ends it at once, without a word: the client is gone, or what it has been sent cannot be completed. */
void session_end(struct session *, const char *reason);
/* Tells the client (severity FATAL) and ends. message NULL: the fault's own. Always returns false. */
bool session_fail(struct session *, enum fault, const char *message);
bool session_fail_as(struct session *, const char *sqlstate, const char *message,
    const char *detail);
/* Says so if the socket takes it, and closes at once: its descriptor is needed. */
void session_drop(struct session *, enum fault);
/* Sends what is in `out` and, when it was the last word, closes politely. */
bool session_last_word(struct session *, struct buf *out, const char *reason);

/* "C-12: db/user@addr:port" into buf. */
const char *session_name(const struct session *, char *buf, size_t n);
void session_peer(const struct session *, char *addr, size_t n, int *port);

/* Sets its deadline by its state and the pool's rules (0 = none). */
void session_arm(struct session *);

static inline const uint8_t *
session_key(const struct session *s)
{
	return s->key_len > sizeof(s->key) ? s->long_key : s->key;
}

static inline struct session *
session_of_stream(struct stream *st)
{
	return list_entry(st, struct session, stream);
}

/* Where it lives, from its opening on. */
static inline struct worker *
session_worker(const struct session *s)
{
	return list_entry(s->stream.loop, struct worker, loop);
}

static inline uint64_t
session_now_ms(const struct session *s)
{
	return loop_now_ms(&session_worker(s)->loop);
}

#endif
