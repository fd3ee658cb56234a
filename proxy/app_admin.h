/* app_admin.h -- joins the admin console to the program: carries out on the main thread what consoles ask
 * for (RELOAD, PAUSE, RESUME, SHUTDOWN, SET), and takes the samples of SHOW STATS. Main thread only. */
#ifndef PROXY_APP_ADMIN_H
#define PROXY_APP_ADMIN_H

struct app;

/* Workers must be running. Without memory consoles are refused, and that is logged. */
void app_admin_start(struct app *);
/* Whoever waits for a PAUSE is told that the program ends. Workers must still be running. */
void app_admin_stop(struct app *);

#endif
