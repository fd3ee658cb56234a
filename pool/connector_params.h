/* connector_params.h -- the keywords and values that a connect job gives to libpq.
 * Everything that libpq would otherwise look for in the environment or the home directory is set.
 * Pure: no I/O. Must not know libpq's functions. */
#ifndef POOL_CONNECTOR_PARAMS_H
#define POOL_CONNECTOR_PARAMS_H

#define CONNECTOR_PARAMS_MAX 40

struct connect_target;

struct connector_params {
	/* for PQconnectStartParams(), NULL at the end; the values are the target's or live in here */
	const char *key[CONNECTOR_PARAMS_MAX + 1], *value[CONNECTOR_PARAMS_MAX + 1];
	int n;
	char port[12], numbers[4][12];
	char options[512];
};

/* host is one of the target's list; addr its address as text, NULL for a Unix socket. */
void connector_params_fill(struct connector_params *, const struct connect_target *,
    const char *host, const char *addr);

#endif
