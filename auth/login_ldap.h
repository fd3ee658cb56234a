/* login_ldap.h -- is this the password of that user? asked of an LDAP server by a bind. Blocks: for
 * helper threads only (login_job.h). Each step has a time limit, all together end at the deadline of
 * the attempt, but for the look-up of the server's name, whose limits are those of resolv.conf.
 * TLS is always verified; referrals are not followed. An empty password is refused unasked, as
 * servers take it for an anonymous bind and say yes. Several servers are tried in order until one
 * answers. The only file that includes ldap.h is login_ldap.c. */
#ifndef AUTH_LOGIN_LDAP_H
#define AUTH_LOGIN_LDAP_H

#include "auth/login_method.h"

#define LOGIN_LDAP_STEP_MS 5000 /* of one step: connection, TLS, bind, search */

/* Its settings are struct login_ldap_options, finished. */
extern const struct login_method login_ldap;

#endif
