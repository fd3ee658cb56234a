/* local_source.h -- what the providers of this machine (file, systemd, env, exec) have in common: one
 * fetch at a time, worked on from the loop, and the way from a text to the answer. Texts and values
 * are in secure memory. Must not know where a text comes from.
 *
 * What a text may be: a JSON object (auth/secret_value.h says which), with format=plain any bytes but
 * NUL, less one newline at the end. format=auto takes JSON, or one line without control characters;
 * a text that begins with a brace is never taken as a password, so that half a JSON document is not.
 *
 * Version ids: VersionId of the JSON when it has one, else twelve hexadecimal digits of a MAC of the
 * value under a key that each process draws anew: equal for equal values, no help for guessing. */
#ifndef AUTH_SOURCE_LOCAL_SOURCE_H
#define AUTH_SOURCE_LOCAL_SOURCE_H

#include "auth/source/secret_source.h"
#include "auth/source/source_entry.h"
#include "proxy/base/loop.h"

struct local_source {
	struct secret_source base; /* first member */
	struct loop *loop;
	int64_t (*unix_ms)(void);
	struct source_form form;

	/* the fetch under way; done is NULL when there is none */
	void (*work)(struct local_source *);
	struct deadline due; /* calls work() */
	enum secret_stage stage;
	uint64_t begun_ms;
	secret_fetched *done;
	void *arg;
};

/* A source of size bytes of zeros that begins with a struct local_source, to be freed after
 * local_source_destroy(); NULL with one line in err, also when a key is set that is not among
 * `taken`. work() runs from the loop for each fetch of the current version and ends it, at once or
 * later, by local_source_answer() or _fail(). Keeps nothing of the entry. */
void *local_source_new(size_t size, const struct secret_source_ops *, const char *const *taken,
    const struct config_secret *, const struct secret_source_env *,
    void (*work)(struct local_source *), char *err, size_t errlen);
void local_source_destroy(struct local_source *);

/* The operation of that name. */
void local_source_fetch(struct secret_source *, enum secret_stage, secret_fetched *, void *arg);

/* Calls work() again after so many ms. */
void local_source_again(struct local_source *, uint64_t after_ms);
/* These end the fetch; the source may be gone afterwards. `what` names the origin in messages, user
 * (NULL = none) counts before the one in the text. */
void local_source_answer(struct local_source *, const char *what, const char *text, size_t len,
    const char *user);
void local_source_fail(struct local_source *, enum secret_error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
