#include "proxy/config/config_doc.h"

#include <string.h>

#include "proxy/config/config_option.h"

#define COLUMNS	 100
#define EXPECTED 256

static const char sample_head[] =
    "; pgsluice.ini -- every option with its default, printed by pgsluice --print-sample.\n"
    "; See pgsluice.ini(5). A comment is a line of its own that starts with ; or #.\n"
    "; A pgbouncer.ini will do as well: [pgbouncer] is another name of [pgsluice].\n"
    "; \"%include FILE\" reads another file in its place.\n"
    "\n"
    "[databases]\n"
    "; name = host=... port=5432 dbname=... user=... password='...' pool_size=... pool_mode=...\n"
    "; Without host a Unix socket in unix_socket_dir is used, without dbname the name itself, without\n"
    "; user the client's. host may be a list: db1,db2. The name * stands for all that are not listed.\n"
    ";orders = host=db1,db2 port=5432 pool_size=20 connect_query='select 1'\n"
    "* = host=127.0.0.1 port=5432\n"
    "\n"
    "[users]\n"
    "; name = pool_mode=... pool_size=... max_user_connections=... query_timeout=...\n"
    ";reports = pool_mode=session query_timeout=600\n"
    "\n"
    "[pgsluice]\n"
    "listen_addr = 127.0.0.1\n"
    "auth_type = scram-sha-256\n"
    "auth_file = /etc/pgsluice/userlist.txt\n";

/* Words of text on lines that start with prefix. */
static void
wrap(FILE *out, const char *prefix, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (column > 0 && column + 1 + word > COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		if (column == 0) {
			fputs(prefix, out);
			column = strlen(prefix);
		} else {
			fputc(' ', out);
			column++;
		}
		fwrite(text, 1, word, out);
		column += word;
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

/* " Expects a whole number from 1 to 9.", nothing for text, of which the help has to tell. */
static void
expects(const struct config_option *o, char text[EXPECTED])
{
	char expected[EXPECTED - 16];

	text[0] = '\0';
	if (o->field.type == OPT_STR)
		return;
	config_field_expected(&o->field, expected, sizeof(expected));
	snprintf(text, EXPECTED, " Expects %s.", expected);
}

static void
sample_option(FILE *out, const struct config_option *o)
{
	char text[EXPECTED * 4], expected[EXPECTED];

	expects(o, expected);
	if (o->service == CONFIG_SERVED)
		snprintf(text, sizeof(text), "%s%s%s", o->help, expected,
		    o->reload ? "" : " Needs a restart.");
	else
		snprintf(text, sizeof(text), "%s %s: %s.", o->help,
		    o->service == CONFIG_WARN ? "Has no effect" : "Refused", o->why);
	fputc('\n', out);
	wrap(out, "; ", text);
	fprintf(out, ";%s =%s%s\n", o->field.key, o->def[0] != '\0' ? " " : "", o->def);
}

void
config_doc_sample(FILE *out)
{
	const char *group = "";
	size_t i;

	fputs(sample_head, out);
	for (i = 0; i < CONFIG_OPTIONS; i++) {
		if (strcmp(group, config_options[i].group) != 0) {
			group = config_options[i].group;
			fprintf(out, "\n;;; %s\n", group);
		}
		sample_option(out, &config_options[i]);
	}
}

/* Text for roff: no byte of it may be taken for a request or an escape. */
static void
roff(FILE *out, const char *text)
{
	bool start = true;

	for (; *text != '\0'; text++) {
		if (start && (*text == '.' || *text == '\''))
			fputs("\\&", out);
		start = false;
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
	fputc('\n', out);
}

static void
man_option(FILE *out, const struct config_option *o)
{
	char text[EXPECTED * 2], expected[EXPECTED];

	fprintf(out, ".TP\n.B %s\n", o->field.key);
	roff(out, o->help);
	if (o->service != CONFIG_SERVED) {
		snprintf(text, sizeof(text), "%s: %s.",
		    o->service == CONFIG_WARN ? "Known, but has no effect" : "Known, but refused",
		    o->why);
		roff(out, text);
		return;
	}
	expects(o, expected);
	snprintf(text, sizeof(text), "Default: %s.%s", o->def[0] != '\0' ? o->def : "unset",
	    expected);
	roff(out, text);
	if (!o->reload)
		roff(out, "Needs a restart.");
}

void
config_doc_man(FILE *out)
{
	const char *group = "";
	size_t i;

	fputs(".\\\" made by pgsluice --print-man-options from proxy/config/options.def\n", out);
	for (i = 0; i < CONFIG_OPTIONS; i++) {
		if (strcmp(group, config_options[i].group) != 0) {
			group = config_options[i].group;
			fprintf(out, ".SS %s\n", group);
		}
		man_option(out, &config_options[i]);
	}
}

void
config_show(const struct config *cfg,
    void (*row)(void *arg, const char *key, const char *value, const char *def, bool changeable),
    void *arg)
{
	char buf[CONFIG_FIELD_TEXT];
	size_t i;

	for (i = 0; i < CONFIG_OPTIONS; i++) {
		const struct config_option *o = &config_options[i];

		const char *value = config_field_text(&o->field, cfg, buf);

		row(arg, o->field.key, o->field.secret && *value != '\0' ? "***" : value, o->def,
		    o->reload && o->service == CONFIG_SERVED);
	}
}
