/* console_views.h -- the table of SHOW commands. */
#ifndef PROXY_SESSION_CONSOLE_VIEWS_H
#define PROXY_SESSION_CONSOLE_VIEWS_H

#include "proxy/admin/console.h"

extern const struct view console_views[]; /* ends with a NULL name */

#endif
