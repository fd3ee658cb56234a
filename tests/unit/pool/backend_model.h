/* backend_model.h -- PostgreSQL's message loop (tcop/postgres.c, and COPY FROM STDIN's reader) as a toy
 * that owns no code of ours: frontend messages with a decided outcome go in, backend messages that know
 * which request they belong to come out. For requests_test.c.
 *
 * A phantom is a message that was never sent (its answer is faked): it takes part in the order only. */
#ifndef TESTS_BACKEND_MODEL_H
#define TESTS_BACKEND_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { MODEL_QUEUE = 1024 };

/* What the message does when its turn comes. */
enum outcome { OUT_OK, OUT_ERROR, OUT_EMPTY, OUT_SUSPENDED, OUT_COPY_IN, OUT_COPY_OUT, OUT_FATAL };

struct ask {
	char type; /* Q F S P B D E C H d c f */
	bool phantom;
	uint8_t outcome;
	uint8_t statements; /* of a Query: how many run before the outcome's */
	uint8_t patience;   /* messages a COPY reads before it fails; 255 = it does not */
	int id;
};

struct tell {
	char type; /* of the backend message; 0 = a phantom's turn */
	int id;	   /* of the request; -1 = asynchronous */
};

enum end { END_NONE, END_OK, END_FAILED, END_SKIPPED, END_EATEN };

struct model {
	struct ask in[MODEL_QUEUE];
	struct tell out[MODEL_QUEUE];
	int in_head, in_tail, out_head, out_tail;
	bool ignore_till_sync, extended;
	bool copying, closed;
	bool
	    unsynced; /* extended-protocol messages ran since the last ReadyForQuery: a transaction is open */
	struct ask copy; /* the request that runs it */
	int copy_read;
	enum end ends[MODEL_QUEUE]; /* by id */
};

static inline void
model_tell(struct model *m, char type, int id)
{
	m->out[m->out_tail++ % MODEL_QUEUE] = (struct tell){ type, id };
}

static inline void
model_ready(struct model *m, int id)
{
	m->unsynced = false;
	model_tell(m, 'Z', id);
}

static inline void
model_error(struct model *m, const struct ask *a)
{
	model_tell(m, 'E', a->id);
	m->ends[a->id] = END_FAILED;
	m->copying = false;
	if (m->extended)
		m->ignore_till_sync = true;
	else
		model_ready(m, a->id);
}

static inline void
model_fatal(struct model *m, int id)
{
	model_tell(m, 'E', id);
	m->closed = true;
}

static inline void
model_end_statement(struct model *m, const struct ask *a)
{
	m->ends[a->id] = END_OK;
	if (a->type == 'Q')
		model_ready(m, a->id);
}

static inline void
model_run(struct model *m, const struct ask *a)
{
	switch (a->outcome) {
	case OUT_ERROR:
		model_error(m, a);
		return;
	case OUT_FATAL:
		model_fatal(m, a->id);
		return;
	case OUT_EMPTY:
		model_tell(m, 'I', a->id);
		break;
	case OUT_SUSPENDED:
		model_tell(m, 'D', a->id);
		model_tell(m, a->type == 'E' ? 's' : 'C', a->id);
		break;
	case OUT_COPY_OUT:
		model_tell(m, 'H', a->id);
		model_tell(m, 'd', a->id);
		model_tell(m, 'c', a->id);
		model_tell(m, 'C', a->id);
		break;
	case OUT_COPY_IN:
		model_tell(m, 'G', a->id);
		m->copying = true;
		m->copy = *a;
		m->copy_read = 0;
		if (a->patience == 0)
			model_error(m, a);
		return;
	default:
		if (a->type == 'Q')
			model_tell(m, 'T', a->id);
		model_tell(m, 'D', a->id);
		model_tell(m, 'C', a->id);
		break;
	}
	model_end_statement(m, a);
}

static inline void
model_query(struct model *m, const struct ask *a)
{
	for (int i = 0; i < a->statements; i++) {
		model_tell(m, 'T', a->id);
		model_tell(m, 'C', a->id);
	}
	model_run(m, a);
}

/* Parse, Bind, Describe, Close, FunctionCall, Sync: `type` is the answer when all is well. */
static inline void
model_simple(struct model *m, const struct ask *a, char type)
{
	if (a->outcome == OUT_FATAL) {
		model_fatal(m, a->id);
	} else if (a->outcome == OUT_ERROR) {
		model_error(m, a);
	} else {
		if (type != 0)
			model_tell(m, type, a->id);
		m->ends[a->id] = END_OK;
		if (a->type == 'F' || a->type == 'S')
			model_ready(m, a->id);
	}
}

/* One message while COPY FROM STDIN reads. */
static inline void
model_copy(struct model *m, const struct ask *a)
{
	switch (a->type) {
	case 'c':
		m->copying = false;
		m->ends[a->id] = END_OK;
		model_tell(m, 'C', m->copy.id);
		model_end_statement(m, &m->copy);
		return;
	case 'f':
		m->ends[a->id] = END_OK;
		model_error(m, &m->copy);
		return;
	case 'S':
		m->ends[a->id] = END_EATEN;
		/* fall through */
	case 'd':
	case 'H':
		m->copy_read++;
		if (m->copy.patience != 255 && m->copy_read >= m->copy.patience)
			model_error(m, &m->copy);
		return;
	default:
		/* "unexpected message type", and then protocol synchronization is lost */
		model_tell(m, 'E', m->copy.id);
		m->ends[m->copy.id] = END_FAILED;
		model_fatal(m, a->id);
		return;
	}
}

/* Takes the next message; phantoms wait until a COPY is over. */
static inline void
model_step(struct model *m)
{
	struct ask *a = &m->in[m->in_head % MODEL_QUEUE];
	int at = m->in_head;

	if (m->copying) {
		while (at < m->in_tail && m->in[at % MODEL_QUEUE].phantom)
			at++;
		if (at == m->in_tail)
			return;
		struct ask got = m->in[at % MODEL_QUEUE];

		for (; at > m->in_head; at--)
			m->in[at % MODEL_QUEUE] = m->in[(at - 1) % MODEL_QUEUE];
		m->in_head++;
		model_copy(m, &got);
		return;
	}
	m->in_head++;
	if (a->type == 'S') {
		m->ignore_till_sync = false;
		m->extended = false;
	} else if (strchr("BCDEHP", a->type) != NULL) {
		if (!a->phantom)
			m->extended = true;
	} else if (a->type == 'Q' || a->type == 'F') {
		m->extended = false;
	}
	if (m->ignore_till_sync) {
		m->ends[a->id] = END_SKIPPED;
		return;
	}
	if (a->phantom) {
		m->ends[a->id] = END_OK;
		model_tell(m, 0, a->id);
		return;
	}
	if (strchr("PBDE", a->type) != NULL)
		m->unsynced = true;
	switch (a->type) {
	case 'Q':
		model_query(m, a);
		break;
	case 'E':
		model_run(m, a);
		break;
	case 'F':
		model_simple(m, a, 'V');
		break;
	case 'S':
		model_simple(m, a, 0);
		break;
	case 'P':
		model_simple(m, a, '1');
		break;
	case 'B':
		model_simple(m, a, '2');
		break;
	case 'C':
		model_simple(m, a, '3');
		break;
	case 'D':
		if (a->statements > 0 && a->outcome == OUT_OK)
			model_tell(m, 't', a->id);
		model_simple(m, a, a->statements > 1 ? 'n' : 'T');
		break;
	default: /* Flush; CopyData, CopyDone, CopyFail outside COPY are ignored */
		m->ends[a->id] = END_OK;
		break;
	}
}

/* Is anything still to come that is no asynchronous message? */
static inline bool
model_owes(const struct model *m)
{
	bool ignoring = m->ignore_till_sync;

	for (int i = m->out_head; i < m->out_tail; i++)
		if (m->out[i % MODEL_QUEUE].id >= 0 && m->out[i % MODEL_QUEUE].type != 0)
			return true;
	if (m->copying)
		return true;
	for (int i = m->in_head; i < m->in_tail; i++) {
		const struct ask *a = &m->in[i % MODEL_QUEUE];

		if (a->phantom || strchr("Hdcf", a->type) != NULL)
			continue;
		if (a->type == 'S' || !ignoring)
			return true;
	}
	return false;
}

#endif
