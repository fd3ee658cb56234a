#include "pool/dns.h"

#include "proxy/base/log.h"
#include "proxy/base/loop.h"

#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RESOLV_CONF "/etc/resolv.conf"

struct dns {
	struct loop *loop;
	const char *servers;
	ares_channel channel;
	bool has_channel;
	struct timespec conf_mtime; /* of resolv.conf, as the channel knows it */
	unsigned open;		    /* questions */
	struct deadline retry;	    /* when c-ares wants to run again */
	struct list_node watches;
};

/* One socket of c-ares. */
struct dns_watch {
	struct list_node place;
	struct watch watch;
	struct dns *dns;
};

struct question {
	struct dns *dns;
	void (*told)(void *arg, const struct dns_answer *);
	void *arg;
};

/* ---- c-ares on the loop ---- */

static void
set_retry(struct dns *d)
{
	struct timeval tv;

	if (!d->has_channel || ares_timeout(d->channel, NULL, &tv) == NULL) {
		loop_deadline(d->loop, &d->retry, WHEEL_NEVER);
		return;
	}
	loop_deadline(d->loop, &d->retry,
	    loop_now_ms(d->loop) + (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
}

static void
on_retry(struct deadline *deadline)
{
	struct dns *d = list_entry(deadline, struct dns, retry);

	ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	set_retry(d);
}

static void
drop_watch(struct dns *d, struct dns_watch *dw)
{
	watch_stop(d->loop, &dw->watch);
	list_del(&dw->place);
	free(dw);
}

/* c-ares may close the socket, whereupon its watch is freed, before ares_process_fd() returns. */
static void
on_ready(struct watch *w, int events)
{
	struct dns *d = list_entry(w, struct dns_watch, watch)->dns;
	int fd = watch_fd(w);

	ares_process_fd(d->channel, events & WATCH_READ ? fd : ARES_SOCKET_BAD,
	    events & WATCH_WRITE ? fd : ARES_SOCKET_BAD);
	set_retry(d);
}

static struct dns_watch *
find_watch(struct dns *d, int fd)
{
	list_each(n, tmp, &d->watches)
	{
		struct dns_watch *dw = list_entry(n, struct dns_watch, place);

		if (watch_fd(&dw->watch) == fd)
			return dw;
	}
	return NULL;
}

static void
on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *d = arg;
	struct dns_watch *dw = find_watch(d, fd);

	if (!readable && !writable) {
		if (dw != NULL)
			drop_watch(d, dw);
		return;
	}
	if (dw == NULL) {
		/* without memory the answer is not seen, and c-ares' own timeout ends the query */
		dw = calloc(1, sizeof(*dw));
		if (dw == NULL)
			return;
		dw->dns = d;
		watch_init(&dw->watch, on_ready, fd);
		list_push_back(&d->watches, &dw->place);
	}
	watch_change(d->loop, &dw->watch,
	    (readable ? WATCH_READ : 0) | (writable ? WATCH_WRITE : 0));
}

static int
open_channel(struct dns *d)
{
	struct ares_options options = { .sock_state_cb = on_socket, .sock_state_cb_data = d };
	struct stat st;

	memset(&d->conf_mtime, 0, sizeof(d->conf_mtime));
	if (stat(RESOLV_CONF, &st) == 0)
		d->conf_mtime = st.st_mtim;
	if (ares_init_options(&d->channel, &options, ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return -1;
	if (d->servers != NULL &&
	    ares_set_servers_ports_csv(d->channel, d->servers) != ARES_SUCCESS) {
		ares_destroy(d->channel);
		return -1;
	}
	d->has_channel = true;
	return 0;
}

/* c-ares reads resolv.conf once, but a daemon outlives it. */
static int
refresh_channel(struct dns *d)
{
	struct stat st;

	if (d->has_channel) {
		if (d->open > 0 || stat(RESOLV_CONF, &st) == -1 ||
		    (st.st_mtim.tv_sec == d->conf_mtime.tv_sec &&
			st.st_mtim.tv_nsec == d->conf_mtime.tv_nsec))
			return 0;
		log_info("DNS: %s has changed", RESOLV_CONF);
		ares_destroy(d->channel);
		d->has_channel = false;
	}
	return open_channel(d);
}

/* ---- questions ---- */

static void
read_addresses(const struct ares_addrinfo *info, struct dns_answer *answer)
{
	int64_t ttl = INT32_MAX;

	answer->addrs = resolved_new();
	if (answer->addrs == NULL) {
		answer->result = DNS_FAILED;
		answer->why = "out of memory";
		return;
	}
	for (const struct ares_addrinfo_node *n = info->nodes; n != NULL; n = n->ai_next) {
		if (n->ai_family == AF_INET)
			resolved_add(answer->addrs, AF_INET,
			    &((const struct sockaddr_in *)n->ai_addr)->sin_addr);
		else if (n->ai_family == AF_INET6)
			resolved_add(answer->addrs, AF_INET6,
			    &((const struct sockaddr_in6 *)n->ai_addr)->sin6_addr);
		if (n->ai_ttl < ttl)
			ttl = n->ai_ttl > 0 ? n->ai_ttl : 0;
	}
	answer->ttl_ms = ttl * 1000;
	if (answer->addrs->n > 0)
		return;
	resolved_unref(answer->addrs);
	answer->addrs = NULL;
	answer->result = DNS_NO_SUCH;
	answer->why = "no address";
}

static void
on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct question *q = arg;
	struct dns_answer answer = { .result = DNS_OK };

	(void)timeouts;
	if (status == ARES_SUCCESS) {
		read_addresses(info, &answer);
	} else {
		answer.why = ares_strerror(status);
		answer.result = DNS_FAILED;
		if (status == ARES_ENOTFOUND || status == ARES_ENODATA || status == ARES_EBADNAME)
			answer.result = DNS_NO_SUCH;
		if (status == ARES_EDESTRUCTION) {
			answer.why = "shutting down";
			answer.result = DNS_CLOSED;
		}
	}
	if (info != NULL)
		ares_freeaddrinfo(info);
	q->dns->open--;
	q->told(q->arg, &answer);
	free(q);
}

void
dns_ask(struct dns *d, const char *name, void (*told)(void *arg, const struct dns_answer *),
    void *arg)
{
	struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_ENVHOSTS,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM };
	struct dns_answer failed = { .result = DNS_FAILED, .why = "out of memory" };
	struct question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		goto fail;
	if (refresh_channel(d) == -1) {
		failed.why = "the resolver cannot be started";
		goto fail;
	}
	q->dns = d;
	q->told = told;
	q->arg = arg;
	d->open++;
	ares_getaddrinfo(d->channel, name, NULL, &hints, on_answer, q);
	set_retry(d);
	return;
fail:
	free(q);
	told(arg, &failed);
}

struct dns *
dns_open(struct loop *loop, const char *servers)
{
	struct dns *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(d);
		errno = ENOMEM;
		return NULL;
	}
	d->loop = loop;
	d->servers = servers;
	list_init(&d->watches);
	deadline_init(&d->retry, on_retry);
	/* no channel for now (resolv.conf cannot be read): the next question tries again */
	if (open_channel(d) == -1)
		log_warning("DNS: c-ares cannot be started");
	return d;
}

void
dns_close(struct dns *d)
{
	if (d == NULL)
		return;
	if (d->has_channel)
		ares_destroy(d->channel);
	loop_deadline_remove(d->loop, &d->retry);
	list_each(n, tmp, &d->watches) drop_watch(d, list_entry(n, struct dns_watch, place));
	ares_library_cleanup();
	free(d);
}
