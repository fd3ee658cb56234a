/* session_time.h -- how long each state of a session may last, and what happens then. */
#ifndef PROXY_SESSION_SESSION_TIME_H
#define PROXY_SESSION_SESSION_TIME_H

struct deadline;

/* The `fire` of session.deadline. */
void session_on_deadline(struct deadline *);

#endif
