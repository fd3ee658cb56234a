/* config_option.h -- the rows of options.def as data, in their order.
 * Constant and shared by all threads. Must not know files or the console. */
#ifndef PROXY_CONFIG_CONFIG_OPTION_H
#define PROXY_CONFIG_CONFIG_OPTION_H

#include "proxy/config/config_field.h"

enum config_service { CONFIG_SERVED, CONFIG_WARN, CONFIG_REFUSE };

struct config_option {
	struct config_field field; /* in struct config */
	const char *def;	   /* as written in the file; "" = unset */
	bool reload;
	enum config_service service;
	const char *why; /* it has no effect, or what to use instead; NULL when served */
	const char *group;
	const char *help;
};

/* One per row of options.def; its length is the number of rows. */
enum config_option_index {
#define OPTION(key, ...) CONFIG_OPTION_##key,
#include "proxy/config/options.def"
#undef OPTION
	CONFIG_OPTIONS
};

extern const struct config_option config_options[CONFIG_OPTIONS];

const struct config_option *config_option_find(const char *key); /* NULL: unknown */
const char *config_option_nearest(const char *key);		 /* NULL: none is near */
bool config_option_is_default(const struct config_option *option, const struct config *cfg);

#endif
