/* Signing and presigning by Signature Version 4. */
#include "tests/unit/auth/sigv4_vectors.h"

#include <time.h>

static void
signing(void **state)
{
	/* goal: the Authorization header of every example, character by character; too little room gives
	 * nothing, never half of it */
	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct sigv4_request r = request_of(v);
		char out[512], want[512];
		int n = snprintf(want, sizeof(want),
		    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/%.8s/%s/%s/aws4_request, SignedHeaders=%s, Signature=%s",
		    v->date, v->region, v->service, v->names, v->signature);

		assert_int_equal(sigv4_authorization(out, sizeof(out), &r, &key, v->date), n);
		assert_string_equal(out, want);
		assert_int_equal(sigv4_authorization(out, (size_t)n + 1, &r, &key, v->date), n);
		assert_int_equal(sigv4_authorization(out, (size_t)n, &r, &key, v->date), -1);
		assert_int_equal(sigv4_authorization(out, 0, &r, &key, v->date), -1);
	}
}

static void
presigning(void **state)
{
	/* goal: RDS tokens as botocore makes them, with and without a session token (which botocore puts
	 * last in the URL; signed is the sorted form); without a host nothing is signed */
	struct sigv4_key with_token = key;
	struct sigv4_request r = connect_request(&db_host);
	char out[1024] = "";
	int n;

	(void)state;
	with_token.session_token = TOKEN;
	n = sigv4_presign(out, sizeof(out), &r, &key, DATE, 900);
	assert_int_equal(n, strlen(out));
	assert_string_equal(out,
	    PRESIGNED "X-Amz-SignedHeaders=host&X-Amz-Signature="
		      "492b6f67e7a564ee86fde6e72a474464ec3b3258cf7024778b3e3d02d3fe3814");
	assert_int_equal(sigv4_presign(out, strlen(out), &r, &key, DATE, 900), -1);
	n = sigv4_presign(out, sizeof(out), &r, &with_token, DATE, 900);
	assert_int_equal(n, strlen(out));
	assert_string_equal(out,
	    PRESIGNED "X-Amz-Security-Token=IQoJb3JpZ2luX2VjEA%3D%3D%2F%2Btoken&"
		      "X-Amz-SignedHeaders=host&X-Amz-Signature="
		      "51d86c12077dffd2a7d4d4b17d67eb6d9362398e2eec563f45d597c98d74d294");
	r.n_headers = 0;
	assert_int_equal(sigv4_presign(out, sizeof(out), &r, &key, DATE, 900), -1);
}

static void
path_as_sent(void **state)
{
	/* goal: the path of S3 is signed as it is (AWS's example of GET Object with a Range); one that would
	 * not stay on its line, or is not a path, is not signed at all; nor is a query with half a '%' */
	static const struct sigv4_key s3_key = { "AKIAIOSFODNN7EXAMPLE",
		"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL };
	static const struct sigv4_header headers[] = {
		{ "Host", "examplebucket.s3.amazonaws.com" },
		{ "Range", "bytes=0-9" },
		{ "x-amz-content-sha256",
		    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "x-amz-date", "20130524T000000Z" },
	};
	static const char *const bad_paths[] = { "", "test.txt", "/a b", "/a\nb", "/a\x7f" };
	static const char *const bad_queries[] = { "a=%", "a=%4", "%zz", "a=b&c%2=%20" };
	struct sigv4_request r = { .method = "GET",
		.path = "/test.txt",
		.headers = headers,
		.n_headers = COUNT(headers),
		.region = "us-east-1",
		.service = "s3" };
	char out[512], twice[512];

	(void)state;
	assert_true(sigv4_authorization(out, sizeof(out), &r, &s3_key, "20130524T000000Z") > 0);
	assert_string_equal(strstr(out, "Signature="),
	    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	r.path = "//test.txt";
	assert_true(sigv4_authorization(twice, sizeof(twice), &r, &s3_key, "20130524T000000Z") > 0);
	assert_string_not_equal(out, twice);
	for (size_t i = 0; i < COUNT(bad_paths); i++) {
		r.path = bad_paths[i];
		assert_int_equal(sigv4_authorization(out, sizeof(out), &r, &s3_key, DATE), -1);
	}
	r.path = "/";
	for (size_t i = 0; i < COUNT(bad_queries); i++) {
		r.query = bad_queries[i];
		assert_int_equal(sigv4_authorization(out, sizeof(out), &r, &s3_key, DATE), -1);
		assert_int_equal(sigv4_presign(out, sizeof(out), &r, &s3_key, DATE, 900), -1);
	}
}

static void
not_signed(void **state)
{
	/* goal: nothing comes of a method, header name, date or life that is none, or of no header */
	struct sigv4_header headers[] = { { "Host", "h" }, { "X-Amz-Date", DATE } };
	struct sigv4_request r = { .method = "GET",
		.path = "/",
		.headers = headers,
		.n_headers = 2,
		.region = "us-east-1",
		.service = "sts" };
	char out[1024];

	(void)state;
	assert_true(sigv4_authorization(out, sizeof(out), &r, &key, DATE) > 0);
	assert_int_equal(sigv4_authorization(out, sizeof(out), &r, &key, "20260314T015926\0"), -1);
	assert_int_equal(sigv4_presign(out, sizeof(out), &r, &key, DATE, 0), -1);
	assert_int_equal(sigv4_presign(out, sizeof(out), &r, &key, DATE, 604801), -1);
	assert_true(sigv4_presign(out, sizeof(out), &r, &key, DATE, 604800) > 0);
	r.method = "GET\n";
	assert_int_equal(sigv4_authorization(out, sizeof(out), &r, &key, DATE), -1);
	r.method = "GET";
	headers[1].name = "X-Amz:Date";
	assert_int_equal(sigv4_authorization(out, sizeof(out), &r, &key, DATE), -1);
	headers[1].name = "";
	assert_int_equal(sigv4_authorization(out, sizeof(out), &r, &key, DATE), -1);
	r.n_headers = 0;
	assert_int_equal(sigv4_authorization(out, sizeof(out), &r, &key, DATE), -1);
}

static void
dates(void **state)
{
	/* goal: dates there and back; what is none is refused */
	static const char *const bad[] = { "", "20260314T015926", "20260314 015926Z",
		"20260231T015926Z", "20260314T245926Z", "20260314T015926z", "2026031xT015926Z",
		"20261314T015926Z", "19690314T015926Z", "20260314T0159261Z" };
	char text[SIGV4_DATE_LEN + 1];

	(void)state;
	sigv4_date(text, NOW);
	assert_string_equal(text, DATE);
	assert_int_equal(sigv4_parse_date(DATE, SIGV4_DATE_LEN), NOW);
	assert_int_equal(sigv4_parse_date("20240229T235959Z", SIGV4_DATE_LEN), 1709251199);
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(sigv4_parse_date(bad[i], strlen(bad[i])), -1);
	sigv4_date(text, INT64_MAX);
	assert_string_equal(text, "99991231T235959Z");
	sigv4_date(text, -1);
	assert_string_equal(text, "19700101T000000Z");
	/* the days of four centuries, leap years and all */
	for (int64_t day = 0; day < 146097 + 20000; day++) {
		struct tm tm;
		char theirs[SIGV4_DATE_LEN + 1];
		time_t t = (time_t)(day * 86400 + day % 86400);

		strftime(theirs, sizeof(theirs), "%Y%m%dT%H%M%SZ", gmtime_r(&t, &tm));
		sigv4_date(text, t);
		assert_string_equal(text, theirs);
		assert_int_equal(sigv4_parse_date(text, SIGV4_DATE_LEN), t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signing),
		cmocka_unit_test(presigning),
		cmocka_unit_test(path_as_sent),
		cmocka_unit_test(not_signed),
		cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
