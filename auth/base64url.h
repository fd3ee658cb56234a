/* base64url.h -- the base64 of tokens and their keys (RFC 7515 section 2). Pure.
 * Must not know what the bytes are. */
#ifndef AUTH_BASE64URL_H
#define AUTH_BASE64URL_H

#include <stddef.h>
#include <sys/types.h>

/* Strict: alphabet with - and _, no padding, no blanks, unused bits zero, so that each value has one
 * spelling. Number of bytes, or -1 when the text is no base64url or holds more than `size` bytes. */
ssize_t base64url_decode(void *out, size_t size, const char *text, size_t len);

#endif
