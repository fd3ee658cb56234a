/* pool_rules.h -- which value of a setting counts where: database, user or global. Pure look-ups in a
 * configuration snapshot, written into the atomics that workers read. */
#ifndef POOL_POOL_RULES_H
#define POOL_POOL_RULES_H

struct config;
struct database;
struct pool;
struct quota;

void pool_rules_database(struct database *, const struct config *);
void pool_rules_user(struct quota *, const struct config *);
void pool_rules_pool(struct pool *, const struct config *);

#endif
