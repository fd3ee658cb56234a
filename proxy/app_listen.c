#include "proxy/app_listen.h"

#include "proxy/app.h"
#include "proxy/base/listener.h"
#include "proxy/base/log.h"
#include "proxy/config/config.h"
#include "proxy/session/session.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct listeners {
	struct list_node *of; /* one list per worker */
	bool unix_made;
};

static void
on_accepted(struct listener *l, int fd, const struct sockaddr_storage *peer)
{
	session_open(l->owner, fd, peer);
}

static int
add(struct app *a, int worker, int fd)
{
	struct listener *l = listener_new(fd, on_accepted, &a->workers[worker]);

	if (l == NULL) {
		close(fd);
		return -1;
	}
	list_push_back(&a->listeners->of[worker], &l->place);
	return 0;
}

static struct listen_options
options_of(const struct config *cfg)
{
	return (struct listen_options){
		.defer_accept = (int)cfg->tcp_defer_accept,
		.keepalive = cfg->tcp_keepalive,
		.keepcnt = cfg->tcp_keepcnt,
		.keepidle = cfg->tcp_keepidle,
		.keepintvl = cfg->tcp_keepintvl,
		.socket_buffer = (int)cfg->tcp_socket_buffer,
		.user_timeout_ms = (int)cfg->tcp_user_timeout,
	};
}

static int
bind_one(struct app *a, const char *addr)
{
	struct listen_options o = options_of(a->cfg);

	if (!a->cfg->so_reuseport && listener_probe_tcp(addr, a->cfg->listen_port) == -1 &&
	    errno != EAFNOSUPPORT) {
		log_line(LOG_LEVEL_FATAL, "cannot listen on %s:%d: %s", addr, a->cfg->listen_port,
		    strerror(errno));
		return -1;
	}
	for (int i = 0; i < a->n_workers; i++) {
		int fd = listener_bind_tcp(addr, a->cfg->listen_port, &o);

		if (fd == -1) {
			if (errno == EAFNOSUPPORT && strcmp(addr, "::") == 0)
				return 0;
			log_line(LOG_LEVEL_FATAL, "cannot listen on %s:%d: %s", addr,
			    a->cfg->listen_port, strerror(errno));
			return -1;
		}
		if (add(a, i, fd) == -1)
			return -1;
	}
	log_info("listening on %s:%d", addr, a->cfg->listen_port);
	return 0;
}

/* A name may stand for several addresses. */
static int
bind_name(struct app *a, const char *name)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE };
	struct addrinfo *all;
	int error, ret = 0;

	if (strcmp(name, "*") == 0)
		return bind_one(a, "0.0.0.0") == -1 || bind_one(a, "::") == -1 ? -1 : 0;
	error = getaddrinfo(name, NULL, &hints, &all);
	if (error != 0) {
		log_line(LOG_LEVEL_FATAL, "listen_addr: cannot resolve \"%s\": %s", name,
		    gai_strerror(error));
		return -1;
	}
	for (struct addrinfo *ai = all; ai != NULL && ret == 0; ai = ai->ai_next) {
		char numeric[NI_MAXHOST];

		if (getnameinfo(ai->ai_addr, ai->ai_addrlen, numeric, sizeof(numeric), NULL, 0,
			NI_NUMERICHOST) == 0)
			ret = bind_one(a, numeric);
	}
	freeaddrinfo(all);
	return ret;
}

static int
bind_tcp(struct app *a)
{
	const char *at = a->cfg->listen_addr;

	while (at != NULL && *at != '\0') {
		char name[256];
		size_t n;

		at += strspn(at, " ,\t");
		n = strcspn(at, " ,\t");
		if (n == 0)
			break;
		if (n >= sizeof(name)) {
			log_line(LOG_LEVEL_FATAL, "listen_addr: an address is too long");
			return -1;
		}
		memcpy(name, at, n);
		name[n] = '\0';
		if (bind_name(a, name) == -1)
			return -1;
		at += n;
	}
	return 0;
}

static int
bind_unix(struct app *a)
{
	const struct config *cfg = a->cfg;
	int fd;

	if (cfg->unix_socket_dir == NULL || cfg->unix_socket_dir[0] == '\0')
		return 0;
	fd = listener_bind_unix(cfg->unix_socket_dir, cfg->listen_port, cfg->unix_socket_mode,
	    cfg->unix_socket_group);
	if (fd == -1) {
		log_line(LOG_LEVEL_FATAL, "cannot listen on unix socket %s/.s.PGSQL.%d: %s",
		    cfg->unix_socket_dir, cfg->listen_port, strerror(errno));
		return -1;
	}
	a->listeners->unix_made = true;
	/* one socket, watched by all workers: whoever is free takes the next client */
	for (int i = a->n_workers - 1; i >= 0; i--) {
		int own = i == 0 ? fd : dup(fd);

		if (own == -1 || add(a, i, own) == -1)
			return -1;
	}
	log_info("listening on unix socket %s/.s.PGSQL.%d", cfg->unix_socket_dir, cfg->listen_port);
	return 0;
}

int
app_listen(struct app *a)
{
	a->listeners = calloc(1, sizeof(*a->listeners));
	if (a->listeners == NULL)
		return -1;
	a->listeners->of = calloc((size_t)a->n_workers, sizeof(*a->listeners->of));
	if (a->listeners->of == NULL)
		return -1;
	for (int i = 0; i < a->n_workers; i++)
		list_init(&a->listeners->of[i]);
	return bind_tcp(a) == -1 || bind_unix(a) == -1 ? -1 : 0;
}

struct listen_letter {
	struct letter letter;
	struct list_node *list;
	int backlog;
};

static void
deliver_start(struct worker *w, struct letter *letter)
{
	struct listen_letter *l = list_entry(letter, struct listen_letter, letter);

	list_each(n, tmp, l->list) if (listener_start(list_entry(n, struct listener, place),
					   &w->loop, l->backlog) == -1)
	    log_error("listen: %s", strerror(errno));
	free(l);
}

static void
deliver_stop(struct worker *w, struct letter *letter)
{
	struct listen_letter *l = list_entry(letter, struct listen_letter, letter);
	struct list_node *n;

	(void)w;
	while ((n = list_pop(l->list)) != NULL)
		listener_free(list_entry(n, struct listener, place));
	free(l);
}

static void
post_all(struct app *a, void (*deliver)(struct worker *, struct letter *))
{
	for (int i = 0; i < a->n_workers; i++) {
		struct listen_letter *l = calloc(1, sizeof(*l));

		if (l == NULL)
			continue;
		list_init(&l->letter.node);
		l->letter.deliver = deliver;
		l->list = &a->listeners->of[i];
		l->backlog = a->cfg->listen_backlog;
		worker_post(&a->workers[i], &l->letter);
	}
}

void
app_listen_start(struct app *a)
{
	post_all(a, deliver_start);
}

void
app_listen_stop(struct app *a)
{
	post_all(a, deliver_stop);
	if (a->listeners->unix_made)
		listener_unlink_unix(a->cfg->unix_socket_dir, a->cfg->listen_port);
	a->listeners->unix_made = false;
}

void
app_listen_free(struct app *a)
{
	if (a->listeners == NULL)
		return;
	if (a->listeners->unix_made)
		listener_unlink_unix(a->cfg->unix_socket_dir, a->cfg->listen_port);
	for (int i = 0; a->listeners->of != NULL && i < a->n_workers; i++) {
		struct list_node *n;

		while ((n = list_pop(&a->listeners->of[i])) != NULL)
			listener_free(list_entry(n, struct listener, place));
	}
	free(a->listeners->of);
	free(a->listeners);
	a->listeners = NULL;
}
