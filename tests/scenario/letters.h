/* letters.h -- backend messages with usual contents, by the letters of stage.h. */
#ifndef TESTS_LETTERS_H
#define TESTS_LETTERS_H

struct buf;

void letters_put(struct buf *, char letter);

#endif
