/* login_method.h -- the interface of a way to check a password that may block (LDAP, PAM): it runs
 * in a helper thread of login_job.h, never in a worker. Must not know sessions or messages. */
#ifndef AUTH_LOGIN_METHOD_H
#define AUTH_LOGIN_METHOD_H

#include <stddef.h>
#include <stdint.h>

#define LOGIN_WHY_MAX 256 /* bytes of a reason, with its NUL */

enum login_result {
	LOGIN_OK,
	LOGIN_REFUSED,	  /* the password, the user or the account is not accepted */
	LOGIN_UNAVAILABLE /* nobody could be asked: server down, time is up, wrong settings */
};

struct login_attempt {
	const char *user, *password;
	size_t password_len;
	const char *peer;     /* address of the client; "" = Unix socket */
	uint64_t deadline_ms; /* CLOCK_MONOTONIC: give up by then */
};

struct login_method {
	const char *name; /* "ldap" */
	/* Blocks, but not past the deadline where that can be helped. why: one line for the log, without
	 * secrets; may stay "". Several threads may be in it with the same settings. */
	enum login_result (
	    *check)(const void *settings, const struct login_attempt *, char *why, size_t whylen);
	/* Settings are unchangeable and counted by references, from any thread. */
	void *(*ref)(void *settings);
	void (*unref)(void *settings);
};

#endif
