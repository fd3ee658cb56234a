/* config_check.h -- rules that tie values to each other, and options that this version does not
 * serve. Reads no file: whether certificates and user lists are there and good is for those who
 * load them. */
#ifndef PROXY_CONFIG_CONFIG_CHECK_H
#define PROXY_CONFIG_CONFIG_CHECK_H

#include "proxy/config/config.h"
#include "proxy/config/config_report.h"

/* Where the values came from, so that one slip of the user's is told once. */
struct config_origin {
	const struct config_place
	    *where;	 /* of each row of options.def; file NULL: it has its default */
	const bool *bad; /* of each row: its value did not fit, that was told */
	bool gaps; /* something could not be understood, so that a missing value proves nothing */
};

void config_check(const struct config *cfg, const struct config_origin *origin,
    struct config_report *report); /* origin NULL: nothing is known */

#endif
