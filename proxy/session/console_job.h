/* console_job.h -- carrying out one console command. Some are answered at once; others make a tour of the
 * workers or an errand to the main thread, and their answer is written when it is home again, if the
 * session is still there then: jobs own what they need and know their session by slot and id. */
#ifndef PROXY_SESSION_CONSOLE_JOB_H
#define PROXY_SESSION_CONSOLE_JOB_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct console_host;
struct console_job;
struct console_line;
struct session;

struct console_order {
	struct session *session;
	struct console_host *host;
	struct console_line *line;
	const char *user; /* for the log */
	bool describe;	  /* simple protocol: a row description comes first */
	uint32_t binary;  /* console_rows.h */
	/* The answer of a job: `out` is to be sent, the job is gone after this. ok: it is no error. */
	void (*done)(struct session *, struct buf *out, bool ok);
};

enum console_outcome { CONSOLE_ANSWERED, CONSOLE_REFUSED, CONSOLE_UNDER_WAY };

/* ANSWERED: the whole answer is in out. REFUSED: an ErrorResponse is. UNDER_WAY: *job is set and done
 * follows, unless the session goes first, which must console_job_abandon(). */
enum console_outcome console_job_run(const struct console_order *, struct buf *out,
    struct console_job **job);
void console_job_abandon(struct console_job *); /* NULL is harmless */

#endif
