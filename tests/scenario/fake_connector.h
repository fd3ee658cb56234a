/* fake_connector.h -- what a test can do with the fake of pool/connector.c: decide what becomes of
 * connection attempts and cancel requests. */
#ifndef TESTS_FAKE_CONNECTOR_H
#define TESTS_FAKE_CONNECTOR_H

#include <stdbool.h>

/* What attempts meet from now on. HOLD: they stay open until told otherwise. */
enum fake_answer { FAKE_ACCEPT, FAKE_DOWN, FAKE_REFUSE, FAKE_HOLD };

void fake_connector_answers(enum fake_answer);
/* Attempts made so far. */
int fake_connector_attempts(void);
/* The test's end of the nth connection that was accepted (from 1), or -1. */
int fake_connector_fd(int n);
/* pgsluice has closed the nth. */
bool fake_connector_finished(int n);
/* Cancel requests so far; those under way are delivered by fake_connector_deliver(). */
int fake_connector_cancels(void);
/* Of the latest: the nth accepted connection that it aims at. */
int fake_connector_cancel_aim(void);
void fake_connector_deliver(void);
/* ParameterStatus of new connections: name NUL value NUL ... */
void fake_connector_params(const char *text, unsigned long len);
void fake_connector_reset(void);

#endif
