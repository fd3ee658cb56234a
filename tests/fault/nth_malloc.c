/* nth_malloc.c -- a library to be preloaded: from the moment it is armed, the nth allocation of the chosen threads
 * fails, and those behind it as many as wished. Armed and read through a file that both sides map:
 * NTH_MALLOC_CONTROL names it. tests/it/test_out_of_memory.py compiles and drives it. */
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* glibc's own, under the names that it exports for this purpose. */
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

/* tests/it/test_out_of_memory.py has the same layout. */
struct control {
	volatile int armed;
	volatile int nth;	  /* 1: the next one */
	volatile int times;	  /* how many fail from there on */
	volatile int counted;	  /* allocations since it was armed */
	volatile int failed;	  /* of them */
	volatile int trace;	  /* write to standard error where */
	volatile char thread[16]; /* how the names of the threads begin */
};

static struct control *control;
static __thread bool busy;

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("NTH_MALLOC_CONTROL");
	int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
	void *p;

	if (fd == -1)
		return;
	p = mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		control = p;
}

static bool
is_chosen(void)
{
	char name[17] = "";

	(void)prctl(PR_GET_NAME, name);
	return strncmp(name, (const char *)control->thread,
		   strnlen((const char *)control->thread, sizeof(control->thread))) == 0;
}

static void
trace(void)
{
	void *at[32];

	busy = true;
	backtrace_symbols_fd(at, backtrace(at, 32), STDERR_FILENO);
	(void)!write(STDERR_FILENO, "--\n", 3);
	busy = false;
}

static bool
fails(void)
{
	int n;

	if (control == NULL || !control->armed || busy || !is_chosen())
		return false;
	n = __atomic_add_fetch(&control->counted, 1, __ATOMIC_SEQ_CST);
	if (n < control->nth || n >= control->nth + control->times)
		return false;
	__atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
	if (control->trace)
		trace();
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	/* that shrinking fails would be too much */
	return n > 0 && fails() ? NULL : __libc_realloc(p, n);
}

void *
reallocarray(void *p, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, n * size);
}

void *
aligned_alloc(size_t align, size_t n)
{
	return fails() ? NULL : __libc_memalign(align, n);
}

void *
memalign(size_t align, size_t n)
{
	return aligned_alloc(align, n);
}

int
posix_memalign(void **p, size_t align, size_t n)
{
	if (fails())
		return ENOMEM;
	*p = __libc_memalign(align, n);
	return *p == NULL ? ENOMEM : 0;
}
