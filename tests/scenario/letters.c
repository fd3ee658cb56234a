/* letters.c -- backend messages by their type letters. */
#include "tests/scenario/letters.h"

#include "proxy/wire/pgwrite.h"

void
letters_put(struct buf *b, char type)
{
	static const char *const column[] = { "a" };

	switch (type) {
	case 'Z':
		pgwrite_ready(b, 'I');
		break;
	case 'z':
		pgwrite_ready(b, 'T');
		break;
	case 'x':
		pgwrite_ready(b, 'E');
		break;
	case 'E':
		pgwrite_error(b, "ERROR", "42601", "an error", NULL, NULL);
		break;
	case 'N':
		pgwrite_notice(b, "NOTICE", "00000", "a notice", NULL);
		break;
	case 'T':
		pgwrite_row_description(b, column, NULL, 1);
		break;
	case 'D':
		pgwrite_data_row(b, column, 1);
		break;
	case 'C':
		pgwrite_command_complete(b, "SELECT 1");
		break;
	case 't':
	case 'G': {
		uint32_t mark = pgwrite_begin(b, type);

		buf_put_u16(b, 0);
		if (type == 'G')
			buf_put_u8(b, 0);
		pgwrite_end(b, mark);
		break;
	}
	default:
		pgwrite_empty(b, type);
		break;
	}
}
