#include "proxy/base/secret.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* goal: comparison says equal for equal bytes only, whatever the lengths are */
static void
test_equal(void **state)
{
	(void)state;
	assert_true(secret_equal("abc", "abc", 3));
	assert_false(secret_equal("abc", "abd", 3));
	assert_true(secret_equal_text("", 0, "", 0));
	assert_true(secret_equal_text("pencil", 6, "pencil", 6));
	assert_false(secret_equal_text("pencil", 6, "pencils", 7));
	assert_false(secret_equal_text("pencils", 7, "pencil", 6));
	assert_false(secret_equal_text("pencil\0", 7, "pencil", 6));
	assert_false(secret_equal_text("", 0, "pencil", 6));
	assert_false(secret_equal_text("p", 1, "", 0));
}

/* goal: a copy is terminated, and freeing nothing is harmless */
static void
test_dup(void **state)
{
	char *copy = secret_dup("secret", 3);

	(void)state;
	assert_string_equal(copy, "sec");
	secret_free(copy, 3);
	secret_free(NULL, 100);
	copy = secret_dup(NULL, 0);
	assert_string_equal(copy, "");
	secret_free(copy, 0);
}

/* goal: the vectors of RFC 4648 both ways, and nothing loose is decoded */
static void
test_base64(void **state)
{
	static const struct {
		const char *plain, *coded;
	} rows[] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
	static const char *const wrong[] = { "Z", "Zg",
		"Zg=", "Zg===", "Zh==", "Zm9=", "Z===", "====", "=g==", "Zg==Zg==", "Zm 9",
		"Zm9v\n", "Zm9-", "Z=9v", "\xc3\xa4\xc3\xa4" };
	char text[32], back[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t plain_len = strlen(rows[i].plain), len = strlen(rows[i].coded);

		assert_int_equal(secret_base64_encode(text, sizeof(text), rows[i].plain, plain_len),
		    len);
		assert_string_equal(text, rows[i].coded);
		assert_int_equal(secret_base64_decode(back, plain_len, text, len), plain_len);
		assert_memory_equal(back, rows[i].plain, plain_len);
		if (plain_len > 0)
			assert_int_equal(secret_base64_decode(back, plain_len - 1, text, len), -1);
		assert_int_equal(secret_base64_encode(text, len, rows[i].plain, plain_len), 0);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(
		    secret_base64_decode(back, sizeof(back), wrong[i], strlen(wrong[i])), -1);
}

/* goal: every byte value survives the way there and back, at every length */
static void
test_base64_round_trip(void **state)
{
	uint8_t in[300], out[300];
	char text[512];

	(void)state;
	for (size_t len = 0; len < sizeof(in); len++) {
		size_t n;

		assert_int_equal(secret_random(in, sizeof(in)), 0);
		n = secret_base64_encode(text, sizeof(text), in, len);
		assert_int_equal(n, SECRET_BASE64_LEN(len));
		assert_int_equal(secret_base64_decode(out, sizeof(out), text, n), len);
		assert_memory_equal(in, out, len);
	}
}

static void *
draw(void *out)
{
	assert_int_equal(secret_random(out, 16), 0);
	return NULL;
}

/* goal: draws differ, within a thread, between threads, and between a process and its child */
static void
test_random(void **state)
{
	uint8_t seen[64][16], other[16], big[4096];
	pthread_t t;
	int fds[2];
	pid_t pid;

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		draw(seen[i]);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(seen[i], seen[j], 16);
	}
	assert_int_equal(pthread_create(&t, NULL, draw, other), 0);
	pthread_join(t, NULL);
	assert_int_equal(secret_random(big, sizeof(big)), 0);
	assert_int_equal(pipe(fds), 0);
	draw(seen[0]);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (secret_random(other, 16) == -1 || write(fds[1], other, 16) != 16)
			_exit(1);
		_exit(0);
	}
	draw(seen[0]);
	assert_int_equal(read(fds[0], other, 16), 16);
	assert_memory_not_equal(seen[0], other, 16);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_dup),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_base64_round_trip),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
