/* fault.h -- what can go wrong towards a client: one enum, its SQLSTATE and sentence (fault.def).
 * Functions that can fail for a client's or a server's reason return `enum fault`. */
#ifndef PROXY_BASE_FAULT_H
#define PROXY_BASE_FAULT_H

enum fault {
#define FAULT(code, sqlstate, sentence) FAULT_##code,
#include "proxy/base/fault.def"
#undef FAULT
	FAULT_COUNT
};

/* Five characters. */
const char *fault_sqlstate(enum fault);
/* A sentence without a full stop, after PostgreSQL's style. */
const char *fault_sentence(enum fault);
/* The row's name, for logs: "QUEUE_TIMEOUT". */
const char *fault_name(enum fault);

#endif
