/* console_rows.h -- the console's tables as row descriptions and data rows, text and binary. */
#ifndef PROXY_SESSION_CONSOLE_ROWS_H
#define PROXY_SESSION_CONSOLE_ROWS_H

#include <stdint.h>

struct buf;
struct table;

/* Bit i of `binary`: column i goes out in binary format. */
void console_rows_description(struct buf *, const char *const *columns, uint32_t binary);
void console_rows_data(struct buf *, const struct table *, uint32_t binary);

#endif
