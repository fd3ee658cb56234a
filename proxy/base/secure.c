#include "proxy/base/secure.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Addresses are reserved once, so that a pointer tells its page; pages get memory when they are used.
 * What is known about them stands outside: a write past a block cannot change it, a child whose pages
 * are wiped still knows which are in use, and a block needs no header. */
#define PAGES	   16384 /* 64 MB with pages of 4 kB; the first and last stay guards */
#define PER_PAGE   64	 /* blocks, one bit each */
#define WHOLE_PAGE 0xff	 /* a kind: this page and perhaps the next ones are one block */

static const uint16_t classes[] = { 64, 96, 128, 192, 256, 384, 512, 672, 816, 1024, 1360, 2048 };

#define CLASSES (sizeof(classes) / sizeof(classes[0]))

struct page {
	uint64_t used;	     /* bit per block; 0 = the page is free, unless inside a run */
	uint16_t next, prev; /* pages of the kind with room, 0 = none */
	uint16_t run;	     /* whole pages of the block that begins here */
	uint8_t kind;	     /* index in classes, or WHOLE_PAGE */
	bool inside;	     /* of a run, not its first page */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t *region; /* NULL until the first block */
static size_t page_size;
static struct page pages[PAGES];
static uint16_t roomy[CLASSES]; /* first page of the kind with room, 0 = none */
static size_t lowest = 1;	/* no page below is free */
static size_t in_use;		/* pages */
static bool refused;

/* ---- AddressSanitizer sees free blocks as freed, and pointers that secrets hold ---- */

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(WITH_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#define shut(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define unshut(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#define scan(p, n)   __lsan_register_root_region(p, n)
#define unscan(p, n) __lsan_unregister_root_region(p, n)
#else
#define shut(p, n)   ((void)(p), (void)(n))
#define unshut(p, n) ((void)(p), (void)(n))
#define scan(p, n)   ((void)(p), (void)(n))
#define unscan(p, n) ((void)(p), (void)(n))
#endif

/* ---- pages ---- */

/* A child sees zeros, or with kernels before 4.14 nothing at all. */
static void
hide(void)
{
	if (madvise(region, PAGES * page_size, MADV_DONTDUMP) == -1)
		refused = true;
	if (madvise(region, PAGES * page_size, MADV_WIPEONFORK) == -1 &&
	    madvise(region, PAGES * page_size, MADV_DONTFORK) == -1)
		refused = true;
}

static bool
reserve(void)
{
	void *p;

	if (region != NULL)
		return true;
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	p = mmap(NULL, PAGES * page_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	    -1, 0);
	if (p == MAP_FAILED)
		return false;
	region = p;
	hide();
	return true;
}

static bool
page_is_free(size_t i)
{
	return pages[i].used == 0 && !pages[i].inside;
}

static uint8_t *
page_at(size_t i)
{
	return region + i * page_size;
}

/* First of n free pages in a row, now with memory; 0 = there are none. */
static size_t
take_pages(size_t n)
{
	size_t at = lowest, have = 0;

	for (; at < PAGES - 1 && have < n; at++)
		have = page_is_free(at) ? have + 1 : 0;
	if (have < n)
		return 0;
	at -= n;
	if (mprotect(page_at(at), n * page_size, PROT_READ | PROT_WRITE) == -1)
		return 0;
	if (mlock(page_at(at), n * page_size) == -1)
		refused = true;
	scan(page_at(at), n * page_size);
	shut(page_at(at), n * page_size);
	if (at == lowest)
		lowest += n;
	in_use += n;
	return at;
}

/* They are wiped already; their memory goes back to the system. */
static void
give_pages(size_t at, size_t n)
{
	unscan(page_at(at), n * page_size);
	(void)munlock(page_at(at), n * page_size);
	(void)madvise(page_at(at), n * page_size, MADV_DONTNEED);
	(void)mprotect(page_at(at), n * page_size, PROT_NONE);
	memset(&pages[at], 0, n * sizeof(pages[0]));
	if (at < lowest)
		lowest = at;
	in_use -= n;
}

/* ---- blocks ---- */

static size_t
blocks_of(uint8_t kind)
{
	size_t n = page_size / classes[kind];

	return n < PER_PAGE ? n : PER_PAGE;
}

static uint64_t
all_used(uint8_t kind)
{
	return UINT64_MAX >> (PER_PAGE - blocks_of(kind));
}

static void
link_page(uint16_t i)
{
	struct page *p = &pages[i];

	p->prev = 0;
	p->next = roomy[p->kind];
	if (p->next != 0)
		pages[p->next].prev = i;
	roomy[p->kind] = i;
}

static void
unlink_page(uint16_t i)
{
	struct page *p = &pages[i];

	if (p->next != 0)
		pages[p->next].prev = p->prev;
	if (p->prev != 0)
		pages[p->prev].next = p->next;
	else
		roomy[p->kind] = p->next;
}

static void *
take_block(uint8_t kind)
{
	uint16_t i = roomy[kind];
	unsigned bit;

	if (i == 0) {
		i = (uint16_t)take_pages(1);
		if (i == 0)
			return NULL;
		pages[i].kind = kind;
		link_page(i);
	}
	bit = (unsigned)__builtin_ctzll(~pages[i].used);
	pages[i].used |= UINT64_C(1) << bit;
	if (pages[i].used == all_used(kind))
		unlink_page(i);
	return page_at(i) + bit * classes[kind];
}

static void *
take_run(size_t n)
{
	size_t at = take_pages(n);

	if (at == 0)
		return NULL;
	pages[at].used = 1;
	pages[at].kind = WHOLE_PAGE;
	pages[at].run = (uint16_t)n;
	for (size_t i = 1; i < n; i++)
		pages[at + i].inside = true;
	return page_at(at);
}

void *
secure_alloc(size_t n)
{
	uint8_t kind = 0;
	void *p = NULL;

	if (n == 0 || n > SECURE_MAX)
		return NULL;
	while (kind < CLASSES && classes[kind] < n)
		kind++;
	pthread_mutex_lock(&lock);
	if (reserve()) {
		p = kind < CLASSES ? take_block(kind) : take_run((n + page_size - 1) / page_size);
		if (p != NULL)
			unshut(p, n);
	}
	pthread_mutex_unlock(&lock);
	return p;
}

static void
free_block(uint16_t i, size_t offset)
{
	struct page *page = &pages[i];
	size_t size = classes[page->kind];
	uint64_t bit;

	assert(offset % size == 0 && offset / size < PER_PAGE);
	bit = UINT64_C(1) << offset / size;
	assert((page->used & bit) != 0);
	unshut(page_at(i) + offset, size);
	explicit_bzero(page_at(i) + offset, size);
	shut(page_at(i) + offset, size);
	if (page->used == all_used(page->kind))
		link_page(i);
	page->used &= ~bit;
	if (page->used == 0) {
		unlink_page(i);
		give_pages(i, 1);
	}
}

void
secure_free(void *p)
{
	size_t i, offset;

	if (p == NULL)
		return;
	pthread_mutex_lock(&lock);
	assert(
	    region != NULL && (uint8_t *)p > region && (uint8_t *)p < region + PAGES * page_size);
	i = (size_t)((uint8_t *)p - region) / page_size;
	offset = (size_t)((uint8_t *)p - region) % page_size;
	assert(pages[i].used != 0);
	if (pages[i].kind != WHOLE_PAGE) {
		free_block((uint16_t)i, offset);
	} else {
		size_t n = pages[i].run;

		assert(offset == 0);
		unshut(p, n * page_size);
		explicit_bzero(p, n * page_size);
		shut(p, n * page_size);
		give_pages(i, n);
	}
	pthread_mutex_unlock(&lock);
}

char *
secure_dup(const void *bytes, size_t n)
{
	char *copy = n < SECURE_MAX ? secure_alloc(n + 1) : NULL;

	if (copy != NULL && n > 0)
		memcpy(copy, bytes, n);
	return copy;
}

/* ---- the whole ---- */

bool
secure_locked(void)
{
	bool locked;

	pthread_mutex_lock(&lock);
	locked = !refused;
	pthread_mutex_unlock(&lock);
	return locked;
}

size_t
secure_bytes(void)
{
	size_t n;

	pthread_mutex_lock(&lock);
	n = in_use * page_size;
	pthread_mutex_unlock(&lock);
	return n;
}

void
secure_before_fork(void)
{
	pthread_mutex_lock(&lock);
	if (region != NULL) {
		(void)madvise(region, PAGES * page_size, MADV_KEEPONFORK);
		(void)madvise(region, PAGES * page_size, MADV_DOFORK);
	}
	pthread_mutex_unlock(&lock);
}

void
secure_after_fork(void)
{
	pthread_mutex_lock(&lock);
	if (region != NULL) {
		hide();
		for (size_t i = 1; i < PAGES - 1; i++)
			if (!page_is_free(i) && mlock(page_at(i), page_size) == -1)
				refused = true;
	}
	pthread_mutex_unlock(&lock);
}
