/* fake_loop.h -- what a test can do with the fake of proxy/base/loop.c: turn it, and move its clock.
 * All loops share one clock, which stands still unless the test moves it. */
#ifndef TESTS_FAKE_LOOP_H
#define TESTS_FAKE_LOOP_H

#include <stdint.h>

/* Delivers mail and runs callbacks of ready fds and due deadlines of all loops until nothing happens. */
void fake_loop_settle(void);
/* Moves the clock from deadline to deadline, settling after each. */
void fake_loop_advance(uint64_t ms);
uint64_t fake_loop_now_ms(void);

#endif
