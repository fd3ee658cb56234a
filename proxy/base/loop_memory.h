/* loop_memory.h -- memory for libev, which ends the process when it gets none.
 * What the heap does not give comes from a reserve that is mapped and touched
 * at the start. The arrays of a loop are few and grow by doubling with
 * descriptors and events, so it lasts; a block of it is not used again. */
#ifndef PROXY_BASE_LOOP_MEMORY_H
#define PROXY_BASE_LOOP_MEMORY_H

/* Before the first loop; harmless when called again. -1 when there is no memory
 * for the reserve. */
int loop_memory_init(void);

#endif
