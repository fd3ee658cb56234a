/* config_doc.h -- what options.def says, for people: the sample file and the option section of the
 * man page. SHOW CONFIG, which comes from the same rows, is config_show() in config.h. Output
 * errors are the caller's to see with ferror(). Must not know any running configuration. */
#ifndef PROXY_CONFIG_CONFIG_DOC_H
#define PROXY_CONFIG_CONFIG_DOC_H

#include <stdio.h>

void config_doc_sample(FILE *out); /* etc/pgsluice.ini; loads as it is */
void config_doc_man(FILE *out);	   /* packaging/options.man, roff with man macros */

#endif
