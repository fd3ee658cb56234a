/* Tokens and answers pass through buffers of libcurl that no option of it wipes: request headers,
 * receive buffer, stored response headers. So its memory is wiped here whenever it is given back. */
#include "auth/https_call_inside.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void
wipe_free(void *p)
{
	if (p != NULL)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

/* realloc() would leave a copy behind when it moves. */
static void *
wipe_realloc(void *p, size_t size)
{
	size_t had = p == NULL ? 0 : malloc_usable_size(p);
	void *moved = malloc(size);

	if (moved == NULL)
		return NULL;
	if (had > 0)
		memcpy(moved, p, had < size ? had : size);
	wipe_free(p);
	return moved;
}

static bool started;

static void
start(void)
{
	started = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wipe_free, wipe_realloc, strdup,
		      calloc) == CURLE_OK;
}

int
https_call_memory_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start);
	return started ? 0 : -1;
}
