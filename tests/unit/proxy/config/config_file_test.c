#include "tests/unit/proxy/config/config_fixture.h"

#include <sys/stat.h>

#include "proxy/config/config_file.h"

static struct said said;
static char seen[8192]; /* "[section]\n" and "LINE section.key=value\n" */
static char *last_value;

static void
on_section(void *arg, struct config_place at, const char *section)
{
	size_t n = strlen(seen);

	(void)arg;
	(void)at;
	snprintf(seen + n, sizeof(seen) - n, "[%s]\n", section);
}

static void
on_entry(void *arg, struct config_place at, const char *section, const char *key, const char *value)
{
	size_t n = strlen(seen);

	(void)arg;
	snprintf(seen + n, sizeof(seen) - n, "%d %s.%s=%s\n", at.line, section, key, value);
	free(last_value);
	last_value = strdup(value);
}

static void
read_bytes(const char *text, size_t len)
{
	const struct config_file_sink sink = { NULL, on_section, on_entry };
	struct config_report report = { .say = fixture_say, .arg = &said };
	char path[64];

	memset(&said, 0, sizeof(said));
	seen[0] = '\0';
	fixture_file(path, text, len);
	config_file_read(path, &sink, &report);
	unlink(path);
}

static void
expect(const char *text, const char *result)
{
	read_bytes(text, strlen(text));
	assert_string_equal(said.text, "");
	assert_string_equal(seen, result);
}

static void
expect_fault(const char *text, const char *result, const char *fault)
{
	read_bytes(text, strlen(text));
	assert_string_equal(seen, result);
	assert_string_equal(said.text, fault);
}

/* Goal: the plain cases: sections, entries, comments, blanks anywhere, no newline at the end. */
static void
test_plain(void **state)
{
	(void)state;
	expect("", "");
	expect("\n\n \t\n", "");
	expect("[a]\nx=1\n\n  y  =  2  \nz=", "[a]\n2 a.x=1\n4 a.y=2\n5 a.z=\n");
	expect("; c\n# c\n  ; c\n[a]\n;x=1\nx=2", "[a]\n6 a.x=2\n");
	expect("x=1\n[ a ]\nx=2\n[b]\nx=3\n[a]\nx=4\n",
	    "1 .x=1\n[a]\n3 a.x=2\n[b]\n5 b.x=3\n[a]\n7 a.x=4\n");
	expect("[a] x=1\n[b] ; comment\n[c][d]\n", "[a]\n1 a.x=1\n[b]\n[c]\n[d]\n");
}

/* Goal: nothing that inih gives a meaning has one here: inline comments, ":", continuation lines,
 * "[". */
static void
test_shield(void **state)
{
	(void)state;
	expect("[a]\nx = 1 ; not a comment\n", "[a]\n2 a.x=1 ; not a comment\n");
	expect("[a]\nx = ; # y\n", "[a]\n2 a.x=; # y\n");
	expect("[a]\nx=y:z=[w] %20 'q'\n", "[a]\n2 a.x=y:z=[w] %20 'q'\n");
	expect("[a]\nx=1\n  y=2\n\tz=3\n", "[a]\n2 a.x=1\n3 a.y=2\n4 a.z=3\n");
	expect("[a]\nx=\n  y=2\n", "[a]\n2 a.x=\n3 a.y=2\n");
	expect("[a]\nx = : y\n", "[a]\n2 a.x=: y\n");
	expect("[a]\nx=caf\xc3\xa9 \x01\n", "[a]\n2 a.x=caf\xc3\xa9 \x01\n");
}

/* Goal: keys hold PgBouncer's characters, or anything in quotes. */
static void
test_keys(void **state)
{
	(void)state;
	expect("[a]\n*=1\na.b-c_D9*=2\n", "[a]\n2 a.*=1\n3 a.a.b-c_D9*=2\n");
	expect("[a]\n'my db'=1\n'it''s;=[x]: #' = 2\n", "[a]\n2 a.my db=1\n3 a.it's;=[x]: #=2\n");
	expect("[a]\n'%include x'=1\n'd\xc3\xa9j\xc3\xa0'=2",
	    "[a]\n2 a.%include x=1\n3 a.d\xc3\xa9j\xc3\xa0=2\n");
}

/* Goal: a wrong line is a fault with its number, what follows is read, and no secret of it is
 * shown. */
static void
test_faults(void **state)
{
	static const char tail[] =
	    ", expected key = value, [section], %include FILE or a comment (a key with other characters "
	    "than letters, digits and _ . * - needs 'quotes')\n";
	static const char *const wrong[][2] = {
		{ "word", "word" },
		{ "x : 1", "x" },
		{ "my db = host=a password=hush", "my" },
		{ "=1", "" },
		{ "''=1", "''" },
		{ "'open=1", "'open" },
		{ "@home=1", "@home" },
		{ "%included x", "%included" },
		{ "%include", "%include" },
		{ "\xc3\xa9=1", "\\xc3\\xa9" },
	};
	char text[128], fault[512];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "[a]\n%s\ny=2\n", wrong[i][0]);
		snprintf(fault, sizeof(fault), "2: error: found a line that starts with \"%s\"%s",
		    wrong[i][1], tail);
		expect_fault(text, "[a]\n3 a.y=2\n", fault);
	}
	expect_fault("[a\nx=1\n", "2 .x=1\n", "1: error: expected ] after the name of a section\n");
}

/* Goal: files of Windows and of editors that write a byte order mark are read, NUL bytes are
 * refused. */
static void
test_bytes(void **state)
{
	(void)state;
	expect("\xef\xbb\xbf[a]\r\nx=1\r\n\r\ny='2' \r\n", "[a]\n2 a.x=1\n4 a.y='2'\n");
	read_bytes("[a]\nx=1\0y\nz=2\n", 14);
	assert_string_equal(seen, "[a]\n3 a.z=2\n");
	assert_string_equal(said.text, "2: error: found a NUL byte, expected text\n");
}

/* Goal: values of every length arrive whole, also those that end at a border of inih's lines. */
static void
test_lengths(void **state)
{
	static const char mix[] = "ab ;:=#[]%'\\\xc3\xa9";
	size_t len, i, sizes[] = { 65536, 65537, 1000003 };
	char *text, *value;

	(void)state;
	for (len = 0; len < 700; len++) {
		text = malloc(len + 16);
		memcpy(text, "[a]\nkey=", 8);
		value = text + 8;
		for (i = 0; i < len; i++)
			value[i] = mix[(i * 7 + len) % (sizeof(mix) - 1)];
		if (len > 0)
			value[0] = value[len - 1] = 'x';
		value[len] = '\0';
		read_bytes(text, len + 8);
		assert_int_equal(said.errors, 0);
		assert_string_equal(last_value, value);
		free(text);
	}
	for (i = 0; i < 3; i++) {
		len = sizes[i];
		text = malloc(len + 16);
		memcpy(text, "[a]\nkey=", 8);
		value = text + 8;
		memset(value, i == 0 ? ';' : 'v', len);
		value[len] = '\0';
		read_bytes(text, len + 8);
		assert_int_equal(said.errors, 0);
		assert_string_equal(last_value, value);
		free(text);
	}
}

/* Goal: long keys are whole or refused, never cut: 127 letters and 63 bytes of any kind fit. */
static void
test_long_keys(void **state)
{
	char text[700], want[700], key[400];

	(void)state;
	memset(key, 'k', 127);
	key[127] = '\0';
	snprintf(text, sizeof(text), "[a]\n%s=12\n", key);
	snprintf(want, sizeof(want), "[a]\n2 a.%s=12\n", key);
	expect(text, want);
	memset(key, ';', 63);
	key[63] = '\0';
	snprintf(text, sizeof(text), "[a]\n'%s'=value of it\n", key);
	snprintf(want, sizeof(want), "[a]\n2 a.%s=value of it\n", key);
	expect(text, want);
	memset(key, ' ', 100);
	key[100] = '\0';
	snprintf(text, sizeof(text), "[a]\n'%s'=1\ny=2\n", key);
	expect_fault(text, "[a]\n3 a.y=2\n", "2: error: found a key that is too long\n");
	memset(key, '[', 300);
	key[300] = '\0';
	snprintf(text, sizeof(text), "[%s]\nx=1\n", key + 1);
	read_bytes(text, strlen(text));
	assert_memory_equal(seen, "[[[[[[", 6);
	assert_non_null(strstr(seen, "]\n2 [[[[[[[[[[[[[[[[.x=1\n"));
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* Goal: %include works from the working directory, keeps the section, nests ten deep and no
 * deeper. */
static void
test_include(void **state)
{
	char cwd[4096], dir[] = "/tmp/pgsluice-config-test.XXXXXX", name[32], text[64];
	int i;

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	write_file("one.ini", "x=1\n[b]\ny=2");
	expect("[a]\n%include one.ini\nz=3\n", "[a]\n1 a.x=1\n[b]\n3 b.y=2\n3 b.z=3\n");
	expect("[a]\n  %include \t one.ini  \r\n", "[a]\n1 a.x=1\n[b]\n3 b.y=2\n");
	expect_fault("[a]\n%include none.ini\nz=3\n", "[a]\n3 a.z=3\n",
	    "2: error: cannot read \"none.ini\": No such file or directory\n");
	expect_fault("%include .\n", "", "1: error: cannot read \".\": it is a directory\n");
	expect_fault("%include /dev/null\n", "",
	    "1: error: cannot read \"/dev/null\": it is not a regular file\n");
	assert_int_equal(mkfifo("pipe", 0600), 0);
	expect_fault("%include pipe\n", "",
	    "1: error: cannot read \"pipe\": it is not a regular file\n");
	write_file("self.ini", "[a]\n%include ./self.ini\nx=1\n");
	expect_fault("%include self.ini\n", "[a]\n3 a.x=1\n",
	    "2: error: %include \"./self.ini\": the file includes itself\n");
	for (i = 1; i <= 11; i++) {
		snprintf(name, sizeof(name), "%d.ini", i);
		snprintf(text, sizeof(text), "%%include %d.ini\nk%d=\n", i + 1, i);
		write_file(name, i == 11 ? "k11=\n" : text);
	}
	expect("%include 2.ini\n",
	    "1 .k11=\n2 .k10=\n2 .k9=\n2 .k8=\n2 .k7=\n2 .k6=\n2 .k5=\n2 .k4=\n2 .k3=\n2 .k2=\n");
	read_bytes("%include 1.ini\n", 15);
	assert_string_equal(said.text,
	    "1: error: found %include inside 10 includes, expected at most 10\n");
	for (i = 1; i <= 11; i++) {
		snprintf(name, sizeof(name), "%d.ini", i);
		unlink(name);
	}
	unlink("one.ini");
	unlink("self.ini");
	unlink("pipe");
	assert_int_equal(chdir(cwd), 0);
	rmdir(dir);
}

/* Goal: a file that cannot be read, or without end, is one fault. */
static void
test_unreadable(void **state)
{
	const struct config_file_sink sink = { NULL, on_section, on_entry };
	struct config_report report = { .say = fixture_say, .arg = &said };

	(void)state;
	memset(&said, 0, sizeof(said));
	assert_int_equal(config_file_read("/nonexistent/x", &sink, &report), -1);
	assert_int_equal(config_file_read("/dev/zero", &sink, &report), -1);
	assert_string_equal(said.text,
	    "0: error: cannot read \"/nonexistent/x\": No such file or directory\n"
	    "0: error: cannot read \"/dev/zero\": it is not a regular file\n");
}

/* Goal: a file is bounded at 16 MB. */
static void
test_too_large(void **state)
{
	size_t len = CONFIG_FILE_MAX + 1;
	char *text = malloc(len);

	(void)state;
	memset(text, '\n', len);
	read_bytes(text, len);
	assert_non_null(strstr(said.text, "it is larger than 16 MB"));
	read_bytes(text, len - 1);
	assert_string_equal(said.text, "");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_shield),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_long_keys),
		cmocka_unit_test(test_include),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_too_large),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	free(last_value);
	return rc;
}
