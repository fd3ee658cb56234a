/* app_listen.h -- all listening sockets: which addresses, on which worker. Main thread. */
#ifndef PROXY_APP_LISTEN_H
#define PROXY_APP_LISTEN_H

struct app;

/* Binds everything; -1 after it has said what could not be bound. Workers do not run yet. */
int app_listen(struct app *);
/* Accepting begins (posted to the workers). */
void app_listen_start(struct app *);
/* Nothing is accepted any more; the sockets are closed on their workers. */
void app_listen_stop(struct app *);
/* After the workers have ended. */
void app_listen_free(struct app *);

#endif
