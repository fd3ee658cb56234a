/* config_load.h -- making snapshots, shared by config.c (copies) and config_load.c (files).
 * For this folder only: everybody else uses config.h. */
#ifndef PROXY_CONFIG_CONFIG_LOAD_H
#define PROXY_CONFIG_CONFIG_LOAD_H

#include "proxy/config/config.h"

struct config_arena;

/* A snapshot with every option at its default, no entries and one reference; NULL: out of
 * memory. */
struct config *config_blank(void);

struct config_arena *config_memory(const struct config *cfg);

#endif
