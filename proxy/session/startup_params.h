/* startup_params.h -- what a client asks for in its startup packet, checked and copied. */
#ifndef PROXY_SESSION_STARTUP_PARAMS_H
#define PROXY_SESSION_STARTUP_PARAMS_H

#include "proxy/base/fault.h"

#include <stddef.h>
#include <stdint.h>

#define STARTUP_UNKNOWN_MAX 16 /* unknown protocol options that are named in the answer */

struct startup_params {
	char *copy; /* holds all the texts below */
	const char *user, *database;
	const char *replication; /* "true", "database" or NULL: constants, not in copy */
	const char *unknown[STARTUP_UNKNOWN_MAX]; /* _pq_. options */
	size_t n_unknown;
	const char **pairs; /* name, value, ...: session parameters */
	size_t n_pairs;
	enum fault fault; /* found before login, told only after it: a missing database, say */
	const char *why;  /* its words, or those of what parse returned; a constant */
};

/* FAULT_NONE, or what to refuse the client for at once. `ignored` is ignore_startup_parameters. */
enum fault startup_params_parse(struct startup_params *, const uint8_t *payload, size_t n,
    const char *ignored);
void startup_params_each(const struct startup_params *,
    void (*each)(void *arg, const char *name, const char *value), void *arg);
void startup_params_release(struct startup_params *);

#endif
