/* connect_target.h -- where a pool's servers are and as whom to log in there, by the configuration. */
#ifndef POOL_CONNECT_TARGET_H
#define POOL_CONNECT_TARGET_H

struct config;
struct config_database;
struct connect_target;
struct pool;
struct secret_version;
struct userlist;

/* All texts stay those of cfg, users and the version: they must outlive the target. What the entry says
 * counts before what the secret says. version NULL: the entry has no secret=. */
void connect_target_fill(struct connect_target *, const struct config *cfg,
    const struct config_database *, const struct pool *, const struct userlist *users,
    const struct secret_version *version);

#endif
