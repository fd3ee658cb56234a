#include "proxy/session/console_extended.h"

#include "proxy/admin/table.h"
#include "proxy/session/console_rows.h"
#include "proxy/wire/pgmsg.h"
#include "proxy/wire/pgwrite.h"

/* The next messages up to Sync are not looked at. */
static void
fail(struct console *c, const char *sqlstate, const char *message)
{
	console_refuse(c, sqlstate, message);
	c->skipping = true;
}

static void
fail_as(struct console *c, enum fault f, const char *message)
{
	fail(c, fault_sqlstate(f),
	    message != NULL && message[0] != '\0' ? message : fault_sentence(f));
}

static void
parse(struct console *c, struct pgcur *m)
{
	const char *name = pgcur_str(m), *text = pgcur_str(m);
	unsigned types = pgcur_u16(m);
	struct console_line *line;
	char err[512];
	enum fault f;

	(void)pgcur_bytes(m, 4 * types);
	if (!pgcur_done(m)) {
		fail_as(c, FAULT_PROTOCOL, "invalid Parse message");
		return;
	}
	if (name[0] == '\0') {
		console_names_drop(&c->statements, name);
	} else if (console_names_find(&c->statements, name) != NULL) {
		fail(c, "42P05", "a prepared statement of that name exists already");
		return;
	}
	line = console_line_new(text, &f, err, sizeof(err));
	if (line == NULL) {
		fail_as(c, f, err);
		return;
	}
	if (console_names_add(&c->statements, name, line) != NULL)
		pgwrite_empty(&c->out, '1');
	else
		fail_as(c, FAULT_TOO_MANY_STATEMENTS, NULL);
	console_line_unref(line);
}

/* Result formats: none (text), one for all, or one for each column. False when malformed. */
static bool
formats(struct pgcur *m, unsigned columns, uint32_t *binary)
{
	unsigned n = pgcur_u16(m), code = 0;

	*binary = 0;
	if (n > 1 && n != columns)
		return false;
	for (unsigned i = 0; i < (n == 1 ? columns : n); i++) {
		if (i == 0 || n > 1)
			code = pgcur_u16(m);
		if (code > 1)
			return false;
		*binary |= (uint32_t)code << i;
	}
	if (n == 1 && columns == 0)
		(void)pgcur_u16(m);
	return pgcur_done(m);
}

static void
bind(struct console *c, struct pgcur *m)
{
	const char *portal = pgcur_str(m), *name = pgcur_str(m);
	struct console_named *st, *p;
	const char *const *columns;
	unsigned codes = pgcur_u16(m), values;
	uint32_t binary;

	(void)pgcur_bytes(m, 2 * codes);
	values = pgcur_u16(m);
	if (!pgcur_ok(m)) {
		fail_as(c, FAULT_PROTOCOL, "invalid Bind message");
		return;
	}
	st = console_names_find(&c->statements, name);
	if (st == NULL) {
		fail(c, "26000", "there is no prepared statement of that name");
		return;
	}
	if (values > 0) {
		fail_as(c, FAULT_PROTOCOL, "console commands take no parameters");
		return;
	}
	columns = console_line_columns(st->line);
	if (!formats(m, columns == NULL ? 0 : table_count_columns(columns), &binary)) {
		fail_as(c, FAULT_PROTOCOL, "invalid result formats in a Bind message");
		return;
	}
	if (portal[0] == '\0') {
		console_names_drop(&c->portals, portal);
	} else if (console_names_find(&c->portals, portal) != NULL) {
		fail(c, "42P03", "a portal of that name exists already");
		return;
	}
	p = console_names_add(&c->portals, portal, st->line);
	if (p == NULL) {
		fail_as(c, FAULT_TOO_MANY_STATEMENTS, "too many portals in this session");
		return;
	}
	p->binary = binary;
	pgwrite_empty(&c->out, '2');
}

static void
describe(struct console *c, struct pgcur *m)
{
	uint8_t kind = pgcur_u8(m);
	const char *name = pgcur_str(m);
	struct console_named *e;
	const char *const *columns;

	if (!pgcur_done(m) || (kind != 'S' && kind != 'P')) {
		fail_as(c, FAULT_PROTOCOL, "invalid Describe message");
		return;
	}
	e = console_names_find(kind == 'S' ? &c->statements : &c->portals, name);
	if (e == NULL) {
		fail(c, kind == 'S' ? "26000" : "34000",
		    kind == 'S' ? "there is no prepared statement of that name"
				: "there is no portal of that name");
		return;
	}
	if (kind == 'S') {
		uint32_t mark = pgwrite_begin(&c->out, 't');

		buf_put_u16(&c->out, 0);
		pgwrite_end(&c->out, mark);
	}
	columns = console_line_columns(e->line);
	if (columns != NULL)
		console_rows_description(&c->out, columns, e->binary);
	else
		pgwrite_empty(&c->out, 'n');
}

static void
execute(struct console *c, struct pgcur *m)
{
	const char *name = pgcur_str(m);
	struct console_named *p;

	(void)pgcur_u32(m);
	if (!pgcur_done(m)) {
		fail_as(c, FAULT_PROTOCOL, "invalid Execute message");
		return;
	}
	p = console_names_find(&c->portals, name);
	if (p == NULL) {
		fail(c, "34000", "there is no portal of that name");
		return;
	}
	if (p->done) {
		fail_as(c, FAULT_CONSOLE_STATE, "the portal has been executed already");
		return;
	}
	p->done = true;
	c->simple = false;
	if (console_carry_out(c, p->line, false, p->binary) == CONSOLE_REFUSED)
		c->skipping = true;
}

static void
close_name(struct console *c, struct pgcur *m)
{
	uint8_t kind = pgcur_u8(m);
	const char *name = pgcur_str(m);

	if (!pgcur_done(m) || (kind != 'S' && kind != 'P')) {
		fail_as(c, FAULT_PROTOCOL, "invalid Close message");
		return;
	}
	console_names_drop(kind == 'S' ? &c->statements : &c->portals, name);
	pgwrite_empty(&c->out, '3');
}

void
console_extended(struct console *c, char type, const uint8_t *payload, size_t n)
{
	struct pgcur m = pgcur_over(payload, n);

	if (c->skipping)
		return;
	switch (type) {
	case 'P':
		parse(c, &m);
		break;
	case 'B':
		bind(c, &m);
		break;
	case 'D':
		describe(c, &m);
		break;
	case 'E':
		execute(c, &m);
		break;
	default:
		close_name(c, &m);
		break;
	}
}
