#include "proxy/base/loop_memory.h"

#include "proxy/base/list.h"
#include "proxy/base/loop.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define RESERVE_SIZE (512u * 1024)

/* Before each block of the reserve. */
struct block {
	size_t size;
	_Alignas(16) unsigned char bytes[];
};

static struct {
	pthread_once_t once;
	unsigned char *mem; /* NULL: there is none */
	atomic_size_t used;
} reserve = { .once = PTHREAD_ONCE_INIT };

static bool
is_reserved(const void *p)
{
	const unsigned char *at = p;

	return reserve.mem != NULL && at >= reserve.mem && at < reserve.mem + RESERVE_SIZE;
}

static size_t
size_of(void *p)
{
	if (p == NULL)
		return 0;
	return is_reserved(p) ? list_entry(p, struct block, bytes)->size : malloc_usable_size(p);
}

static void *
take(size_t n)
{
	size_t whole = (sizeof(struct block) + n + 15) / 16 * 16;
	size_t at = atomic_fetch_add(&reserve.used, whole);
	struct block *b;

	/* none left: libev says so and aborts */
	if (reserve.mem == NULL || at + whole > RESERVE_SIZE)
		return NULL;
	b = (struct block *)(void *)(reserve.mem + at);
	b->size = n;
	return b->bytes;
}

static void
drop(void *p)
{
	if (!is_reserved(p))
		free(p);
}

/* libev's allocator: n = 0 frees. */
static void *
grow(void *p, long n)
{
	size_t want = (size_t)n, had;
	void *q;

	if (n == 0) {
		drop(p);
		return NULL;
	}
	if (!is_reserved(p)) {
		q = realloc(p, want);
		if (q != NULL)
			return q;
	}
	had = size_of(p);
	q = is_reserved(p) ? malloc(want) : NULL;
	if (q == NULL)
		q = take(want);
	if (q == NULL || p == NULL)
		return q;
	memcpy(q, p, had < want ? had : want);
	drop(p);
	return q;
}

static void
begin(void)
{
	void *p = mmap(NULL, RESERVE_SIZE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		return;
	reserve.mem = p;
	ev_set_allocator(grow);
}

int
loop_memory_init(void)
{
	pthread_once(&reserve.once, begin);
	return reserve.mem == NULL ? -1 : 0;
}
