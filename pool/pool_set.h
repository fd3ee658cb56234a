/* pool_set.h -- all databases, users and pools: found by name, made on demand, kept in step with the
 * configuration. One lock, taken at login, at reload and when a limit is reached; never per transaction.
 * Pools are counted: one reference for each client, server and letter under way. Must not know sessions. */
#ifndef POOL_POOL_SET_H
#define POOL_POOL_SET_H

#include "proxy/base/fault.h"

#include <stdbool.h>
#include <stddef.h>

struct config;
struct config_database;
struct database;
struct pool;
struct quota;
struct worker;

/* Given as `replication`: the pool in which auth_query runs, which no client shares. */
extern const char pool_for_auth[];

/* Once, before any worker runs. */
int pool_set_init(struct worker *workers, int n_workers);
/* The configuration that was applied last; to be compared, not looked into. */
const struct config *pool_set_config(void);
/* Makes everything agree with a configuration: limits, paused state of new databases, epochs of those whose
 * address or credentials changed. From the main thread. */
void pool_set_apply(const struct config *old, const struct config *cfg);

/* A reference to the pool in which this client belongs. With secret= and without user= its user goes by the
 * name of the secret, whoever logs in. FAULT_NO_DATABASE, FAULT_DISABLED, FAULT_MEMORY.
 * The user of the pool is the forced user of the database entry if it has one. */
enum fault pool_set_get(const struct config *, const char *database, const char *user,
    const char *replication, struct pool **);
/* The user of all pools of an entry, whoever the client is; NULL = the client's own. */
const char *pool_set_entry_user(const struct config_database *);
/* The client's own limits: [users] and max_user_client_connections go by the name it logged in with. */
struct quota *pool_set_user(const struct config *, const char *name);

/* Something about that entry of [secrets] has changed: who waits for a server by it tries again, and
 * servers of a replaced user end. */
void pool_set_secret_changed(const struct config *, const char *secret);
/* While it is on, databases that come into being are paused, as all others are. */
void pool_set_pause_new(bool on);
/* Opens what min_pool_size asks for. */
void pool_set_fill(const struct config *);

/* Calls each for all of them, under the lock: short, and no call back into this file. */
void pool_set_each_pool(void (*each)(void *arg, struct pool *), void *arg);
void pool_set_each_database(void (*each)(void *arg, struct database *), void *arg);
void pool_set_each_user(void (*each)(void *arg, struct quota *), void *arg);
/* All pools, a reference to each, in an array that the caller frees; their number. */
size_t pool_set_pools(struct pool ***);
/* A reference is not given: databases live until the program ends. NULL = no such name. */
struct database *pool_set_database(const char *name);

#endif
