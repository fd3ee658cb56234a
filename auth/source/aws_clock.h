/* aws_clock.h -- what time it is for AWS: the machine's wall clock plus one offset, learnt when a
 * service refuses a signature as too old or too young. Of the main thread, shared by all sources. */
#ifndef AUTH_SOURCE_AWS_CLOCK_H
#define AUTH_SOURCE_AWS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Our clock's time in Unix ms to theirs. */
int64_t aws_clock_ms(int64_t local_unix_ms);
/* A service that does not like our time says it is server_unix_s (its Date; 0 = it does not say).
 * True when that is news, so that signing again may help. */
bool aws_clock_learn(int64_t local_unix_ms, int64_t server_unix_s);
/* For tests. */
void aws_clock_forget(void);

#endif
