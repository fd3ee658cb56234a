#include "proxy/wire/pgwrite.h"

#include <string.h>

uint32_t
pgwrite_begin(struct buf *b, char type)
{
	uint32_t mark;

	buf_put_u8(b, (uint8_t)type);
	mark = buf_len(b);
	buf_put_u32(b, 0);
	return mark;
}

void
pgwrite_end(struct buf *b, uint32_t mark)
{
	buf_set_u32(b, mark, buf_len(b) - mark);
}

static void
put_field(struct buf *b, char field, const char *value)
{
	if (value == NULL)
		return;
	buf_put_u8(b, (uint8_t)field);
	buf_put_str(b, value);
}

static void
put_report(struct buf *b, char type, const char *severity, const char *sqlstate,
    const char *message, const char *detail, const char *hint)
{
	uint32_t mark = pgwrite_begin(b, type);

	put_field(b, 'S', severity);
	put_field(b, 'V', severity);
	put_field(b, 'C', sqlstate);
	put_field(b, 'M', message);
	put_field(b, 'D', detail);
	put_field(b, 'H', hint);
	buf_put_u8(b, 0);
	pgwrite_end(b, mark);
}

void
pgwrite_error(struct buf *b, const char *severity, const char *sqlstate, const char *message,
    const char *detail, const char *hint)
{
	put_report(b, 'E', severity, sqlstate, message, detail, hint);
}

void
pgwrite_notice(struct buf *b, const char *severity, const char *sqlstate, const char *message,
    const char *detail)
{
	put_report(b, 'N', severity, sqlstate, message, detail, NULL);
}

void
pgwrite_auth_ok(struct buf *b)
{
	uint32_t mark = pgwrite_begin(b, 'R');

	buf_put_u32(b, 0);
	pgwrite_end(b, mark);
}

void
pgwrite_parameter_status(struct buf *b, const char *name, const char *value)
{
	uint32_t mark = pgwrite_begin(b, 'S');

	buf_put_str(b, name);
	buf_put_str(b, value);
	pgwrite_end(b, mark);
}

void
pgwrite_backend_key(struct buf *b, uint32_t pid, const void *key, size_t key_len)
{
	uint32_t mark = pgwrite_begin(b, 'K');

	buf_put_u32(b, pid);
	buf_put(b, key, key_len);
	pgwrite_end(b, mark);
}

void
pgwrite_negotiate_version(struct buf *b, uint32_t newest_minor, const char *const *names, size_t n)
{
	uint32_t mark = pgwrite_begin(b, 'v');

	buf_put_u32(b, newest_minor);
	buf_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		buf_put_str(b, names[i]);
	pgwrite_end(b, mark);
}

void
pgwrite_ready(struct buf *b, char status)
{
	uint32_t mark = pgwrite_begin(b, 'Z');

	buf_put_u8(b, (uint8_t)status);
	pgwrite_end(b, mark);
}

void
pgwrite_empty(struct buf *b, char type)
{
	pgwrite_end(b, pgwrite_begin(b, type));
}

void
pgwrite_command_complete(struct buf *b, const char *tag)
{
	uint32_t mark = pgwrite_begin(b, 'C');

	buf_put_str(b, tag);
	pgwrite_end(b, mark);
}

void
pgwrite_row_description(struct buf *b, const char *const *names, const uint32_t *type_oids,
    size_t n)
{
	uint32_t mark = pgwrite_begin(b, 'T');

	buf_put_u16(b, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		uint32_t oid = type_oids != NULL ? type_oids[i] : 25;

		buf_put_str(b, names[i]);
		buf_put_u32(b, 0);
		buf_put_u16(b, 0);
		buf_put_u32(b, oid);
		/* int4 and int8 have a size, text and numeric have not */
		buf_put_u16(b, oid == 23 ? 4 : oid == 20 ? 8 : 0xffff);
		buf_put_u32(b, 0xffffffff);
		buf_put_u16(b, 0);
	}
	pgwrite_end(b, mark);
}

void
pgwrite_data_row(struct buf *b, const char *const *values, size_t n)
{
	uint32_t mark = pgwrite_begin(b, 'D');

	buf_put_u16(b, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		size_t len = values[i] != NULL ? strlen(values[i]) : 0;

		buf_put_u32(b, values[i] != NULL ? (uint32_t)len : 0xffffffff);
		buf_put(b, values[i], len);
	}
	pgwrite_end(b, mark);
}

void
pgwrite_query(struct buf *b, const char *sql)
{
	uint32_t mark = pgwrite_begin(b, 'Q');

	buf_put_str(b, sql);
	pgwrite_end(b, mark);
}

void
pgwrite_parse(struct buf *b, const char *name, const void *text_and_types, size_t n)
{
	uint32_t mark = pgwrite_begin(b, 'P');

	buf_put_str(b, name);
	buf_put(b, text_and_types, n);
	pgwrite_end(b, mark);
}

void
pgwrite_name(struct buf *b, char type, char kind, const char *name)
{
	uint32_t mark = pgwrite_begin(b, type);

	buf_put_u8(b, (uint8_t)kind);
	buf_put_str(b, name);
	pgwrite_end(b, mark);
}
