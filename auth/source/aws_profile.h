/* aws_profile.h -- the configuration files that AWS's tools share: AWS_CONFIG_FILE (~/.aws/config,
 * sections [default] and [profile NAME]) and AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials,
 * sections [NAME]). Comments stand at the start of a line; indented lines belong to the key above
 * and are skipped. Must not know what the keys mean. */
#ifndef AUTH_SOURCE_AWS_PROFILE_H
#define AUTH_SOURCE_AWS_PROFILE_H

#include "auth/source/local_file.h"

struct aws_profiles {
	struct local_file config, credentials; /* no text: there is no such file */
};

/* Reads both. A file that is not there is empty. -1 with one line in err: unreadable, too large, may
 * be written by everybody; what could be read is there nevertheless. Release in any case. */
int aws_profiles_load(struct aws_profiles *, char *err, size_t errlen);
void aws_profiles_release(struct aws_profiles *);

bool aws_profiles_has(const struct aws_profiles *, const char *profile);
/* A key's value, of the credentials file first, into out[size] with a NUL: its length. 0 with "":
 * none, empty, or longer than fits. */
size_t aws_profiles_get(const struct aws_profiles *, const char *profile, const char *key,
    char *out, size_t size);

/* Of one file's text. Sections of the same name count as one, the last of equal keys wins. NULL:
 * there is no such key; key NULL: any text when there is such a section. Pure. */
const char *aws_profile_find(const char *text, size_t len, bool is_config, const char *profile,
    const char *key, size_t *value_len);

#endif
