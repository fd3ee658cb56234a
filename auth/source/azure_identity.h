/* azure_identity.h -- how this machine gets tokens from Entra ID, as the environment says: workload
 * identity (Kubernetes), App Service and its kin, or else the metadata service of a VM (IMDS). For
 * bearer_open(). Must not know Key Vault. */
#ifndef AUTH_SOURCE_AZURE_IDENTITY_H
#define AUTH_SOURCE_AZURE_IDENTITY_H

#include "auth/source/bearer_token.h"

/* Its identity is "RESOURCE CLIENT_ID": e.g. "https://vault.azure.net " for the system's own. */
extern const struct bearer_kind azure_identity;

#endif
