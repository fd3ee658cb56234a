#include "auth/source/secret_source.h"

#include <stdio.h>
#include <string.h>

static const struct secret_source_ops *const providers[] = {
	&source_aws,
	&source_rds_iam,
	&source_vault_kv,
	&source_vault_database,
	&source_gcp,
	&source_azure,
	&source_file,
	&source_systemd,
	&source_env,
	&source_exec,
};

#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

const struct secret_source_ops *
secret_source_find(const char *provider)
{
	size_t i;

	for (i = 0; i < N_PROVIDERS; i++)
		if (strcmp(providers[i]->name, provider) == 0)
			return providers[i];
	return NULL;
}

/* Written anew each time, always the same: the words stay those of the table. */
const char *
secret_source_names(void)
{
	static char names[256];
	size_t i, at = 0;

	for (i = 0; i < N_PROVIDERS && at < sizeof(names); i++)
		at += (size_t)snprintf(names + at, sizeof(names) - at, "%s%s", i > 0 ? ", " : "",
		    providers[i]->name);
	return names;
}
