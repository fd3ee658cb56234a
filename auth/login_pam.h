/* login_pam.h -- is this the password of that user, and is the account in order? asked of PAM.
 * Blocks, for as long as the modules like (there is no time limit in PAM): for helper threads only
 * (login_job.h). The password answers one question, once; modules that ask for more are refused.
 * The only file that includes security/ is login_pam.c. */
#ifndef AUTH_LOGIN_PAM_H
#define AUTH_LOGIN_PAM_H

#include "auth/login_method.h"

#define LOGIN_PAM_SERVICE "pgsluice"

struct login_pam_settings;

/* service NULL: LOGIN_PAM_SERVICE. confdir: the folder of the service's file, NULL = the system's.
 * One reference for the caller; NULL = no memory, or such a service name cannot be (errno). */
struct login_pam_settings *login_pam_settings_new(const char *service, const char *confdir);

/* Its settings are struct login_pam_settings. */
extern const struct login_method login_pam;

#endif
