#include "auth/https_call_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libcurl ends a call in time; when it cannot (no memory for a watch), we do, this much later. The
 * loop's clock, from which we count, may be as old as the turn. */
#define LIMIT_GRACE_MS	  2000
#define IDLE_CONNECTIONS  16L
#define ERROR_TEXT_LENGTH 200

struct https_calls {
	struct loop *loop;
	CURLM *multi;		  /* NULL after start_over(), until the next call */
	struct deadline timer;	  /* libcurl's */
	struct watch now;	  /* watches nothing: fed when libcurl wants to run at once */
	bool in_now;		  /* on_now() is running */
	struct list_node calls;	  /* struct https_call.node */
	struct list_node sockets; /* struct https_socket.node */
};

/* Of a socket that libcurl wants to be told about. */
struct https_socket {
	struct watch watch;
	struct https_calls *owner;
	struct list_node node;
};

/* ---- the end of a call ---- */

static void
detach(struct https_call *c)
{
	list_del(&c->node);
	loop_deadline_remove(c->owner->loop, &c->limit);
	if (c->attached)
		curl_multi_remove_handle(c->owner->multi, c->easy);
	c->attached = false;
}

static void
call_free(struct https_call *c)
{
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	if (c->body != NULL)
		explicit_bzero(c->body, c->body_len);
	free(c->body);
	buf_release(&c->in);
	c->magic = 0;
	free(c);
}

/* libcurl says that it could not connect, but not why. */
static void
append_errno(struct https_call *c)
{
	size_t len = strlen(c->error);
	char text[64];
	long os = 0;

	curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os);
	if (os != 0)
		snprintf(c->error + len, sizeof(c->error) - len, " (%s)",
		    strerror_r((int)os, text, sizeof(text)));
}

/* What libcurl says may quote a peer (names in a certificate): one line of printable ASCII. */
static const char *
describe(struct https_call *c, CURLcode result)
{
	char *s = c->error;

	if (c->refusal != NULL)
		return c->refusal;
	if (result == CURLE_FILESIZE_EXCEEDED)
		return "the response is larger than 1 MiB";
	if (s[0] == '\0')
		return curl_easy_strerror(result);
	if (result == CURLE_COULDNT_CONNECT)
		append_errno(c);
	for (size_t i = 0; s[i] != '\0'; i++) {
		if (i == ERROR_TEXT_LENGTH)
			s[i] = '\0';
		else if (s[i] < ' ' || s[i] > '~')
			s[i] = '?';
	}
	return s;
}

static void
finish(struct https_call *c, CURLcode result)
{
	struct https_response r = { .body = "", .call = c };
	long status = 0;

	detach(c);
	if (c->refusal == NULL && result == CURLE_OK) {
		buf_put_u8(&c->in, '\0');
		if (buf_failed(&c->in))
			c->refusal = "out of memory";
		curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	}
	if (c->refusal != NULL || status <= 0)
		r.error = describe(c, result == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : result);
	else {
		r.status = (int)status;
		r.body = (const char *)buf_data(&c->in);
		r.len = buf_len(&c->in) - 1;
	}
	c->done(c->arg, &r);
	call_free(c);
}

/* One message at a time: `done` may start and cancel others. */
static void
collect(struct https_calls *s)
{
	struct https_call *c;
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(s->multi, &left)) != NULL) {
		CURLcode result = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		assert(c->magic == HTTPS_CALL_MAGIC);
		finish(c, result);
	}
}

static void
on_limit(struct deadline *d)
{
	finish(list_entry(d, struct https_call, limit), CURLE_OPERATION_TIMEDOUT);
}

/* ---- libcurl on the loop ---- */

static void start_over(struct https_calls *);

static void
run(struct https_calls *s, curl_socket_t fd, int events)
{
	int running;
	CURLMcode rc = curl_multi_socket_action(s->multi, fd, events, &running);

	collect(s);
	if (rc != CURLM_OK && rc != CURLM_BAD_SOCKET)
		start_over(s);
}

static void
on_timer(struct deadline *d)
{
	run(list_entry(d, struct https_calls, timer), CURL_SOCKET_TIMEOUT, 0);
}

static void
on_now(struct watch *w, int events)
{
	struct https_calls *s = list_entry(w, struct https_calls, now);

	(void)events;
	s->in_now = true;
	run(s, CURL_SOCKET_TIMEOUT, 0);
	s->in_now = false;
}

/* Of the multi handle; may be called from inside https_call(), so it runs nothing. */
static int
on_want_timer(CURLM *multi, long ms, void *arg)
{
	struct https_calls *s = arg;

	(void)multi;
	if (ms < 0)
		loop_deadline_remove(s->loop, &s->timer);
	else if (ms == 0 && !s->in_now)
		watch_feed(s->loop, &s->now, WATCH_READ);
	else
		/* also "at once" from within on_now(): others shall have their turn */
		loop_deadline(s->loop, &s->timer, loop_now_ms(s->loop) + (uint64_t)ms);
	return 0;
}

static void
on_ready(struct watch *w, int events)
{
	struct https_socket *k = list_entry(w, struct https_socket, watch);

	/* k may be gone when this returns */
	run(k->owner, watch_fd(w),
	    (events & WATCH_READ ? CURL_CSELECT_IN : 0) |
		(events & WATCH_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
socket_free(struct https_socket *k)
{
	watch_stop(k->owner->loop, &k->watch);
	list_del(&k->node);
	free(k);
}

static int
on_want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
	struct https_calls *s = arg;
	struct https_socket *k = socketp;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (k != NULL)
			socket_free(k);
		return 0;
	}
	if (k == NULL) {
		k = calloc(1, sizeof(*k));
		/* -1 would break off the calls of everybody; this one ends at its limit */
		if (k == NULL)
			return 0;
		k->owner = s;
		watch_init(&k->watch, on_ready, fd);
		list_push_back(&s->sockets, &k->node);
		curl_multi_assign(s->multi, fd, k);
	}
	watch_change(s->loop, &k->watch,
	    (what & CURL_POLL_IN ? WATCH_READ : 0) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0));
	return 0;
}

/* ---- all calls ---- */

static int
open_multi(struct https_calls *s)
{
	CURLM *m = curl_multi_init();

	if (m == NULL)
		return -1;
	if (curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_want_socket) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, s) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_want_timer) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_TIMERDATA, s) != CURLM_OK ||
	    curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS) != CURLM_OK) {
		curl_multi_cleanup(m);
		return -1;
	}
	s->multi = m;
	return 0;
}

/* No call is attached any more. */
static void
close_multi(struct https_calls *s)
{
	/* closes the idle connections and says so, to callbacks that are still able to hear it */
	curl_multi_cleanup(s->multi);
	s->multi = NULL;
	list_each(n, tmp, &s->sockets) socket_free(list_entry(n, struct https_socket, node));
	loop_deadline_remove(s->loop, &s->timer);
	watch_stop(s->loop, &s->now);
}

/* Once memory was short, libcurl 7.88's table of sockets holds an entry that it divides by zero
 * with when it meets it again: everything begins anew, and the calls under way are told so by the
 * loop. */
static void
start_over(struct https_calls *s)
{
	list_each(n, tmp, &s->calls)
	{
		struct https_call *c = list_entry(n, struct https_call, node);

		if (!c->attached)
			continue;
		curl_multi_remove_handle(s->multi, c->easy);
		c->attached = false;
		c->refusal = "out of memory";
		loop_deadline(s->loop, &c->limit, loop_now_ms(s->loop));
	}
	close_multi(s);
}

struct https_calls *
https_calls_new(struct loop *loop)
{
	struct https_calls *s;

	if (https_call_memory_init() == -1)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->loop = loop;
	deadline_init(&s->timer, on_timer);
	watch_init(&s->now, on_now, -1);
	list_init(&s->calls);
	list_init(&s->sockets);
	if (open_multi(s) == -1) {
		free(s);
		return NULL;
	}
	return s;
}

void
https_calls_free(struct https_calls *s)
{
	if (s == NULL)
		return;
	list_each(n, tmp, &s->calls) https_cancel(list_entry(n, struct https_call, node));
	close_multi(s);
	free(s);
}

/* ---- one call ---- */

struct https_call *
https_call(struct https_calls *s, const struct https_request *r, https_done *done, void *arg)
{
	struct https_call *c = calloc(1, sizeof(*c));
	uint64_t now = loop_now_ms(s->loop);

	if (c == NULL)
		return NULL;
	c->magic = HTTPS_CALL_MAGIC;
	c->owner = s;
	c->done = done;
	c->arg = arg;
	list_init(&c->node);
	deadline_init(&c->limit, on_limit);
	buf_init(&c->in, HTTPS_RESPONSE_MAX + 1);
	c->in.wipe = true;
	c->easy = curl_easy_init();
	if (c->easy == NULL || https_call_set_up(c, r) == -1 ||
	    (s->multi == NULL && open_multi(s) == -1))
		goto fail;
	if (c->refusal == NULL) {
		if (curl_multi_add_handle(s->multi, c->easy) != CURLM_OK)
			goto fail;
		c->attached = true;
		now += (uint64_t)https_call_timeout_ms(r) + LIMIT_GRACE_MS;
	}
	list_push_back(&s->calls, &c->node);
	loop_deadline(s->loop, &c->limit, now);
	return c;
fail:
	call_free(c);
	return NULL;
}

void
https_cancel(struct https_call *c)
{
	assert(c->magic == HTTPS_CALL_MAGIC);
	detach(c);
	call_free(c);
}
