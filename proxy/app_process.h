/* app_process.h -- the process as the system sees it: descriptors, user, daemon, pidfile, signals. */
#ifndef PROXY_APP_PROCESS_H
#define PROXY_APP_PROCESS_H

struct app;

/* Before sockets are bound: limits, no core files, root only with user=. -1 after it has said why. */
int app_process_begin(struct app *);
/* After sockets are bound, before threads: becomes a daemon and another user, writes the pidfile. */
int app_process_settle(struct app *);
void app_process_signals(struct app *);
void app_process_end(struct app *);

#endif
