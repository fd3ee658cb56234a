/* secret.h -- what bytes that nobody else may learn need: comparison in constant time, copies that
 * are wiped, randomness, and the base64 they travel in. Nothing here prints.
 * Must not know what the secrets are for. Thread-safe: no state is shared between threads. */
#ifndef PROXY_BASE_SECRET_H
#define PROXY_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Time depends on len alone. */
bool secret_equal(const void *a, const void *b, size_t len);
/* The same for strings whose lengths may differ: time depends on given_len, which the peer chose
 * and knows, and neither on the held bytes nor on their number. `held` has a NUL after its last
 * byte. */
bool secret_equal_text(const char *given, size_t given_len, const char *held, size_t held_len);

/* A copy with a NUL behind it, to be given to secret_free() with the same len; NULL = no memory. */
char *secret_dup(const void *bytes, size_t len);
/* Wipes len bytes, then frees; NULL is harmless. */
void secret_free(void *p, size_t len);

/* Bytes from the kernel's generator, through a small buffer of the calling thread: a nonce costs no
 * system call most of the time. A child of fork() starts with an empty buffer. Returns -1 when the
 * kernel gives nothing; `out` must then not be used. */
int secret_random(void *out, size_t len) __attribute__((warn_unused_result));

/* Characters that len bytes need, without the NUL. */
#define SECRET_BASE64_LEN(len) (((len) + 2) / 3 * 4)
/* Standard alphabet, padded, NUL at the end; returns the length without it, 0 if `size` is too
 * small. */
size_t secret_base64_encode(char *out, size_t size, const void *bytes, size_t len);
/* Strict: full padding, no blanks, unused bits zero. Returns the number of bytes, or -1 when the
 * text is not base64 or holds more than `size` bytes. */
ssize_t secret_base64_decode(void *out, size_t size, const char *text, size_t len);

#endif
