/* server.h -- one PostgreSQL connection that we hold, taken over from libpq for good.
 * It belongs to the thread of its worker; server_move() hands it to another. At any time it has at most
 * one holder (a session, or a command of ours), who gets its bytes; without a holder it is idle and only
 * notices, parameter reports and its own end are expected of it.
 * Knows the wire, parameters and statements. Must not know who asks, nor limits (pool.h). */
#ifndef POOL_SERVER_H
#define POOL_SERVER_H

#include "pool/requests.h"
#include "pool/server_statements.h"
#include "proxy/base/stream.h"
#include "proxy/base/worker.h"

#include <stdatomic.h>
#include <sys/socket.h>

struct server;
struct pool;
struct params;
struct connect_job;
struct secret_version;

enum server_state {
	SERVER_IDLE,   /* ready for anybody */
	SERVER_ACTIVE, /* a session has it */
	SERVER_TESTED, /* a check, reset or rollback of ours runs on it */
	SERVER_MOVING, /* in a mailbox on its way to another worker */
};

struct server_holder;

/* The first two return false when the server is gone (or no longer the holder's). */
struct server_holder_ops {
	bool (*readable)(struct server_holder *, struct server *);
	bool (*drained)(struct server_holder *, struct server *);
	/* An answer settled an entry that the holder pushed with a note, or a FAKE's turn came. */
	void (*settled)(struct server_holder *, struct server *, const struct request *, bool ok);
	void (*fake)(struct server_holder *, struct server *, enum request_kind);
};

/* Who uses the server now; lives inside the holder. */
struct server_holder {
	const struct server_holder_ops *ops;
};

/* The payload of request notes: what has to be undone when the request fails or is skipped. */
struct server_note {
	struct server_statement *parsed; /* entry that stands only if the Parse succeeds */
	struct server_statement
	    *closed;	/* entry taken out; back in when the Close does not happen */
	void *client;	/* the holder's, see settled */
	bool no_matter; /* nothing that is sent later depends on how it ends */
};

/* The notes of what changes the unnamed statement: a Parse of the holder's; a Parse or Close that was put in.
 * Nothing is allocated for them. */
extern struct server_note server_unnamed_note, server_unnamed_ours;

struct server {
	struct stream stream;
	struct list_node place; /* in a list of the pool's */
	struct worker *worker;
	struct pool *pool;
	struct server_holder *holder;
	enum server_state state;
	char status;	      /* of the last ReadyForQuery: I, T or E */
	bool close_when_free; /* RECONNECT, lifetime, PAUSE, tainted: not for anybody else */
	bool used;	      /* a client had it since it was last clean */
	uint32_t body_left;   /* bytes of a large message still to come ... */
	bool body_drop;	      /* ... which nobody wants */
	struct buf in;	      /* the beginning of a message, until the rest comes */
	struct requests requests;
	struct params *params;	 /* what the session on the server has now */
	struct params *reported; /* as it was at connect: the names that the server reports */
	struct server_statements statements;
	uint64_t unnamed_of;	/* token of the unnamed statement it has; 0 = not known */
	uint32_t unnamed_notes; /* unsettled ones of the holder's: if the last fails, it has none */
	/* Notes still unsettled, of the segment (up to a Sync) that is being sent and of earlier ones. What an
	 * error in an earlier one undoes must not be built upon: see server_is_unsure(). */
	uint32_t notes_now, notes_before;

	uint64_t id;
	uint64_t connected_ms, idle_since_ms, request_us;
	struct deadline deadline; /* idle and life limits; armed lazily */
	int cancels;		  /* cancel requests under way: it goes to nobody meanwhile */
	bool parked;		  /* clean, but waits for them to be over */
	bool doomed;		  /* closed, but they still point here */
	unsigned epoch; /* of the pool when it was opened: older ones are closed when free */
	struct secret_version *secret; /* it logged in with (reference), NULL = not with one */
	char *login_user;	       /* session_authorization at connect, NULL = not reported */

	void *pg; /* for connector_finish() only */
	uint32_t backend_pid;
	uint8_t *key;
	uint16_t key_len;
	struct sockaddr_storage *peer;
	socklen_t peer_len;
	struct letter letter; /* for moving */
};

/* Takes over the connection of a job that ended with CONNECT_OK. NULL when out of memory; then the
 * connection is closed. The server is detached from any loop: server_open() it. */
struct server *server_adopt(struct connect_job *, struct pool *, struct worker *);
void server_open(struct server *, struct worker *);
/* Closes and frees. The holder must have let go; a Terminate is sent when the protocol state allows. */
void server_free(struct server *);
/* Hands it to another thread, where `arrived` runs with its letter; use server_of_letter(). */
void server_move(struct server *, struct worker *to,
    void (*arrived)(struct worker *, struct letter *));
struct server *server_of_letter(struct letter *);

void server_hold(struct server *, struct server_holder *, enum server_state);
/* The holder is gone; what is still owed is settled as failed if anything is. */
void server_let_go(struct server *);

/* Every request answered, outside a transaction, no byte half-read or unsent: the next one may have it. */
bool server_is_clean(const struct server *);

/* Records that a request went out. false: too many, or no memory. */
bool server_expect(struct server *, enum request_kind, enum request_fate, struct server_note *);
/* An earlier segment of the pipeline is not answered, and may yet change which statements there are. */
static inline bool
server_is_unsure(const struct server *s)
{
	return s->notes_before > 0;
}

/* The session on the server was reset (DISCARD ALL): parameters it does not report are at their defaults. */
void server_forget_unreported(struct server *);
/* Shows one backend message to the queue and keeps status and parameters up to date; the message is whole
 * (n = payload bytes) unless it is a large one of type D, d, E, N, T, t, V or A, which are not looked into. */
enum request_verdict server_answer(struct server *, uint8_t type, const uint8_t *payload, size_t n);

/* A parameter's value as sets of parameters keep it: the session_authorization that a server was opened with is
 * "" there, its default, since servers of one pool may log in as different users. */
const char *server_value(const struct server *, const char *name, const char *value);
/* Its credentials have been replaced by another user's, or are about to end. */
bool server_is_retired(const struct server *);
/* Older than server_lifetime (spread a little, so that those opened together do not end together). */
bool server_is_too_old(const struct server *, uint64_t now_ms);
/* Sets the deadline of an idle server to the earlier of its life and idle limits. */
void server_arm_limits(struct server *);
/* Bytes on a server that nobody holds: false when it must be closed. */
bool server_idle_input(struct server *);

/* ---- reading ---- */

enum pump_result {
	PUMP_MORE, /* all that was there has been dealt with */
	PUMP_LOST, /* the server closed the connection */
	PUMP_BAD,  /* it sent what nobody asked for, or garbage */
};

/* Where the bytes of one server_pump() go. Neither callback may free the server. */
struct server_sink {
	/* Bytes for the client: one or more messages, or a part of a large one. */
	void (*bytes)(struct server_sink *, const uint8_t *p, size_t n);
	/* A whole message of type C, E, G, S or Z was answered with this verdict; returns the verdict to use. */
	enum request_verdict (*event)(struct server_sink *, struct server *, uint8_t type,
	    const uint8_t *payload, size_t n, enum request_verdict);
	/* Where the holder's `fake` puts answers it makes up; written behind the message that made it their
	 * turn, then cleared. NULL = none ever. */
	struct buf *fakes;
};

/* Reads once what the server sent and takes it apart. */
enum pump_result server_pump(struct server *, struct server_sink *);

#endif
