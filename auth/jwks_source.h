/* jwks_source.h -- keeps a set of keys current: from a file (looked at every few seconds, read when
 * it has changed) or from an https:// URL (fetched every refresh_ms, with jitter). A failure changes
 * nothing but the status and the log: the last good set stays in use without limit, and the next
 * attempts back off. A token signed by an unknown key asks for one early look, which is bounded.
 * Fetches, timers and closing happen on the main thread's loop; jwks_source_get() and the others that
 * say so may be called from any thread and hold a lock for a few instructions.
 * Must not know tokens, claims or clients. */
#ifndef AUTH_JWKS_SOURCE_H
#define AUTH_JWKS_SOURCE_H

#include <stddef.h>
#include <stdint.h>

struct https_calls;
struct jwks;
struct jwks_source;
struct worker;

#define JWKS_SOURCE_REFRESH_MS (300 * 1000)
#define JWKS_SOURCE_EARLY_MS   (30 * 1000)
#define JWKS_SOURCE_FILE_MS    (5 * 1000)
#define JWKS_SOURCE_RETRY_MS   (5 * 1000) /* doubled by each failure in a row, up to refresh_ms */

/* Texts are copied. */
struct jwks_source_settings {
	const char *name; /* for the log */
	const char *from; /* a path, or what begins with https:// (or http://, see https_call.h) */
	const char *ca_file; /* of the URL; NULL = the system's */
	int64_t refresh_ms;  /* of the URL; 0 = JWKS_SOURCE_REFRESH_MS */
	int64_t early_ms;    /* between two early looks; 0 = JWKS_SOURCE_EARLY_MS */
	int64_t file_ms;     /* between two looks at the file; 0 = JWKS_SOURCE_FILE_MS */
};

/* Main thread. A file has been read when this returns (see the status for how that went), a URL is
 * being fetched. `calls` may be NULL for a file; both outlive the source's close. NULL = no memory. */
struct jwks_source *jwks_source_open(struct worker *main, struct https_calls *calls,
    const struct jwks_source_settings *);
/* Main thread: no more refreshes, gives up the opener's reference. NULL is harmless. */
void jwks_source_close(struct jwks_source *);

/* From any thread. What a reference keeps alive is the last good set; the last one frees. */
struct jwks_source *jwks_source_ref(struct jwks_source *);
void jwks_source_unref(struct jwks_source *);

/* From any thread: the keys, with one reference for the caller; NULL = none yet. */
struct jwks *jwks_source_get(struct jwks_source *);

/* Main thread, at reload: looks now. */
void jwks_source_refresh(struct jwks_source *);
/* From any thread: a token came whose kid is in no key. Looks now, unless it did so early_ms ago or
 * later. The token is refused meanwhile; the answer is there for the next one. */
void jwks_source_unknown_kid(struct jwks_source *);

struct jwks_source_status {
	size_t keys;
	int64_t loaded_unix_ms; /* when the set was last found current; 0 = never */
	uint64_t looks, failures;
	char error[256]; /* of the last look; "" = it went well */
};

/* From any thread. */
void jwks_source_status(struct jwks_source *, struct jwks_source_status *);

#endif
