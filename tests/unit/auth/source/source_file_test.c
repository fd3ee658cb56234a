/* goal: a secret in a file is read whole, and only if it is a file and a secret as they should be. */
#include "tests/unit/auth/source/local_fixture.h"

#define JSON(user, password) "{\"username\":\"" user "\",\"password\":\"" password "\"}"

static struct config_secret
entry(const char *path, const char *user_path)
{
	struct config_secret c = { .name = "s",
		.provider = "file",
		.path = path,
		.user_path = user_path,
		.timeout = 3000 };

	return c;
}

/* ---- what is read ---- */

/* goal: JSON gives user and password; the version id follows the value and nothing else */
static void
test_json(void **state)
{
	struct config_secret c = entry(in_folder("a.json"), NULL);
	struct secret_source *s, *other;
	struct fetched first, again, third;

	(void)state;
	put_file("a.json", JSON("u", "one"));
	s = open_source(&source_file, &c);
	other = open_source(&source_file, &c);
	first = fetch_now(s);
	assert_int_equal(first.error, SECRET_OK);
	assert_string_equal(first.user, "u");
	assert_string_equal(first.password, "one");
	assert_int_equal(strlen(first.version), 12);
	put_file("a.json", "  " JSON("u", "one") "\n");
	again = fetch_now(other);
	assert_string_equal(again.version, first.version);
	put_file("a.json", JSON("u", "two"));
	third = fetch_now(s);
	assert_string_equal(third.password, "two");
	assert_string_not_equal(third.version, first.version);
	s->ops->close(s);
	other->ops->close(other);
}

/* goal: the names of the members come from the entry */
static void
test_member_names(void **state)
{
	struct config_secret c = entry(in_folder("m.json"), NULL);
	struct secret_source *s;
	struct fetched f;

	(void)state;
	c.user_key = "who";
	c.password_key = "what";
	put_file("m.json", "{\"who\":\"me\",\"what\":\"pw\"}");
	s = open_source(&source_file, &c);
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.user, "me");
	assert_string_equal(f.password, "pw");
	s->ops->close(s);
}

/* goal: a password alone, less one newline; with format=plain also one that looks like JSON */
static void
test_plain(void **state)
{
	struct config_secret c = entry(in_folder("p"), NULL);
	struct secret_source *s = open_source(&source_file, &c);
	struct fetched f;

	(void)state;
	put_file("p", " pass word \n");
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.user, "");
	assert_string_equal(f.password, " pass word ");
	s->ops->close(s);

	c.format = "plain";
	s = open_source(&source_file, &c);
	put_file("p", "{\"a\n\xe4\n\n");
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.password, "{\"a\n\xe4\n");
	s->ops->close(s);
}

/* goal: user name and password in two files, of one directory or of two */
static void
test_two_files(void **state)
{
	struct config_secret c = entry(in_folder("pw"), in_folder("user"));
	struct secret_source *s;
	struct fetched f;

	(void)state;
	put_file("pw", "secret\n");
	put_file("user", "joe\n");
	s = open_source(&source_file, &c);
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.user, "joe");
	assert_string_equal(f.password, "secret");
	put_file("user", "jo\ne\n");
	f = fetch_now(s);
	assert_failed(&f, SECRET_BAD_VALUE, "user name");
	s->ops->close(s);

	mkdir(in_folder("d"), 0700);
	put_file("d/user", "jim");
	c.user_path = in_folder("d/user");
	s = open_source(&source_file, &c);
	f = fetch_now(s);
	assert_string_equal(f.user, "jim");
	s->ops->close(s);
}

/* ---- what is refused ---- */

static void
assert_bad(const char *format, const void *text, size_t len)
{
	struct config_secret c = entry(in_folder("bad"), NULL);
	struct secret_source *s;
	struct fetched f;

	c.format = format;
	write_file("bad", text, len);
	s = open_source(&source_file, &c);
	f = fetch_now(s);
	assert_failed(&f, SECRET_BAD_VALUE, in_folder("bad"));
	assert_null(strstr(f.message, "hush"));
	s->ops->close(s);
}

/* goal: what cannot be a secret is a bad value, and the message does not quote it */
static void
test_bad_values(void **state)
{
	char large[SECRET_TEXT_MAX + 1];

	(void)state;
	assert_bad(NULL, "{\"username\":\"u\",\"password\":\"hush", 30);
	assert_bad("json", "hush", 4);
	assert_bad(NULL, "{\"username\":\"hush\"}", 19);
	assert_bad(NULL, "hush\nhush\n", 10);
	assert_bad(NULL, "\x01\x02hush\xff", 7);
	assert_bad("plain", "hu\0sh", 5);
	assert_bad(NULL, "", 0);
	assert_bad("plain", "\n", 1);
	memset(large, 'x', sizeof(large));
	assert_bad("plain", large, sizeof(large));
	assert_bad("plain", large, SECRET_PASSWORD_MAX + 1);
}

/* goal: what is no file for a secret is refused at once, and for the right reason */
static void
test_bad_files(void **state)
{
	struct config_secret c = entry(in_folder("odd"), NULL);
	struct secret_source *s = open_source(&source_file, &c);
	struct fetched f;

	(void)state;
	f = fetch_now(s);
	assert_failed(&f, SECRET_GONE, "No such file");
	assert_int_equal(mkfifo(in_folder("odd"), 0600), 0);
	f = fetch_now(s);
	assert_failed(&f, SECRET_BAD_VALUE, "not a regular file");
	unlink(in_folder("odd"));
	assert_int_equal(symlink("odd", in_folder("odd")), 0);
	f = fetch_now(s);
	assert_failed(&f, SECRET_GONE, "odd");
	unlink(in_folder("odd"));
	put_file("odd", "pw");
	chmod(in_folder("odd"), 0602);
	f = fetch_now(s);
	assert_failed(&f, SECRET_BAD_VALUE, "mode 0602");
	chmod(in_folder("odd"), 0644);
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	s->ops->close(s);

	c.path = in_folder("nowhere/x");
	s = open_source(&source_file, &c);
	f = fetch_now(s);
	assert_failed(&f, SECRET_GONE, "nowhere");
	s->ops->close(s);
}

/* goal: an entry that cannot work is refused when it is opened */
static void
test_bad_entries(void **state)
{
	struct config_secret c = entry(NULL, NULL);

	(void)state;
	assert_refused(&source_file, &c, "path=");
	c.path = "/tmp/";
	assert_refused(&source_file, &c, "name of a file");
	c.path = "/tmp/x";
	c.user_path = "";
	assert_refused(&source_file, &c, "user_path=");
	c.user_path = NULL;
	c.format = "yaml";
	assert_refused(&source_file, &c, "yaml");
	c.format = NULL;
	c.region = "eu-west-1";
	assert_refused(&source_file, &c, "region");
}

/* goal: there is no pending and no previous version of a file */
static void
test_stages(void **state)
{
	struct config_secret c = entry(in_folder("a.json"), NULL);
	struct secret_source *s = open_source(&source_file, &c);
	struct fetched f;

	(void)state;
	f = fetch_stage(s, SECRET_PENDING);
	assert_failed(&f, SECRET_NOT_SERVED, "file");
	f = fetch_stage(s, SECRET_PREVIOUS);
	assert_failed(&f, SECRET_NOT_SERVED, "file");
	s->ops->close(s);
}

/* goal: close() while a fetch is under way ends it without a word */
static void
test_close(void **state)
{
	struct config_secret c = entry(in_folder("fresh"), NULL);
	struct secret_source *s = open_source(&source_file, &c);
	struct fetched f = { 0 };

	(void)state;
	write_file("fresh", "pw", 2);
	s->ops->fetch(s, SECRET_CURRENT, on_fetched, &f);
	s->ops->close(s);
	run_for(400);
	assert_int_equal(f.n, 0);
}

/* goal: hundreds of fetches, good and bad, leave no descriptor behind */
static void
test_no_leak(void **state)
{
	struct config_secret c = entry(in_folder("leak"), in_folder("leak.user"));
	struct secret_source *s = open_source(&source_file, &c);
	int before = count_descriptors(), i;

	(void)state;
	for (i = 0; i < 100; i++) {
		put_file("leak", i % 2 == 0 ? "pw" : "{");
		put_file("leak.user", i % 3 == 0 ? "" : "u");
		if (i % 5 == 0)
			unlink(in_folder("leak.user"));
		fetch_now(s);
	}
	assert_int_equal(count_descriptors(), before);
	s->ops->close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_member_names),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_two_files),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_bad_entries),
		cmocka_unit_test(test_stages),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_no_leak),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
