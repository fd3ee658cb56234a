#include "proxy/session/cancel.h"

#include "pool/connector.h"
#include "pool/reset.h"
#include "proxy/base/log.h"
#include "proxy/session/relay.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"
#include "proxy/wire/pgmsg.h"

#include <stdlib.h>
#include <string.h>

#define PID_SLOT_BITS 25

/* On its way from the worker that accepted the request to the worker of the session, and back. */
struct errand {
	struct letter letter;
	struct worker *home;
	uint32_t home_slot, slot;
	uint64_t home_id;
	size_t key_len;
	uint8_t key[CONNECT_KEY_MAX];
};

/* Home again: whoever asked sees its connection closed, which says that the signal has been sent. */
static void
come_home(struct worker *w, struct letter *l)
{
	struct errand *e = list_entry(l, struct errand, letter);
	struct session *s = session_set_by_id(session_set_of(w), e->home_slot, e->home_id);

	if (s != NULL)
		session_end(s, NULL);
	explicit_bzero(e->key, sizeof(e->key));
	free(e);
}

static void
go_home(void *arg)
{
	struct errand *e = arg;

	e->letter.deliver = come_home;
	worker_post(e->home, &e->letter);
}

static void
arrive(struct worker *w, struct letter *l)
{
	struct errand *e = list_entry(l, struct errand, letter);
	struct session *s = session_set_by_key(session_set_of(w), e->slot, e->key, e->key_len);

	if (s != NULL && s->state == SESSION_QUEUED) {
		(void)relay_cancel_queued(s);
	} else if (s != NULL && s->server != NULL && !requests_idle(&s->server->requests)) {
		/* answered when the server has it; until then the server stays with this client or with nobody */
		reset_cancel(s->server, go_home, e);
		return;
	}
	go_home(e);
}

bool
cancel_request(struct session *s, const uint8_t *p, size_t n, uint32_t len)
{
	struct session_set *set = session_set_of(session_worker(s));
	uint32_t pid, index;
	struct errand *e;

	if (len < 13 || len > 12 + CONNECT_KEY_MAX) {
		session_end(s, "invalid length of cancel request");
		return false;
	}
	if (n < len)
		return true;
	pid = pg_get_u32(p + 8);
	index = pid >> PID_SLOT_BITS;
	e = index < (uint32_t)set->n_workers ? calloc(1, sizeof(*e)) : NULL;
	if (e == NULL) {
		session_end(s, NULL);
		return false;
	}
	e->home = session_worker(s);
	e->home_slot = s->slot;
	e->home_id = s->id;
	e->slot = pid & ((1u << PID_SLOT_BITS) - 1);
	e->key_len = len - 12;
	memcpy(e->key, p + 12, e->key_len);
	e->letter.deliver = arrive;
	list_init(&e->letter.node);
	/* nothing more is expected of it; client_login_timeout bounds its stay */
	stream_pause(&s->stream);
	worker_post(&set->workers[index], &e->letter);
	return true;
}
