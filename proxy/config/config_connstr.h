/* config_connstr.h -- key=value key='quoted value' ..., PgBouncer's connect strings. Blanks may
 * surround the =; a value without quotes ends at a blank; '' inside quotes is a quote. So an empty
 * value needs quotes: in "host= port=1" the host would be "port=1". Cuts the text in place. Must
 * not know which keys there are. */
#ifndef PROXY_CONFIG_CONFIG_CONNSTR_H
#define PROXY_CONFIG_CONFIG_CONNSTR_H

#include <stdbool.h>

struct config_connstr {
	char *at;
	const char *key, *value; /* of the last pair */
	bool gap;		 /* blanks stood between = and a value without quotes */
	const char *fault;	 /* why there is no next pair; NULL at the end */
	const char *after;	 /* with a fault: the key it follows or that has it, "" for none */
};

/* text is borrowed until the last pair was used. */
void config_connstr_start(struct config_connstr *pairs, char *text);
bool config_connstr_next(struct config_connstr *pairs);

#endif
