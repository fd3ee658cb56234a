/* resolver.h -- host names to addresses, without blocking: c-ares on the loop of one worker, and a
 * cache for everybody. Names of /etc/hosts and localhost work; a changed /etc/resolv.conf is noticed.
 *
 * An answer is kept for its TTL, max_ttl at most; "no such name" and other failures for
 * nxdomain_ttl. One query per name is under way at a time, however many ask. When a name that was
 * known cannot be looked up (the name server is away), its last addresses stay in use. Addresses
 * that change are logged.
 * Times are ms. Must not know ports, PostgreSQL or why somebody asks. */
#ifndef POOL_RESOLVER_H
#define POOL_RESOLVER_H

#include "pool/resolved.h"
#include "proxy/base/worker.h"

#include <stdint.h>

struct resolve_job {
	struct letter letter;
	struct worker *asker;
	/* Runs on the asker's thread, exactly once. The job is the asker's again. */
	void (*done)(struct worker *, struct resolve_job *);
	const char *name; /* alive until done */

	/* set at the end */
	struct resolved *addrs;	   /* the asker's reference, or NULL: see `why` */
	const char *why;	   /* static text */
	struct resolver *resolver; /* the resolver's while it has the job */
};

struct resolver_settings {
	int64_t max_ttl, nxdomain_ttl;
	const char *servers; /* "addr:port,..." instead of resolv.conf's; NULL = those */
};

struct resolver;

/* Everything happens on `home`, which must not run yet (or be the caller's own). NULL with errno. */
struct resolver *resolver_new(struct worker *home, const struct resolver_settings *);
/* Answers the jobs it has with a failure. On home's thread, or after home was stopped; no job may be
 * in home's mailbox. NULL is harmless. */
void resolver_free(struct resolver *);

/* From any thread. */
void resolver_ask(struct resolver *, struct resolve_job *);

/* Calls row for each name that is known: ttl_ms left, addresses with commas between (none for a
 * name that does not exist). From any thread, under a lock that home needs too. */
void resolver_rows(struct resolver *,
    void (*row)(void *arg, const char *name, int64_t ttl_ms, const char *addrs), void *arg);

#endif
