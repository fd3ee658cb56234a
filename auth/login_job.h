/* login_job.h -- helper threads for logins that block, and the bounded queue before them. A server
 * that hangs costs helper threads, at worst all of them, and never a worker: then the queue fills,
 * and new logins are refused at once.
 * Threads are started when jobs come, up to the limit, and then stay. Passwords are copied once and
 * wiped as soon as they have been checked. Must not know what methods do. */
#ifndef AUTH_LOGIN_JOB_H
#define AUTH_LOGIN_JOB_H

#include "auth/login_method.h"

#include <stdint.h>

struct login_job;
struct login_jobs;
struct worker;

/* Runs in the asker's thread. `why` is valid during the call. */
typedef void login_done(void *arg, enum login_result, const char *why);

/* Everything is copied, but the method; of the settings a reference is taken. */
struct login_request {
	struct worker *asker; /* the thread that calls; gets the answer */
	const struct login_method *method;
	void *settings;
	const char *user, *password;
	size_t password_len;
	const char *peer;
	int64_t timeout_ms; /* from now, the time in the queue included */
	login_done *done;
	void *arg;
};

/* At most so many threads and waiting jobs. NULL = no memory. */
struct login_jobs *login_jobs_new(unsigned threads, unsigned queue_max);
/* Waits up to wait_ms for the threads to end; those that hang are left behind and touch nobody's
 * memory but their own. Jobs that are left end without a word, and their handles with them. Returns
 * the number of threads left. NULL is harmless. */
unsigned login_jobs_free(struct login_jobs *, int64_t wait_ms);

/* From the asker's thread. Exactly one done() follows, never from inside this call, unless
 * login_job_abandon() comes first. NULL = refused, and done() will not run: the queue is full, or
 * there is no memory or thread. */
struct login_job *login_job_start(struct login_jobs *, const struct login_request *);
/* From the asker's thread, only before done() ran: it will not run. A job in the queue is forgotten;
 * one in a thread runs to its end, for nobody. The handle is dead. */
void login_job_abandon(struct login_job *);

struct login_jobs_status {
	unsigned threads, busy, queued;
	uint64_t done, refused, late; /* late: their time was up before a thread was free */
};

/* From any thread. */
void login_jobs_status(struct login_jobs *, struct login_jobs_status *);

#endif
