/* secret_source.h -- the providers of secrets that exist, by the word in provider=. */
#ifndef AUTH_SOURCE_SECRET_SOURCE_H
#define AUTH_SOURCE_SECRET_SOURCE_H

#include "auth/secret_source.h"

/* By the word in provider=; NULL = unknown. */
const struct secret_source_ops *secret_source_find(const char *provider);
/* "aws-secretsmanager, rds-iam, ..." for messages. */
const char *secret_source_names(void);

extern const struct secret_source_ops source_aws, source_rds_iam, source_vault_kv,
    source_vault_database, source_gcp, source_azure, source_file, source_systemd, source_env,
    source_exec;

#endif
