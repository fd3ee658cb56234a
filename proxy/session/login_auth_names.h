/* login_auth_names.h -- what a worker knows of where its clients are: the host name of an address, the name of
 * a system user, this machine's networks. Names are asked for in helper threads (login_job.h) and kept for a
 * minute; the number kept is fixed. One per worker, for its thread only. Must not know rules or sessions. */
#ifndef PROXY_SESSION_LOGIN_AUTH_NAMES_H
#define PROXY_SESSION_LOGIN_AUTH_NAMES_H

#include <stdint.h>

struct interfaces;
struct login_auth_names;
struct login_method;

#define LOGIN_AUTH_NAME_MS 60000

/* Methods of login_job.h that find a name: LOGIN_OK, and it is in `why`; LOGIN_REFUSED: there is none;
 * LOGIN_UNAVAILABLE: nobody can say. They take no settings. The first finds the host name of `peer`, if
 * that name leads back to it; the second the name of the user whose number is `user`. */
extern const struct login_method login_auth_names_host, login_auth_names_uid;

struct login_auth_names *login_auth_names_new(void); /* NULL = no memory */
void login_auth_names_free(struct login_auth_names *);

/* "" = there is none, NULL = not known, or too old. Valid until the next keep. */
const char *login_auth_names_find(const struct login_auth_names *, const char *key,
    uint64_t now_ms);
void login_auth_names_keep(struct login_auth_names *, const char *key, const char *name,
    uint64_t now_ms);

/* Some seconds old at most. NULL = the system does not say. Valid until the next call. */
const struct interfaces *login_auth_names_networks(struct login_auth_names *, uint64_t now_ms);

#endif
