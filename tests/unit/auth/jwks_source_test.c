#include "auth/jwks_source.h"
#include "auth/https_call.h"
#include "auth/jwks.h"
#include "proxy/base/worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY(kid)                                                                                   \
	"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"" kid                                      \
	"\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define ONE "{\"keys\":[" KEY("a") "]}"
#define TWO "{\"keys\":[" KEY("a") "," KEY("b") "]}"

/* ---- a fake of auth/https_call.c: the test answers ---- */

struct https_call {
	https_done *done;
	void *arg;
	bool open;
};

static struct https_call call;
static int calls_made, calls_cancelled;
static char last_url[256], last_accept[256];
static int64_t retry_after_ms;

struct https_call *
https_call(struct https_calls *calls, const struct https_request *r, https_done *done, void *arg)
{
	(void)calls;
	assert_false(call.open);
	call = (struct https_call){ done, arg, true };
	calls_made++;
	snprintf(last_url, sizeof(last_url), "%s", r->url);
	snprintf(last_accept, sizeof(last_accept), "%s", r->headers[0]);
	return &call;
}

void
https_cancel(struct https_call *c)
{
	c->open = false;
	calls_cancelled++;
}

int64_t
https_retry_after_ms(const struct https_response *r)
{
	(void)r;
	return retry_after_ms;
}

static void
respond(int status, const char *body, const char *error)
{
	struct https_response r = { .status = status, .error = error };

	r.body = body;
	r.len = strlen(body);
	assert_true(call.open);
	call.open = false;
	call.done(call.arg, &r);
}

/* ---- the main thread ---- */

static struct worker w;
static char path[] = "/tmp/jwks_source_test.XXXXXX";

static void
on_pause(struct deadline *d)
{
	(void)d;
	loop_stop(&w.loop);
}

/* Lets the loop run for a while. */
static void
pause_ms(uint64_t ms)
{
	struct deadline d;

	deadline_init(&d, on_pause);
	loop_deadline(&w.loop, &d, loop_now_ms(&w.loop) + ms);
	loop_run(&w.loop);
	loop_deadline_remove(&w.loop, &d);
}

static void
write_text(const char *text)
{
	static char other[sizeof(path) + 4];
	FILE *f;

	/* as careful writers do: a new file, renamed */
	snprintf(other, sizeof(other), "%s.new", path);
	f = fopen(other, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(other, path), 0);
}

static int
set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	close(fd);
	return worker_init(&w, "main", -1);
}

static int
tear_down(void **state)
{
	(void)state;
	worker_drain(&w);
	worker_destroy(&w);
	unlink(path);
	return 0;
}

static size_t
keys_of(struct jwks_source *s)
{
	struct jwks *keys = jwks_source_get(s);
	size_t n = keys != NULL ? jwks_count(keys) : 0;

	jwks_unref(keys);
	return n;
}

static struct jwks_source_status
status_of(struct jwks_source *s)
{
	struct jwks_source_status st;

	jwks_source_status(s, &st);
	return st;
}

/* goal: a file is read at once, again when it has changed, and the last good set survives a bad file
 * and one that is gone */
static void
test_file(void **state)
{
	struct jwks_source_settings set = { .name = "jwks", .from = path, .file_ms = 20 };
	struct jwks_source *s;
	uint64_t looks;

	(void)state;
	write_text(ONE);
	s = jwks_source_open(&w, NULL, &set);
	assert_int_equal(keys_of(s), 1);
	assert_string_equal(status_of(s).error, "");
	assert_true(status_of(s).loaded_unix_ms > 0);
	looks = status_of(s).looks;
	pause_ms(100);
	assert_int_equal(status_of(s).looks, looks); /* unchanged: not read */
	write_text(TWO);
	pause_ms(100);
	assert_int_equal(keys_of(s), 2);
	write_text("{\"keys\":[");
	pause_ms(100);
	assert_int_equal(keys_of(s), 2);
	assert_int_not_equal(status_of(s).error[0], '\0');
	unlink(path);
	pause_ms(100);
	assert_int_equal(keys_of(s), 2);
	assert_non_null(strstr(status_of(s).error, "No such file"));
	write_text(ONE);
	jwks_source_refresh(s);
	assert_int_equal(keys_of(s), 1);
	assert_string_equal(status_of(s).error, "");
	jwks_source_close(s);
	jwks_source_close(NULL);
}

/* goal: what is no regular file, or too long, is refused and does not block */
static void
test_odd_files(void **state)
{
	struct jwks_source_settings set = { .name = "jwks", .from = "/dev/zero" };
	struct jwks_source *s = jwks_source_open(&w, NULL, &set);

	(void)state;
	assert_int_equal(keys_of(s), 0);
	assert_int_not_equal(status_of(s).error[0], '\0');
	jwks_source_close(s);
	set.from = path;
	write_text(ONE);
	assert_int_equal(truncate(path, 2 * JWKS_TEXT_MAX), 0);
	s = jwks_source_open(&w, NULL, &set);
	assert_non_null(strstr(status_of(s).error, "too large"));
	jwks_source_close(s);
}

/* goal: a URL is fetched at once and again and again; failures keep the last good set, and the next
 * attempts back off by themselves or as the server says */
static void
test_url(void **state)
{
	struct jwks_source_settings set = { .name = "jwks",
		.from = "https://x/jwks",
		.refresh_ms = 100 };
	struct jwks_source *s;

	(void)state;
	calls_made = calls_cancelled = 0;
	s = jwks_source_open(&w, NULL, &set);
	assert_int_equal(calls_made, 1);
	assert_string_equal(last_url, "https://x/jwks");
	assert_non_null(strstr(last_accept, "json"));
	assert_null(jwks_source_get(s));
	respond(200, ONE, NULL);
	assert_int_equal(keys_of(s), 1);
	pause_ms(300);
	assert_int_equal(calls_made, 2);
	jwks_source_refresh(s); /* one is under way */
	assert_int_equal(calls_made, 2);
	respond(200, "<html>", NULL);
	assert_int_equal(keys_of(s), 1);
	assert_non_null(strstr(status_of(s).error, "JSON"));
	pause_ms(300);
	assert_int_equal(calls_made, 3);
	retry_after_ms = 60000;
	respond(503, "", NULL);
	assert_non_null(strstr(status_of(s).error, "503"));
	pause_ms(300);
	assert_int_equal(calls_made, 3);
	retry_after_ms = 0;
	jwks_source_refresh(s);
	respond(0, "", "connection refused");
	assert_non_null(strstr(status_of(s).error, "connection refused"));
	assert_int_equal(status_of(s).failures, 3);
	jwks_source_refresh(s);
	respond(200, TWO, NULL);
	assert_int_equal(keys_of(s), 2);
	jwks_source_refresh(s);
	jwks_source_close(s);
	assert_int_equal(calls_cancelled, 1);
}

/* goal: many tokens of unknown keys cause one early look, and no other until its time has come */
static void
test_unknown_kid(void **state)
{
	struct jwks_source_settings set = { .name = "jwks",
		.from = "https://x/jwks",
		.early_ms = 200 };
	struct jwks_source *s;

	(void)state;
	calls_made = 0;
	s = jwks_source_open(&w, NULL, &set);
	respond(200, ONE, NULL);
	for (int i = 0; i < 100; i++)
		jwks_source_unknown_kid(s);
	pause_ms(30);
	assert_int_equal(calls_made, 2);
	respond(200, TWO, NULL);
	jwks_source_unknown_kid(s);
	pause_ms(30);
	assert_int_equal(calls_made, 2);
	pause_ms(250);
	jwks_source_unknown_kid(s);
	pause_ms(30);
	assert_int_equal(calls_made, 3);
	/* one asks while the source closes */
	jwks_source_unknown_kid(s);
	jwks_source_close(s);
	worker_drain(&w);
	assert_int_equal(calls_made, 3);
}

struct reader {
	struct jwks_source *source;
	size_t seen[3];
};

static void *
read_keys(void *arg)
{
	struct reader *r = arg;

	for (int i = 0; i < 20000; i++) {
		r->seen[keys_of(r->source)]++;
		if (i % 100 == 0)
			jwks_source_unknown_kid(r->source);
	}
	jwks_source_unref(r->source);
	return NULL;
}

/* goal: other threads read whole sets while the main thread replaces them and closes the source */
static void
test_threads(void **state)
{
	struct jwks_source_settings set = { .name = "jwks", .from = path };
	struct reader readers[2] = { 0 };
	pthread_t threads[2];
	struct jwks_source *s;

	(void)state;
	write_text(ONE);
	s = jwks_source_open(&w, NULL, &set);
	for (int i = 0; i < 2; i++) {
		readers[i].source = jwks_source_ref(s);
		assert_int_equal(pthread_create(&threads[i], NULL, read_keys, &readers[i]), 0);
	}
	for (int i = 0; i < 20; i++) {
		write_text(i % 2 ? ONE : TWO);
		jwks_source_refresh(s);
	}
	jwks_source_close(s);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].seen[0], 0);
	}
	worker_drain(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_odd_files),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_unknown_kid),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
