#include "proxy/config/config_option.h"

#include <string.h>

#include "proxy/config/config_report.h"

/* Bounds in options.def: a count of things that cost memory, a time in seconds (ten years). */
#define COUNT 10000000
#define TIME  315360000

#define RELOAD	    true
#define FIXED	    false
#define SERVED	    CONFIG_SERVED, NULL
#define WARN(why)   CONFIG_WARN, why
#define REFUSE(why) CONFIG_REFUSE, why

#define OPT_SECRET  OPT_STR
#define HIDE_BOOL   false
#define HIDE_INT    false
#define HIDE_SIZE   false
#define HIDE_MS	    false
#define HIDE_STR    false
#define HIDE_ENUM   false
#define HIDE_SECRET true

#define OPTION(key, type, def, min, max, reload, service, group, help)                             \
	{ { #key, OPT_##type, min, max, offsetof(struct config, key), HIDE_##type }, def, reload,  \
		service, group, help },

const struct config_option config_options[CONFIG_OPTIONS] = {
#include "proxy/config/options.def"
};

const struct config_option *
config_option_find(const char *key)
{
	size_t i;

	for (i = 0; i < CONFIG_OPTIONS; i++)
		if (strcmp(key, config_options[i].field.key) == 0)
			return &config_options[i];
	return NULL;
}

static const char *
key_at(const void *arg, size_t i)
{
	(void)arg;
	return config_options[i].field.key;
}

const char *
config_option_nearest(const char *key)
{
	return config_report_nearest(key, key_at, NULL, CONFIG_OPTIONS);
}

/* Compares what would be shown; a default is always written as it is shown (a test sees to it). */
bool
config_option_is_default(const struct config_option *option, const struct config *cfg)
{
	char buf[CONFIG_FIELD_TEXT];

	return strcmp(config_field_text(&option->field, cfg, buf), option->def) == 0;
}
