/* https_call_test.c -- what is sent and what comes back, over plain HTTP, against a server in this
 * process. */
#include "tests/unit/auth/https_call_fixture.h"

/* goal: a GET brings status, body, length and headers, and sends Host and nothing else of its own */
static void
test_get(void **state)
{
	struct outcome o = get("/echo");
	char expected[128];

	(void)state;
	snprintf(expected, sizeof(expected), "GET /echo HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
	    server_port);
	assert_int_equal(o.status, 200);
	assert_string_equal(o.body, expected);
	assert_int_equal(o.len, strlen(expected));
	assert_string_equal(o.reply, "two words");
	o = get("/nowhere");
	assert_int_equal(o.status, 404);
	assert_string_equal(o.body, "no");
	assert_string_equal(o.reply, "(none)");
	o = get("/empty");
	assert_int_equal(o.status, 204);
	assert_int_equal(o.len, 0);
	o = get("/continue");
	assert_int_equal(o.status, 200);
	assert_string_equal(o.reply, "late");
}

/* goal: POST and PUT send the listed headers as they are and the body byte by byte, NULs too */
static void
test_post(void **state)
{
	static const char body[] = "a=1\0\r\n\xff{}";
	struct https_request r = { .method = "POST",
		.url = url_of("/echo"),
		.headers = { "X-Amz-Target:  a.b  c", "content-type: application/x-amz-json-1.1",
		    "X-Empty:", "accept: a/b" },
		.n_headers = 4,
		.body = body,
		.body_len = sizeof(body) };
	struct outcome o = ask(&r);
	char expected[512];
	int head = snprintf(expected, sizeof(expected),
	    "POST /echo HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Amz-Target:  a.b  c\r\n"
	    "content-type: application/x-amz-json-1.1\r\nX-Empty:\r\naccept: a/b\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    server_port, sizeof(body));

	(void)state;
	assert_int_equal(o.status, 200);
	assert_int_equal(o.len, (size_t)head + sizeof(body));
	assert_memory_equal(o.body, expected, (size_t)head);
	/* outcome's copy ends at the first NUL, so the rest is told by the length and a second go */
	r.body = "text";
	r.body_len = 4;
	o = ask(&r);
	assert_string_equal(strstr(o.body, "\r\n\r\n"), "\r\n\r\ntext");

	r = (struct https_request){ .method = "PUT", .url = url_of("/echo") };
	o = ask(&r);
	snprintf(expected, sizeof(expected),
	    "PUT /echo HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\n\r\n", server_port);
	assert_string_equal(o.body, expected);
	r = (struct https_request){ .method = "LIST", .url = url_of("/echo") };
	o = ask(&r);
	assert_int_equal(strncmp(o.body, "LIST /echo HTTP/1.1\r\nHost:", 26), 0);
	r = (struct https_request){ .method = "HEAD", .url = url_of("/empty") };
	o = ask(&r);
	assert_int_equal(o.status, 204);
}

/* goal: the request is copied: the caller may overwrite it at once */
static void
test_copies(void **state)
{
	char url[128], header[32] = "X-Mine: before", body[16] = "before";
	struct https_request r = { .method = "POST",
		.url = url,
		.headers = { header },
		.n_headers = 1,
		.body = body,
		.body_len = 6 };
	struct outcome o;

	(void)state;
	snprintf(url, sizeof(url), "%s", url_of("/echo"));
	begin(&r, &o);
	memset(url, 'x', sizeof(url));
	memset(header, 'x', sizeof(header));
	memset(body, 'x', sizeof(body));
	memset(&r, 0, sizeof(r));
	loop_run(&loop);
	assert_int_equal(o.status, 200);
	assert_non_null(strstr(o.body, "X-Mine: before\r\n"));
	assert_non_null(strstr(o.body, "\r\n\r\nbefore"));
}

/* goal: what may not be sent is refused from the loop, before anything is resolved or connected */
static void
test_refused(void **state)
{
	static const struct {
		const char *method, *url, *header, *error;
	} rows[] = {
		{ "GET", "http://example.com/", NULL, "http:// is for local addresses only" },
		{ "GET", "http://10.0.0.1/", NULL, "http:// is for local addresses only" },
		{ "GET", "http://169.253.255.255/", NULL, "http:// is for local addresses only" },
		{ "GET", "http://127.0.0.1.example/", NULL, "http:// is for local addresses only" },
		{ "GET", "http://localhost.example/", NULL, "http:// is for local addresses only" },
		{ "GET", "http://[::2]/", NULL, "http:// is for local addresses only" },
		{ "GET", "http://[::ffff:1.2.3.4]/", NULL, "http:// is for local addresses only" },
		{ "GET", "http://127.0.0.1@example.com/", NULL, "the URL holds a user name" },
		{ "GET", "https://u:p@example.com/", NULL, "the URL holds a user name" },
		{ "GET", "file:///etc/passwd", NULL, "not an https URL" },
		{ "GET", "ftp://127.0.0.1/", NULL, "not an https URL" },
		{ "GET", "127.0.0.1/", NULL, "not an https URL" },
		{ "GET", "", NULL, "not an https URL" },
		{ "GET", "https://", NULL, "not an https URL" },
		{ "GET", "https://a b/", NULL, "not an https URL" },
		{ "GET", "http://127.0.0.1/\r\nX: y", NULL, "not an https URL" },
		{ "GET", "http://127.0.0.1/", "X: y\r\nZ: a", "a request header is malformed" },
		{ "GET", "http://127.0.0.1/", "X: y\n", "a request header is malformed" },
		{ "GET", "http://127.0.0.1/", "no colon", "a request header is malformed" },
		{ "GET", "http://127.0.0.1/", ": y", "a request header is malformed" },
		{ "GET", "http://127.0.0.1/", "X y: z", "a request header is malformed" },
		{ "GET", "http://127.0.0.1/", "X;", "a request header is malformed" },
		{ "GET", "http://127.0.0.1/", "@/etc/passwd", "a request header is malformed" },
		{ "", "http://127.0.0.1/", NULL, "not a method" },
		{ "GET / HTTP/1.1\r\n", "http://127.0.0.1/", NULL, "not a method" },
	};
	int before = atomic_load(&server_connections);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct https_request r = { .method = rows[i].method,
			.url = rows[i].url,
			.headers = { rows[i].header },
			.n_headers = rows[i].header != NULL };
		struct outcome o = ask(&r);

		assert_int_equal(o.status, 0);
		assert_string_equal(o.error, rows[i].error);
		assert_string_equal(o.reply, "(none)");
	}
	assert_int_equal(atomic_load(&server_connections), before);
}

/* goal: http:// goes to loopback by any spelling, and elsewhere when the caller says so */
static void
test_plain(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost", "127.1", "0x7f000001" };
	struct https_request r = { .method = "GET" };
	struct outcome o;
	char url[128];

	(void)state;
	r.url = url;
	for (size_t i = 0; i < 4; i++) {
		snprintf(url, sizeof(url), "http://%s:%d/slow", hosts[i], server_port);
		o = ask(&r);
		assert_int_equal(o.status, 200);
	}
	/* a name that cannot exist: it was allowed to try */
	snprintf(url, sizeof(url), "http://nothing.invalid:%d/", server_port);
	r.plain_http = true;
	o = ask(&r);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.error, "Could not resolve host: nothing.invalid");
}

/* goal: a body of 1 MiB is taken, one byte more is not, told or untold; nor endless headers */
static void
test_size(void **state)
{
	struct outcome o = get("/exact");

	(void)state;
	assert_int_equal(o.status, 200);
	assert_int_equal(o.len, HTTPS_RESPONSE_MAX);
	o = get("/large");
	assert_int_equal(o.status, 0);
	assert_string_equal(o.error, "the response is larger than 1 MiB");
	o = get("/endless");
	assert_int_equal(o.status, 0);
	assert_string_equal(o.error, "the response is larger than 1 MiB");
	o = get("/heads");
	assert_int_equal(o.status, 0);
	assert_string_equal(o.error, "the response's headers are larger than 64 KiB");
}

/* goal: a redirect is an answer like any other, nobody follows it */
static void
test_redirect(void **state)
{
	int before = atomic_load(&server_requests);
	struct outcome o = get("/redirect");

	(void)state;
	assert_int_equal(o.status, 302);
	assert_int_equal(atomic_load(&server_requests), before + 1);
}

/* goal: calls one after the other share a connection; one that died meanwhile is replaced */
static void
test_keep_alive(void **state)
{
	int before = atomic_load(&server_connections);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(get("/echo").status, 200);
	assert_int_equal(atomic_load(&server_connections), before + 1);
	assert_string_equal(get("/close").body, "bye");
	idle(50);
	assert_int_equal(get("/echo").status, 200);
	assert_int_equal(atomic_load(&server_connections), before + 2);
}

static struct outcome
get_head(const char *head)
{
	struct https_request r = { .method = "POST", .url = url_of("/head") };
	char body[256];

	r.body = body;
	r.body_len = (size_t)snprintf(body, sizeof(body), "%s\r\n\r\n", head);
	return ask(&r);
}

/* goal: Date and Retry-After are read in all their forms, and what is none of them is 0 */
static void
test_dates(void **state)
{
	static const struct {
		const char *head;
		int64_t date, retry_ms;
	} rows[] = {
		{ "Date: Sat, 14 Mar 2026 01:59:26 GMT", 1773453566, 0 },
		{ "date: Saturday, 14-Mar-26 01:59:26 GMT\r\nRetry-After: 0", 1773453566, 0 },
		{ "Date: yesterday\r\nRetry-After: soon", 0, 0 },
		{ "Date:\r\nRetry-After:", 0, 0 },
		{ "Date: Sat, 14 Mar 1926 01:59:26 GMT\r\nRetry-After: -5", 0, 0 },
		{ "Retry-After: 7", 0, 7000 },
		{ "Retry-After: 3600", 0, 3600000 },
		{ "Retry-After: 3601", 0, 3600000 },
		{ "Retry-After: 99999999999999999999999", 0, 3600000 },
		{ "Retry-After: 12.5", 0, 0 },
		{ "Date: Sat, 14 Mar 2026 01:59:26 GMT\r\n"
		  "Retry-After: Sat, 14 Mar 2026 02:00:00 GMT",
		    1773453566, 34000 },
		{ "Date: Sat, 14 Mar 2026 01:59:26 GMT\r\n"
		  "Retry-After: Sat, 14 Mar 2026 01:00:00 GMT",
		    1773453566, 0 },
		{ "Date: Sat, 14 Mar 2026 01:59:26 GMT\r\n"
		  "Retry-After: Sun, 15 Mar 2026 01:59:26 GMT",
		    1773453566, 3600000 },
		{ "Retry-After: Thu, 01 Jan 1998 00:00:00 GMT", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct outcome o = get_head(rows[i].head);

		assert_int_equal(o.status, 503);
		assert_int_equal(o.date, rows[i].date);
		assert_int_equal(o.retry_ms, rows[i].retry_ms);
	}
}

/* goal: a proxy of the environment is used for https only, and only when the caller wants one */
static void
test_proxy(void **state)
{
	struct https_request r = { .method = "GET", .url = "https://127.0.0.1:1/" };
	int before = atomic_load(&server_requests);
	char proxy[64];

	(void)state;
	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", server_port);
	setenv("https_proxy", proxy, 1);
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	assert_non_null(strstr(ask(&r).error, "Connection refused"));
	assert_int_equal(atomic_load(&server_requests), before);
	r.proxy = true; /* our server answers CONNECT with 404 */
	assert_int_equal(ask(&r).status, 0);
	assert_int_equal(atomic_load(&server_requests), before + 1);
	r.url = url_of("/echo");
	assert_int_equal(ask(&r).status, 200);
	unsetenv("https_proxy");
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_get, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_post, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_copies, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_refused, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_plain, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_size, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_redirect, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_keep_alive, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_dates, calls_setup, calls_teardown),
		cmocka_unit_test_setup_teardown(test_proxy, calls_setup, calls_teardown),
	};
	int rc;

	server_start();
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	server_stop();
	return rc;
}
