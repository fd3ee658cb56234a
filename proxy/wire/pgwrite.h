/* pgwrite.h -- building PostgreSQL protocol v3 messages into a struct buf. Pure.
 * Every function appends whole messages; failures stick in the buf (buf_failed()). */
#ifndef PROXY_WIRE_PGWRITE_H
#define PROXY_WIRE_PGWRITE_H

#include "proxy/base/buf.h"

/* For messages of the caller's own making: begin returns a mark for end. */
uint32_t pgwrite_begin(struct buf *, char type);
void pgwrite_end(struct buf *, uint32_t mark);

/* ErrorResponse; detail and hint may be NULL. */
void pgwrite_error(struct buf *, const char *severity, const char *sqlstate, const char *message,
    const char *detail, const char *hint);
void pgwrite_notice(struct buf *, const char *severity, const char *sqlstate, const char *message,
    const char *detail);
void pgwrite_auth_ok(struct buf *);
void pgwrite_parameter_status(struct buf *, const char *name, const char *value);
/* The key is 4 bytes in protocol 3.0, up to 256 from 3.2 on. */
void pgwrite_backend_key(struct buf *, uint32_t pid, const void *key, size_t key_len);
/* `names` are n pointers to option names. */
void pgwrite_negotiate_version(struct buf *, uint32_t newest_minor, const char *const *names,
    size_t n);
void pgwrite_ready(struct buf *, char status);
/* A message without payload: ParseComplete '1', CloseComplete '3', EmptyQueryResponse 'I', Sync 'S' ... */
void pgwrite_empty(struct buf *, char type);
void pgwrite_command_complete(struct buf *, const char *tag);
/* All columns of type text. */
void pgwrite_row_description(struct buf *, const char *const *names, const uint32_t *type_oids,
    size_t n);
/* NULL values are SQL NULL. */
void pgwrite_data_row(struct buf *, const char *const *values, size_t n);

void pgwrite_query(struct buf *, const char *sql);
void pgwrite_parse(struct buf *, const char *name, const void *text_and_types, size_t n);
/* Describe 'D' or Close 'C' of a statement 'S' or portal 'P'. */
void pgwrite_name(struct buf *, char type, char kind, const char *name);

#endif
