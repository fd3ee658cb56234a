/* end.h -- one end of a connection that the test plays: bytes out, messages in. */
#ifndef TESTS_END_H
#define TESTS_END_H

#include "proxy/base/buf.h"

enum { END_MESSAGES = 64, END_TEXT = 256 };

/* One end that the test plays: what came and has not been looked at. */
struct end {
	int fd;
	struct buf in, out;
	bool eof;
	char types[END_MESSAGES + 1];
	char texts[END_MESSAGES][END_TEXT];
	int n;
};

void end_init(struct end *, int fd);
void end_release(struct end *);
/* Reads what has come; eof when the other side closed. */
void end_fetch(struct end *);
/* Sends all, unless nothing more is taken for good. */
void end_send(struct end *, const void *, size_t);
/* Sends what is taken at once; the number of bytes. */
size_t end_pour(struct end *, const void *, size_t);
/* Reads and forgets; the number of bytes. */
size_t end_drain(struct end *);
/* Takes the whole messages that have come: types, and the beginnings of their payloads. */
void end_look(struct end *);

#endif
