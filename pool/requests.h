/* requests.h -- what a server still owes an answer to, in order, and what becomes of each answer.
 * One queue per server connection. Every frontend message that PostgreSQL answers is pushed when it is
 * sent; every backend message is shown to requests_answer(), which says whether it goes to the client.
 *
 * FORWARD  the client asked: the answer is the client's.
 * SWALLOW  we asked (an injected Parse, Close, parameter query): nobody sees the answer.
 * FAKE     the client asked for what the server need not do: when its turn comes, the owner makes the
 *	    answer up.
 * After an error in the extended protocol the server skips to the next Sync: so does the queue.
 *
 * COPY FROM STDIN eats Sync messages that arrive while it runs. A Sync that was certainly eaten leaves
 * the queue; when it cannot be known (an error during the COPY), the queue says `tainted`: the server
 * must be verified by a question whose answer is unmistakable before anybody else gets it.
 * A wrong guess can only leave the queue too long, never too short: nobody gets another's answer.
 *
 * Pure: no fd, no clock, no protocol bytes. Rules: PostgreSQL docs, "Message Flow", and postgres.c. */
#ifndef POOL_REQUESTS_H
#define POOL_REQUESTS_H

#include <stdbool.h>
#include <stdint.h>

enum request_kind {
	REQUEST_QUERY, /* ends with ReadyForQuery, as do the next two */
	REQUEST_FUNCTION,
	REQUEST_SYNC,
	REQUEST_PARSE,
	REQUEST_BIND,
	REQUEST_DESCRIBE,
	REQUEST_EXECUTE,
	REQUEST_CLOSE,
	REQUEST_COPY_END, /* CopyDone or CopyFail: no answer of its own */
};

enum request_fate { REQUEST_FORWARD, REQUEST_SWALLOW, REQUEST_FAKE };

struct request {
	uint8_t kind, fate;
	bool failed;	  /* an error was seen, ReadyForQuery is still to come */
	bool seen;	  /* an answer other than ReadyForQuery came for it */
	bool maybe_eaten; /* a Sync that a running COPY may have read */
	bool known_set;	  /* ... or sets one parameter whose name was seen */
	bool local_set;	  /* the pusher's remark: its SET ends with the transaction */
	void *note;	  /* the owner's; given back in `settled` */
};

enum request_verdict {
	REQUEST_PASS, /* give the message to the client */
	REQUEST_DROP, /* ours: swallow it */
	REQUEST_BAD, /* not an answer to anything asked: the connection cannot be trusted any more */
};

struct requests_ops {
	/* An entry with a note left the queue: answered well, or failed or skipped. Of entries skipped
	 * together the last is settled first, so that changes can be undone in reverse. */
	void (*settled)(void *owner, const struct request *, bool ok);
	/* It is a FAKE entry's turn. */
	void (*fake)(void *owner, enum request_kind);
};

struct requests {
	struct request *ring;
	uint32_t head, count, size; /* size is a power of two, or 0 */
	bool skipping;		    /* after an error, no Sync seen yet */
	bool open;	/* extended-protocol requests since the last Sync: a transaction is open */
	bool copy_in;	/* a COPY FROM STDIN is running */
	bool copy_open; /* and its end has not been sent */
	bool unsure;	/* the failed COPY has left more than ReadyForQuerys to guess at */
	bool tainted;
	uint32_t leftover; /* Syncs that a failed COPY may have left to be answered */
};

#define REQUESTS_MAX  65536 /* more are refused */
#define REQUESTS_HIGH 8192  /* from here on the client should not be read */

void requests_release(struct requests *);
/* false: no memory or too many; the connection cannot go on. */
bool requests_push(struct requests *, enum request_kind, enum request_fate, void *note,
    const struct requests_ops *, void *owner);
enum request_verdict requests_answer(struct requests *, uint8_t type, const struct requests_ops *,
    void *owner);
/* The connection ends: everything still in the queue is settled as failed. */
void requests_abandon(struct requests *, const struct requests_ops *, void *owner);

/* Every request was answered, and the last answer was a ReadyForQuery. */
static inline bool
requests_idle(const struct requests *q)
{
	return q->count == 0 && !q->skipping && !q->open;
}

/* The entry that was pushed last, or NULL when nothing is waited for. */
static inline struct request *
requests_last(const struct requests *q)
{
	return q->count == 0 ? 0 : &q->ring[(q->head + q->count - 1) & (q->size - 1)];
}

/* The entry whose answer comes next, or NULL. */
static inline struct request *
requests_head(const struct requests *q)
{
	return q->count == 0 ? 0 : &q->ring[q->head & (q->size - 1)];
}

#endif
