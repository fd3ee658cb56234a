#include "tests/unit/proxy/config/config_fixture.h"

#include "proxy/config/config_doc.h"
#include "proxy/config/config_option.h"

static char *
print(void (*doc)(FILE *))
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	doc(f);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* Goal: the sample loads as it is without a warning, and names every option. */
static void
test_sample(void **state)
{
	char *text = print(config_doc_sample), *line, wanted[80];
	static struct said said;
	struct config *cfg = fixture_load(text, &said);
	size_t i;

	(void)state;
	assert_string_equal(said.text, "");
	for (i = 0; i < CONFIG_OPTIONS; i++) {
		snprintf(wanted, sizeof(wanted), "\n;%s =", config_options[i].field.key);
		assert_non_null(strstr(text, wanted));
	}
	for (line = strchr(text, '\n'); line != NULL; line = strchr(line + 1, '\n'))
		assert_false(line[-1] == ' ' || line[-1] == '\t');
	config_unref(cfg);
	free(text);
}

/* Goal: with every option uncommented the sample still loads and changes no default. */
static void
test_sample_uncommented(void **state)
{
	char *text = print(config_doc_sample), *s, *options;
	struct config *cfg;
	size_t i;

	(void)state;
	assert_non_null(options = strstr(text, "\n;;; "));
	for (s = options; (s = strstr(s, "\n;")) != NULL; s += 2)
		if (s[2] >= 'a' && s[2] <= 'z')
			s[1] = ' ';
	/* These two are needed, and the sample sets them above. */
	memcpy(strstr(options, "\n auth_file ="), "\n;", 2);
	memcpy(strstr(options, "\n auth_type ="), "\n;", 2);
	cfg = fixture_good(text);
	for (i = 0; i < CONFIG_OPTIONS; i++)
		if (i != CONFIG_OPTION_auth_file && i != CONFIG_OPTION_auth_type &&
		    i != CONFIG_OPTION_conffile)
			assert_true(config_option_is_default(&config_options[i], cfg));
	config_unref(cfg);
	free(text);
}

/* Goal: the man page names every option, and no line of it is an unknown roff request. */
static void
test_man(void **state)
{
	char *text = print(config_doc_man), *line, wanted[80];
	size_t i;

	(void)state;
	for (i = 0; i < CONFIG_OPTIONS; i++) {
		snprintf(wanted, sizeof(wanted), "\n.TP\n.B %s\n", config_options[i].field.key);
		assert_non_null(strstr(text, wanted));
	}
	for (line = text; line != NULL && *line != '\0';
	     line = strchr(line, '\n'), line += line != NULL) {
		assert_int_not_equal(*line, '\'');
		if (*line == '.')
			assert_true(memcmp(line, ".TP", 3) == 0 || memcmp(line, ".B ", 3) == 0 ||
				    memcmp(line, ".SS", 3) == 0 || memcmp(line, ".\\\"", 3) == 0);
	}
	free(text);
}

static char *
slurp(const char *path)
{
	char *text = calloc(1, 1 << 18);
	FILE *f = fopen(path, "r");

	if (f == NULL) {
		free(text);
		return NULL;
	}
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 18) - 1, f) > 0);
	fclose(f);
	return text;
}

/* Goal: the files in the repository are the ones that the table makes (run from its root). */
static void
test_files_are_current(void **state)
{
	char *sample = print(config_doc_sample), *man = print(config_doc_man);
	char *file = slurp("etc/pgsluice.ini"), *page = slurp("packaging/pgsluice.ini.5");

	(void)state;
	if (file != NULL)
		assert_string_equal(file, sample);
	if (page != NULL)
		assert_non_null(strstr(page, man));
	free(sample);
	free(man);
	free(file);
	free(page);
}

static unsigned rows, changeable_rows;

static void
on_row(void *arg, const char *key, const char *value, const char *def, bool changeable)
{
	(void)arg;
	assert_non_null(key);
	assert_non_null(value);
	assert_non_null(def);
	rows++;
	changeable_rows += changeable;
	if (strcmp(key, "unix_socket_mode") == 0)
		assert_string_equal(value, "0700");
	if (strcmp(key, "server_check_query") == 0)
		assert_string_equal(value, "<empty>");
	if (strcmp(key, "query_timeout") == 0)
		assert_string_equal(value, "2.5");
	if (strcmp(key, "listen_port") == 0)
		assert_false(changeable);
}

/* Goal: SHOW CONFIG has one row for every option, with values as they are written. */
static void
test_show(void **state)
{
	struct config *cfg = fixture_good(
	    FIXTURE_HEAD "unix_socket_mode=0700\nquery_timeout=2.50\n");

	(void)state;
	config_show(cfg, on_row, NULL);
	assert_int_equal(rows, CONFIG_OPTIONS);
	assert_true(changeable_rows > 40 && changeable_rows < rows);
	config_unref(cfg);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_sample_uncommented),
		cmocka_unit_test(test_man),
		cmocka_unit_test(test_files_are_current),
		cmocka_unit_test(test_show),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
