/* command_line.h -- splits a command into its words, without a shell. Blanks part words. 'single
 * quotes' take everything as it stands; in "double quotes" only \" and \\ are special; outside quotes
 * a backslash takes the next character as it stands. Nothing else means anything: no variables, no
 * wildcards, no pipes, no redirection, no comments. '' is an empty word. Pure. */
#ifndef AUTH_SOURCE_COMMAND_LINE_H
#define AUTH_SOURCE_COMMAND_LINE_H

#include <stddef.h>

#define COMMAND_LINE_WORDS_MAX 256

/* The words, then NULL, all in one piece of memory: free() it. NULL with one line in err, which does
 * not quote the command. There is at least one word, and it is not empty. */
char **command_line_split(const char *text, char *err, size_t errlen);

#endif
