/* goal: a secret in files is of one moment and its changes are noticed, however it is written: in
 * place, by rename, or by exchanging Kubernetes' ..data. */
#include "tests/unit/auth/source/local_fixture.h"

#include "auth/source/file_watch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

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

/* ---- changes ---- */

static int changes;

static void
on_changed(void *arg)
{
	assert_ptr_equal(arg, &changes);
	changes++;
	stop();
}

static void
watch_source(struct secret_source *s)
{
	changes = 0;
	run_for(0);
	s->ops->watch(s, on_changed, &changes);
}

/* At least one change within this time, which is then over. */
static bool
is_noticed(uint64_t within_ms)
{
	changes = 0;
	run_for(within_ms);
	return changes > 0;
}

/* ---- how it changes ---- */

/* As kubelet's atomic writer does it; old = NULL the first time, "" to leave the old ones. */
static void
write_volume(const char *volume, const char *stamp, const char *old, const char *user,
    const char *password)
{
	char name[256], link[256], path[256];

	snprintf(name, sizeof(name), "%s/%s", volume, stamp);
	mkdir(in_folder(volume), 0755);
	assert_int_equal(mkdir(in_folder(name), 0755), 0);
	snprintf(name, sizeof(name), "%s/%s/username", volume, stamp);
	put_file(name, user);
	snprintf(name, sizeof(name), "%s/%s/password", volume, stamp);
	put_file(name, password);
	snprintf(link, sizeof(link), "%s/..data_tmp", volume);
	assert_int_equal(symlink(stamp, in_folder(link)), 0);
	snprintf(name, sizeof(name), "%s/..data", volume);
	assert_int_equal(rename(in_folder(link), in_folder(name)), 0);
	if (old == NULL) {
		snprintf(name, sizeof(name), "%s/username", volume);
		assert_int_equal(symlink("..data/username", in_folder(name)), 0);
		snprintf(name, sizeof(name), "%s/password", volume);
		assert_int_equal(symlink("..data/password", in_folder(name)), 0);
		return;
	}
	if (old[0] == '\0')
		return;
	snprintf(path, sizeof(path), "%s/%s/username", volume, old);
	unlink(in_folder(path));
	snprintf(path, sizeof(path), "%s/%s/password", volume, old);
	unlink(in_folder(path));
	snprintf(path, sizeof(path), "%s/%s", volume, old);
	assert_int_equal(rmdir(in_folder(path)), 0);
}

/* goal: each update of a Kubernetes volume is noticed well before the next poll, once */
static void
test_kubernetes(void **state)
{
	struct config_secret c;
	struct secret_source *s;
	struct fetched f;

	(void)state;
	write_volume("k8s", "..2026_03_14_01_59_26.1", NULL, "u1", "p1");
	c = entry(in_folder("k8s/password"), in_folder("k8s/username"));
	s = open_source(&source_file, &c);
	watch_source(s);
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.user, "u1");
	assert_string_equal(f.password, "p1");
	assert_false(is_noticed(300));
	write_volume("k8s", "..2026_03_14_01_59_27.2", "..2026_03_14_01_59_26.1", "u2", "p2");
	assert_true(is_noticed(2000));
	f = fetch_now(s);
	assert_string_equal(f.user, "u2");
	assert_string_equal(f.password, "p2");
	assert_false(is_noticed(500));
	write_volume("k8s", "..2026_03_14_01_59_28.3", "..2026_03_14_01_59_27.2", "u3", "p3");
	assert_true(is_noticed(2000));
	f = fetch_now(s);
	assert_string_equal(f.user, "u3");
	s->ops->close(s);
}

static atomic_bool swapping;

/* Old files stay for three updates more: with them gone, nobody could mix them with new ones. */
static void *
swap_on(void *arg)
{
	char stamp[64], old[64] = "", user[32], password[32];
	int i;

	(void)arg;
	for (i = 1; swapping; i++) {
		snprintf(stamp, sizeof(stamp), "..%d", i);
		snprintf(user, sizeof(user), "u%d", i);
		snprintf(password, sizeof(password), "p%d", i);
		if (i > 3)
			snprintf(old, sizeof(old), "..%d", i - 3);
		write_volume("race", stamp, old, user, password);
	}
	return NULL;
}

/* goal: user and password are always of the same update, however fast updates follow */
static void
test_pair_is_of_one_moment(void **state)
{
	struct config_secret c;
	struct secret_source *s;
	pthread_t t;
	int i, good = 0;

	(void)state;
	write_volume("race", "..0", NULL, "u0", "p0");
	c = entry(in_folder("race/password"), in_folder("race/username"));
	c.timeout = 1;
	s = open_source(&source_file, &c);
	swapping = true;
	assert_int_equal(pthread_create(&t, NULL, swap_on, NULL), 0);
	for (i = 0; i < 150; i++) {
		struct fetched f = fetch_now(s);

		if (f.error != SECRET_OK)
			continue;
		good++;
		assert_string_equal(f.user + 1, f.password + 1);
	}
	swapping = false;
	pthread_join(t, NULL);
	assert_true(good >= 10);
	s->ops->close(s);
}

/* goal: a file that is replaced by rename is noticed, and so is one that comes and goes */
static void
test_rename(void **state)
{
	struct config_secret c = entry(in_folder("r"), NULL);
	struct secret_source *s = open_source(&source_file, &c);
	struct fetched f;

	(void)state;
	watch_source(s);
	put_file("r", "one");
	assert_true(is_noticed(1000));
	write_file("r.new", "two", 3);
	rename(in_folder("r.new"), in_folder("r"));
	assert_true(is_noticed(1000));
	f = fetch_now(s);
	assert_string_equal(f.password, "two");
	write_file("neighbour", "x", 1);
	assert_false(is_noticed(500));
	unlink(in_folder("r"));
	assert_true(is_noticed(1000));
	f = fetch_now(s);
	assert_failed(&f, SECRET_GONE, "No such file");
	s->ops->close(s);
}

static const char *const parts[] = { "{\"username\":\"u\",", "\"pass", "word\":\"who", "le\"",
	"}" };

static void *
write_slowly(void *arg)
{
	int fd = open(arg, O_WRONLY | O_TRUNC | O_CLOEXEC);
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (write(fd, parts[i], strlen(parts[i])) == -1)
			break;
		usleep(120 * 1000);
	}
	close(fd);
	return NULL;
}

/* goal: a file that is being written in place is told and read when it is whole, not before */
static void
test_in_place(void **state)
{
	struct config_secret c = entry(in_folder("slow"), NULL);
	struct secret_source *s = open_source(&source_file, &c);
	char *path = strdup(in_folder("slow"));
	struct fetched f;
	pthread_t t;

	(void)state;
	put_file("slow", JSON("u", "before"));
	watch_source(s);
	f = fetch_now(s);
	assert_string_equal(f.password, "before");
	pthread_create(&t, NULL, write_slowly, path);
	run_for(200);
	assert_int_equal(changes, 0);
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	assert_string_equal(f.password, "whole");
	pthread_join(t, NULL);

	pthread_create(&t, NULL, write_slowly, path);
	assert_true(is_noticed(3000));
	f = fetch_now(s);
	assert_string_equal(f.password, "whole");
	pthread_join(t, NULL);
	s->ops->close(s);
	free(path);
}

/* goal: a fetch of a file that never rests ends all the same */
static void
test_never_rests(void **state)
{
	struct config_secret c = entry(in_folder("slow"), NULL);
	char *path = strdup(in_folder("slow"));
	struct secret_source *s;
	struct fetched f;
	pthread_t t;

	(void)state;
	c.timeout = 300;
	s = open_source(&source_file, &c);
	pthread_create(&t, NULL, write_slowly, path);
	run_for(20);
	f = fetch_now(s);
	assert_failed(&f, SECRET_TRANSIENT, "does not stop changing");
	pthread_join(t, NULL);
	s->ops->close(s);
	free(path);
}

/* goal: the poll finds what inotify does not see: the target of a link into another folder, and a
 * folder that was not there */
static void
test_poll(void **state)
{
	struct config_secret far = entry(in_folder("far"), NULL),
			     later = entry(in_folder("later/x"), NULL);
	struct secret_source *a, *b;

	(void)state;
	mkdir(in_folder("else"), 0700);
	put_file("else/x", "one");
	assert_int_equal(symlink("else/x", in_folder("far")), 0);
	a = open_source(&source_file, &far);
	b = open_source(&source_file, &later);
	watch_source(a);
	watch_source(b);
	mkdir(in_folder("later"), 0700);
	put_file("else/x", "two");
	put_file("later/x", "new");
	assert_true(is_noticed(11000));
	if (changes < 2)
		run_for(500);
	assert_int_equal(changes, 2);
	put_file("later/x", "newer"); /* by inotify from now on */
	assert_true(is_noticed(1000));
	a->ops->close(a);
	b->ops->close(b);
}

/* goal: any number of watches takes one descriptor, and none is left when the last one closes */
static void
test_descriptors(void **state)
{
	const char *const paths[] = { in_folder("a.json"), in_folder("k8s/username") };
	struct file_watch *w[300];
	int before = count_descriptors();
	size_t i;

	(void)state;
	for (i = 0; i < 300; i++)
		w[i] = file_watch_open(&loop, paths, 2, on_changed, &changes);
	assert_int_equal(count_descriptors(), before + 1);
	put_file("a.json", JSON("u", "three"));
	changes = 0;
	for (i = 0; i < 1000 && changes < 300; i++)
		run_for(20);
	assert_int_equal(changes, 300);
	for (i = 0; i < 299; i++)
		file_watch_close(w[i]);
	put_file("a.json", JSON("u", "four"));
	assert_true(is_noticed(1000)); /* the directory is still watched for the last one */
	file_watch_close(w[299]);
	assert_int_equal(count_descriptors(), before);
}

/* goal: without descriptors to spare a fetch fails for now, and a watch still works by looking */
static void
test_no_descriptors(void **state)
{
	struct config_secret c = entry(in_folder("a.json"), NULL);
	struct secret_source *s = open_source(&source_file, &c);
	struct rlimit was, none;
	struct fetched f;

	(void)state;
	run_for(0);
	getrlimit(RLIMIT_NOFILE, &was);
	none = was;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	f = fetch_now(s);
	watch_source(s);
	setrlimit(RLIMIT_NOFILE, &was);
	assert_failed(&f, SECRET_TRANSIENT, "Too many open files");
	f = fetch_now(s);
	assert_int_equal(f.error, SECRET_OK);
	s->ops->close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kubernetes),
		cmocka_unit_test(test_pair_is_of_one_moment),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_never_rests),
		cmocka_unit_test(test_poll),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_no_descriptors),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
