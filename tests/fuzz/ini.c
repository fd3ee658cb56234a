/* ini.c -- fuzz harness: any bytes as configuration file are either refused with a message or give
 * a snapshot that can be shown, compared, changed and freed. The bytes go through a file in memory,
 * as the loader takes paths; an %include of something that is there is harmless, as only regular
 * files are read. */
#include "proxy/config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
hear(void *arg, bool is_error, const char *file, int line, const char *text)
{
	unsigned *errors = arg;

	if (file == NULL || line < 0 || *text == '\0' || strpbrk(text, "\r\n") != NULL)
		abort();
	*errors += is_error;
}

static void
see_row(void *arg, const char *key, const char *value, const char *def, bool changeable)
{
	(void)changeable;
	*(size_t *)arg += strlen(key) + strlen(value) + strlen(def);
}

static void
see_change(void *arg, const char *key, const char *from, const char *to, bool applies_live)
{
	(void)applies_live;
	*(size_t *)arg += strlen(key) + strlen(from) + strlen(to);
}

static void
use(const struct config *cfg)
{
	struct config *changed;
	char err[64];
	size_t seen = 0, i;

	config_show(cfg, see_row, &seen);
	for (i = 0; i < cfg->n_databases; i++)
		if (config_find_database(cfg, cfg->databases[i].name) != &cfg->databases[i] ||
		    *config_host(cfg, &cfg->databases[i]) == '\0')
			abort();
	for (i = 0; i < cfg->n_users; i++)
		if (config_find_user(cfg, cfg->users[i].name) != &cfg->users[i])
			abort();
	if ((changed = config_set(cfg, "query_timeout", "1", err, sizeof(err))) == NULL)
		abort();
	seen = 0;
	config_diff(cfg, changed, see_change, &seen);
	if ((cfg->query_timeout == 1000) != (seen == 0))
		abort(); /* a change that nobody is told of, or a difference that is none */
	config_unref(changed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("ini", MFD_CLOEXEC);
	unsigned errors = 0;
	struct config *cfg;
	char path[32];

	if (fd == -1)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (write(fd, data, size) == (ssize_t)size) {
		cfg = config_load(path, hear, &errors);
		if ((cfg == NULL) != (errors > 0))
			abort();
		if (cfg != NULL)
			use(cfg);
		config_unref(cfg);
	}
	close(fd);
	return 0;
}
