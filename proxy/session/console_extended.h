/* console_extended.h -- the extended query protocol on the console: Parse, Bind, Describe, Execute, Close.
 * No parameters exist, a row limit of Execute is not observed (all rows come). */
#ifndef PROXY_SESSION_CONSOLE_EXTENDED_H
#define PROXY_SESSION_CONSOLE_EXTENDED_H

#include "proxy/base/buf.h"
#include "proxy/session/console_job.h"
#include "proxy/session/console_names.h"

#include <stddef.h>

/* What a console session has; console_session.c makes it. */
struct console {
	struct session *session;
	char *user;
	enum console_role role;
	struct console_host *host;
	struct buf out; /* answers, sent when the input at hand has been dealt with */
	struct console_names statements, portals;
	struct console_job *job; /* under way; further messages wait */
	bool simple;		 /* it answers a Query: ReadyForQuery follows */
	bool skipping;		 /* after an error, until Sync */
	struct deadline retry;	 /* look again whether the client has read what waits for it */
};

/* A message of type P, B, D, E or C. Its answer, or an error, is in out; or a job is under way. */
void console_extended(struct console *, char type, const uint8_t *payload, size_t n);
/* Carries a line out; shared with the simple protocol. */
enum console_outcome console_carry_out(struct console *, struct console_line *, bool describe,
    uint32_t binary);
void console_refuse(struct console *, const char *sqlstate, const char *message);

#endif
