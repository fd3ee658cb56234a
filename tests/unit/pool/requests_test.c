/* requests_test.c -- the queue of outstanding requests against an independent model of PostgreSQL's
 * message loop (backend_model.h): random pipelines, sent, processed and answered at random moments. */
#include "pool/requests.h"

#include "tests/unit/pool/backend_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ASKS = 60, LOG = 4096 };

struct note {
	int id;
	int settled;
	bool ok;
};

/* One pipeline in three places: not sent yet, at the model, on its way back. */
struct world {
	uint64_t random, seed;
	struct model model;
	struct requests q;
	struct note notes[MODEL_QUEUE];
	struct ask asks[MODEL_QUEUE];
	enum request_fate fates[MODEL_QUEUE];
	bool faked[MODEL_QUEUE];
	int n_asks, sent;
	int last_event; /* id of the latest answer or fake: they come in order */
	int skip_from;	/* id settled last by the error that is being dealt with, or MODEL_QUEUE */
	bool in_error;
	bool lost_track; /* tainted: only safety is promised from here on */
	uint64_t tainted_runs;
};

static struct world w;

static void
fail_here(const char *what, int id)
{
	char history[1024];
	size_t n = 0;

	for (int i = 0; i < w.n_asks && n < sizeof(history) - 32; i++)
		n += (size_t)snprintf(history + n, sizeof(history) - n, "%s%c%s%s%s/%d",
		    i == w.sent ? " |" : " ", w.asks[i].type,
		    w.fates[i] == REQUEST_SWALLOW ? "s"
		    : w.fates[i] == REQUEST_FAKE  ? "f"
						  : "",
		    w.asks[i].outcome == OUT_ERROR ? "!" : "",
		    w.asks[i].outcome == OUT_COPY_IN ? "COPY" : "",
		    w.asks[i].outcome == OUT_COPY_IN ? w.asks[i].patience : 0);
	fail_msg("seed %llu, request %d: %s\n%s", (unsigned long long)w.seed, id, what, history);
}

static uint32_t
draw(uint32_t below)
{
	w.random ^= w.random << 13;
	w.random ^= w.random >> 7;
	w.random ^= w.random << 17;
	return (uint32_t)((w.random >> 20) % below);
}

static bool
one_in(uint32_t n)
{
	return draw(n) == 0;
}

static void
on_settled(void *owner, const struct request *r, bool ok)
{
	struct note *n = r->note;

	(void)owner;
	n->settled++;
	n->ok = ok;
	if (n->settled != 1)
		fail_here("settled twice", n->id);
	if (!w.in_error || ok)
		return;
	if (n->id >= w.skip_from)
		fail_here("skipped entries are settled last first", n->id);
	w.skip_from = n->id;
}

static void
on_fake(void *owner, enum request_kind kind)
{
	int id = w.last_event + 1;

	(void)owner;
	/* the next phantom behind the last event: those between are skipped or need no answer */
	while (id < w.sent && (w.fates[id] != REQUEST_FAKE || w.faked[id]))
		id++;
	if (id == w.sent)
		fail_here("a fake that nobody asked for", w.last_event);
	if (kind != (w.asks[id].type == 'P' ? REQUEST_PARSE : REQUEST_CLOSE) && !w.lost_track)
		fail_here("the fake is of another kind", id);
	w.faked[id] = true;
	w.last_event = id;
}

static const struct requests_ops ops = { .settled = on_settled, .fake = on_fake };

/* ---- the client ---- */

static enum request_kind
kind_of(char type)
{
	static const char types[] = "QFSPBDEC";

	return type == 'c' || type == 'f' ? REQUEST_COPY_END
					  : (enum request_kind)(strchr(types, type) - types);
}

/* How well the client behaves while a COPY that it started reads its messages. */
enum manners { POLITE, SYNCS_IN_COPY, WILD };

static char
pick_type(enum manners manners, bool *copying)
{
	static const char any[] = "QFSSSPPPBBBDDEEEEECCHdcf", copy[] = "dddHSS";

	if (*copying && manners != WILD) {
		if (one_in(3)) {
			*copying = false;
			return one_in(4) ? 'f' : 'c';
		}
		return copy[draw(manners == POLITE ? 4 : 6)];
	}
	return any[draw(sizeof(any) - 1)];
}

static void
write_pipeline(enum manners manners)
{
	bool copying = false;
	int n = 1 + (int)draw(ASKS);

	for (w.n_asks = 0; w.n_asks < MODEL_QUEUE && (w.n_asks < n || copying); w.n_asks++) {
		struct ask *a = &w.asks[w.n_asks];

		*a = (struct ask){ .type = pick_type(manners, &copying), .id = w.n_asks };
		a->outcome = one_in(8) ? OUT_ERROR : OUT_OK;
		if (one_in(400))
			a->outcome = OUT_FATAL;
		if ((a->type == 'Q' || a->type == 'E') && one_in(3))
			a->outcome = (uint8_t)(OUT_EMPTY + draw(4));
		if (a->type == 'Q' && a->outcome == OUT_EMPTY)
			a->statements = 0;
		else
			a->statements = (uint8_t)draw(3);
		a->patience = one_in(3) ? (uint8_t)draw(4) : 255;
		if (manners != WILD && a->outcome == OUT_COPY_IN &&
		    (a->type == 'Q' || a->type == 'E'))
			copying = true;
		w.fates[w.n_asks] = one_in(5) ? REQUEST_SWALLOW : REQUEST_FORWARD;
		if ((a->type == 'P' || a->type == 'C') && !copying && one_in(4)) {
			w.fates[w.n_asks] = REQUEST_FAKE;
			a->phantom = true;
		}
	}
}

static void
send_one(void)
{
	struct ask *a = &w.asks[w.sent];
	int id = w.sent++;
	struct note *note = one_in(3) ? NULL : &w.notes[id];

	w.notes[id].id = id;
	if (note == NULL)
		w.notes[id].settled = -1;
	w.model.in[w.model.in_tail++ % MODEL_QUEUE] = *a;
	if (a->type == 'H' || a->type == 'd') {
		w.notes[id].settled = -1;
		return;
	}
	if (!requests_push(&w.q, kind_of(a->type), w.fates[id], note, &ops, NULL))
		fail_here("not pushed", id);
}

/* ---- the answers ---- */

static void
check_head(int id)
{
	const struct request *r = requests_head(&w.q);

	if (r == NULL || r->kind != kind_of(w.asks[id].type) || r->fate != w.fates[id])
		fail_here("the answer is another request's", id);
	if (r->note != NULL && ((struct note *)r->note)->id != id)
		fail_here("the answer is another request's", id);
}

static enum request_verdict
expected(char type, int id)
{
	/* an injected request that fails in the extended protocol fails for the client */
	if (type == 'E' && strchr("QFS", w.asks[id].type) == NULL)
		return REQUEST_PASS;
	return w.fates[id] == REQUEST_FORWARD ? REQUEST_PASS : REQUEST_DROP;
}

static void
deliver_one(void)
{
	struct tell t = w.model.out[w.model.out_head++ % MODEL_QUEUE];
	bool last_words = w.model.closed && w.model.out_head == w.model.out_tail;
	enum request_verdict v;

	if (t.type == 0) {
		if (!w.faked[t.id] && !w.lost_track)
			fail_here("not faked when its turn came", t.id);
		return;
	}
	if (t.id >= 0 && !w.lost_track && !last_words) {
		check_head(t.id);
		if (t.id < w.last_event)
			fail_here("a fake came too early", t.id);
		w.last_event = t.id;
	}
	w.in_error = t.type == 'E';
	w.skip_from = MODEL_QUEUE;
	v = requests_answer(&w.q, (uint8_t)t.type, &ops, NULL);
	w.in_error = false;
	if (t.id < 0 && v != REQUEST_PASS)
		fail_here("an asynchronous message was held back", t.id);
	if (w.q.tainted && !w.lost_track) {
		w.lost_track = true;
		w.tainted_runs++;
	}
	if (t.id >= 0 && !w.lost_track && !last_words && v != expected(t.type, t.id))
		fail_here("wrong verdict", t.id);
}

/* The safety property: when the queue says that nothing is owed, nothing is. */
static void
check_safety(void)
{
	if (requests_idle(&w.q) && !w.q.tainted && model_owes(&w.model) && !w.model.closed)
		fail_here("idle while the server owes an answer", w.last_event);
	if (requests_idle(&w.q) && !w.q.tainted && w.model.unsynced && !w.model.closed)
		fail_here("idle without a Sync: a transaction is open", w.last_event);
}

static void
check_end(void)
{
	if (!w.model.closed && !w.lost_track) {
		if (w.q.count != 0)
			fail_here("answered, but the queue waits on", w.last_event);
		if (w.q.skipping != w.model.ignore_till_sync)
			fail_here("skips when the server does not, or the other way", w.last_event);
	}
	requests_abandon(&w.q, &ops, NULL);
	for (int i = 0; i < w.sent; i++) {
		enum end e = w.model.ends[i];

		if (w.notes[i].settled == -1)
			continue;
		if (w.notes[i].settled != 1)
			fail_here("a note was lost", i);
		if (w.lost_track || w.model.closed || e == END_EATEN ||
		    kind_of(w.asks[i].type) == REQUEST_COPY_END)
			continue;
		if (w.notes[i].ok != (e == END_OK))
			fail_here("settled the other way than it ended", i);
		if (w.faked[i] != (w.fates[i] == REQUEST_FAKE && e == END_OK))
			fail_here("faked or not, against what became of it", i);
	}
}

static void
run_pipeline(uint64_t seed, enum manners manners)
{
	uint32_t eager;
	uint64_t tainted = w.tainted_runs;

	memset(&w, 0, sizeof(w));
	w.tainted_runs = tainted;
	w.seed = seed;
	w.random = seed * 0x9e3779b97f4a7c15u + 1;
	w.last_event = -1;
	draw(2);
	write_pipeline(manners);
	eager = 1 + draw(4);
	for (;;) {
		bool may_send = w.sent < w.n_asks && !w.model.closed;
		bool may_step = w.model.in_head < w.model.in_tail && !w.model.closed;
		bool may_deliver = w.model.out_head < w.model.out_tail;
		uint32_t what = draw(2 + eager);

		if (!may_send && !may_deliver && (!may_step || w.model.copying)) {
			int before = w.model.in_head;

			if (may_step)
				model_step(&w.model);
			if (w.model.in_head == before && w.model.out_head == w.model.out_tail)
				break;
			continue;
		}
		if (what == 0 && may_step)
			model_step(&w.model);
		else if (what == 1 && may_deliver)
			deliver_one();
		else if (may_send)
			send_one();
		else if (may_deliver && one_in(2))
			deliver_one();
		else if (may_step)
			model_step(&w.model);
		if (one_in(50) && !w.model.closed)
			model_tell(&w.model, "NSA"[draw(3)], -1);
		check_safety();
	}
	if (w.model.copying) {
		/* the client goes away in the middle of its COPY */
		if (requests_idle(&w.q) && !w.q.tainted)
			fail_here("idle in a COPY", w.model.copy.id);
		w.lost_track = true;
	}
	check_end();
}

/* goal: with any client that knows when it copies, every answer goes to its request, nothing is taken for
 * answered too early or too late, and no guess is ever needed */
static void
test_polite(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 300000; seed++) {
		run_pipeline(seed, POLITE);
		assert_false(w.tainted_runs);
	}
}

/* goal: the same with Syncs inside a COPY, which it eats; only a COPY that fails may make us unsure */
static void
test_syncs_in_copy(void **state)
{
	(void)state;
	w.tainted_runs = 0;
	for (uint64_t seed = 1; seed <= 200000; seed++)
		run_pipeline(seed, SYNCS_IN_COPY);
	assert_true(w.tainted_runs > 0);
}

/* goal: with a client that sends anything at any time (and is thrown out for it by the server) the promises
 * hold too */
static void
test_wild(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200000; seed++)
		run_pipeline(seed, WILD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_polite),
		cmocka_unit_test(test_syncs_in_copy),
		cmocka_unit_test(test_wild),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
