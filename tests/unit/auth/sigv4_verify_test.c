/* Requests that claim to be signed: good ones, changed ones, and what is no claim at all. */
#include "tests/unit/auth/sigv4_vectors.h"

/* A signed request whose parts a test changes. */
struct asked {
	struct sigv4_header headers[SIGV4_HEADERS_MAX + 1];
	char authorization[512], query[1024];
	struct sigv4_request r;
};

static void
ask(struct asked *a, const struct vector *v)
{
	memset(a, 0, sizeof(*a));
	a->r = request_of(v);
	assert_true(sigv4_authorization(a->authorization, sizeof(a->authorization), &a->r, &key,
			v->date) > 0);
	memcpy(a->headers, v->headers, sizeof(v->headers));
	a->headers[a->r.n_headers++] = (struct sigv4_header){ "authorization", a->authorization };
	a->r.headers = a->headers;
}

static enum sigv4_verdict
verdict(const struct sigv4_request *r, int64_t now)
{
	struct sigv4_claim c;
	enum sigv4_verdict v = sigv4_claim(r, &c);

	return v != SIGV4_OK ? v : sigv4_verify(r, &c, key.secret_access_key, now, 300);
}

static void
good_ones(void **state)
{
	/* goal: what was signed verifies, and the claim says who and for what */
	struct asked a;
	struct sigv4_claim c;

	(void)state;
	for (size_t i = 0; i < COUNT(vectors); i++) {
		const struct vector *v = &vectors[i];

		ask(&a, v);
		assert_int_equal(sigv4_claim(&a.r, &c), SIGV4_OK);
		assert_int_equal(c.access_key_id_len, 11);
		assert_memory_equal(c.access_key_id, "AKIDEXAMPLE", 11);
		assert_int_equal(c.region_len, strlen(v->region));
		assert_memory_equal(c.region, v->region, c.region_len);
		assert_int_equal(c.service_len, strlen(v->service));
		assert_memory_equal(c.service, v->service, c.service_len);
		assert_int_equal(c.signed_headers_len, strlen(v->names));
		assert_memory_equal(c.amz_date, v->date, SIGV4_DATE_LEN);
		assert_false(c.presigned);
		assert_int_equal(sigv4_verify(&a.r, &c, key.secret_access_key,
				     sigv4_parse_date(v->date, SIGV4_DATE_LEN), 300),
		    SIGV4_OK);
		/* headers that are not signed may be anything, others not */
		a.headers[a.r.n_headers++] = (struct sigv4_header){ "Accept", "*/*" };
		assert_int_equal(verdict(&a.r, sigv4_parse_date(v->date, SIGV4_DATE_LEN)),
		    SIGV4_OK);
	}
}

#define POSTED 9 /* the vector with a body and JSON headers */

static void
tampered(void **state)
{
	/* goal: any change to any part that is signed is a mismatch, as are another secret key, region or
	 * service */
	struct asked a;
	struct sigv4_claim c;

	(void)state;
	ask(&a, &vectors[POSTED]);
	assert_int_equal(verdict(&a.r, NOW), SIGV4_OK);
	a.r.method = "PUT";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	ask(&a, &vectors[POSTED]);
	a.r.path = "/x";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	ask(&a, &vectors[POSTED]);
	a.r.query = "a=b";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	ask(&a, &vectors[POSTED]);
	a.r.body_len--;
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	ask(&a, &vectors[POSTED]);
	a.r.body_len = 0;
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	for (size_t i = 0; i < 3; i++) {
		ask(&a, &vectors[POSTED]);
		a.headers[i].value = "x";
		assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	}
	/* another header of the same name, and one that is gone */
	ask(&a, &vectors[POSTED]);
	a.headers[a.r.n_headers++] = (struct sigv4_header){ "X-Amz-TARGET", "b" };
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	ask(&a, &vectors[POSTED]);
	a.headers[a.r.n_headers++] = (struct sigv4_header){ "HOST", "b" };
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	ask(&a, &vectors[POSTED]);
	a.headers[0].name = "Hostess";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	ask(&a, &vectors[POSTED]);
	a.headers[1].name = "Content-Typ";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	/* the date is signed too */
	ask(&a, &vectors[POSTED]);
	a.headers[3].value = "20260314T015927Z";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	for (int i = 1; i <= 64; i++) {
		char *digit;

		ask(&a, &vectors[POSTED]);
		digit = &a.authorization[strlen(a.authorization) - (size_t)i];
		*digit = *digit == '0' ? '1' : '0';
		assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	}
	ask(&a, &vectors[POSTED]);
	assert_int_equal(sigv4_claim(&a.r, &c), SIGV4_OK);
	assert_int_equal(sigv4_verify(&a.r, &c, "other", NOW, 300), SIGV4_MISMATCH);
	assert_int_equal(sigv4_verify(&a.r, &c, "", NOW, 300), SIGV4_MISMATCH);
	a.r.region = "eu-west-1";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
	a.r.region = NULL;
	assert_int_equal(verdict(&a.r, NOW), SIGV4_OK);
	a.r.service = "sts";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MISMATCH);
}

static void
unsigned_ones(void **state)
{
	/* goal: host and every x-amz-* header must be among the signed ones */
	struct asked a;

	(void)state;
	ask(&a, &vectors[POSTED]);
	a.headers[a.r.n_headers++] = (struct sigv4_header){ "X-Amz-Security-Token", "t" };
	assert_int_equal(verdict(&a.r, NOW), SIGV4_UNSIGNED);
	ask(&a, &vectors[POSTED]);
	snprintf(a.authorization, sizeof(a.authorization),
	    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260314/us-east-1/secretsmanager/aws4_request, "
	    "SignedHeaders=content-type;x-amz-date;x-amz-target, Signature=%s",
	    vectors[POSTED].signature);
	assert_int_equal(verdict(&a.r, NOW), SIGV4_UNSIGNED);
}

static void
skew(void **state)
{
	/* goal: a signature is good for the allowed skew either way, a presigned one from the skew before
	 * its date to the skew after its end */
	struct sigv4_request r = connect_request(&db_host);
	struct sigv4_claim c;
	struct asked a;

	(void)state;
	ask(&a, &vectors[POSTED]);
	assert_int_equal(verdict(&a.r, NOW - 300), SIGV4_OK);
	assert_int_equal(verdict(&a.r, NOW + 300), SIGV4_OK);
	assert_int_equal(verdict(&a.r, NOW - 301), SIGV4_SKEWED);
	assert_int_equal(verdict(&a.r, NOW + 301), SIGV4_SKEWED);
	assert_true(sigv4_presign(a.query, sizeof(a.query), &r, &key, DATE, 900) > 0);
	r.query = a.query;
	assert_int_equal(sigv4_claim(&r, &c), SIGV4_OK);
	assert_true(c.presigned);
	assert_int_equal(c.expires_s, 900);
	assert_int_equal(c.region_len, 9);
	assert_memory_equal(c.region, "eu-west-1", 9);
	assert_int_equal(verdict(&r, NOW - 300), SIGV4_OK);
	assert_int_equal(verdict(&r, NOW + 1200), SIGV4_OK);
	assert_int_equal(verdict(&r, NOW - 301), SIGV4_SKEWED);
	assert_int_equal(verdict(&r, NOW + 1201), SIGV4_SKEWED);
}

static void
presigned_ones(void **state)
{
	/* goal: botocore's URL with its own order of parameters verifies; a changed user, life or host does
	 * not, nor does a second copy of a parameter */
	static const char theirs[] = PRESIGNED
	    "X-Amz-SignedHeaders=host&"
	    "X-Amz-Security-Token=IQoJb3JpZ2luX2VjEA%3D%3D%2F%2Btoken&X-Amz-Signature="
	    "51d86c12077dffd2a7d4d4b17d67eb6d9362398e2eec563f45d597c98d74d294";
	struct sigv4_header other = { "Host", "other:5432" };
	struct sigv4_request r = connect_request(&db_host);
	char changed[1024];

	(void)state;
	r.query = theirs;
	assert_int_equal(verdict(&r, NOW), SIGV4_OK);
	r.headers = &other;
	assert_int_equal(verdict(&r, NOW), SIGV4_MISMATCH);
	r = connect_request(&db_host);
	memcpy(changed, theirs, sizeof(theirs));
	r.query = changed;
	memcpy(strstr(changed, "app%20"), "bpp", 3);
	assert_int_equal(verdict(&r, NOW), SIGV4_MISMATCH);
	memcpy(changed, theirs, sizeof(theirs));
	memcpy(strstr(changed, "=900"), "=999", 4);
	assert_int_equal(verdict(&r, NOW), SIGV4_MISMATCH);
	snprintf(changed, sizeof(changed), "%s&DBUser=postgres", theirs);
	assert_int_equal(verdict(&r, NOW), SIGV4_MISMATCH);
	snprintf(changed, sizeof(changed), "%s&X-Amz-Expires=900", theirs);
	assert_int_equal(verdict(&r, NOW), SIGV4_MALFORMED);
	snprintf(changed, sizeof(changed), "%s&X-Amz-Signature=0", theirs);
	assert_int_equal(verdict(&r, NOW), SIGV4_MALFORMED);
	memcpy(changed, theirs, sizeof(theirs));
	memcpy(strstr(changed, "=900&"), "=000&", 5);
	assert_int_equal(verdict(&r, NOW), SIGV4_MALFORMED);
	/* the same in another spelling is the same */
	memcpy(changed, theirs, sizeof(theirs));
	for (char *at = changed; (at = strstr(at, "%2F")) != NULL; at++)
		memcpy(at, "%2f", 3);
	assert_int_equal(verdict(&r, NOW), SIGV4_OK);
	/* all six of the signature's parameters are needed, and each only once in any spelling */
	for (char *at = (char *)theirs; (at = strstr(at, "X-Amz-")) != NULL; at++) {
		memcpy(changed, theirs, sizeof(theirs));
		changed[at - theirs] = 'Y';
		if (strncmp(at, "X-Amz-Security", 14) != 0)
			assert_int_equal(verdict(&r, NOW), SIGV4_MALFORMED);
		else
			assert_int_equal(verdict(&r, NOW), SIGV4_MISMATCH);
	}
	snprintf(changed, sizeof(changed), "%s&X%%2dAmz-Signature=0", theirs);
	assert_int_equal(verdict(&r, NOW), SIGV4_MALFORMED);
	snprintf(changed, sizeof(changed), "%s%%4", theirs);
	assert_int_equal(verdict(&r, NOW), SIGV4_MALFORMED);
}

static void
presigned_headers(void **state)
{
	/* goal: an x-amz-* header beside a presigned URL that does not sign it is refused */
	static const struct sigv4_header headers[] = {
		{ "Host", "db.abc.eu-west-1.rds.amazonaws.com:5432" },
		{ "X-AMZ-Target", "something else" }
	};
	struct sigv4_request r = connect_request(&db_host);
	char query[1024];

	(void)state;
	assert_true(sigv4_presign(query, sizeof(query), &r, &key, DATE, 900) > 0);
	r.query = query;
	assert_int_equal(verdict(&r, NOW), SIGV4_OK);
	r.headers = headers;
	r.n_headers = 2;
	assert_int_equal(verdict(&r, NOW), SIGV4_UNSIGNED);
}

#define CRED "Credential=AKIDEXAMPLE/20260314/us-east-1/secretsmanager/aws4_request"
#define SIG  "Signature=b75d5fd15907e73d9100c656059d757100d13520b974e88bcff8ab5df5a2e08a"
#define SH   "SignedHeaders=content-type;host;x-amz-date;x-amz-target"

static void
malformed(void **state)
{
	/* goal: headers that are not of the form are refused before any key is looked up; order and blanks
	 * of the members are free */
	static const char *const good[] = {
		"AWS4-HMAC-SHA256 " CRED "," SH "," SIG,
		"AWS4-HMAC-SHA256   " SIG " ,  " SH ", \t" CRED "  ",
	};
	static const char *const bad[] = { "", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ",
		"Basic eA==", "AWS4-HMAC-SHA512 " CRED ", " SH ", " SIG,
		"AWS4-HMAC-SHA256 " CRED ", " SH, "AWS4-HMAC-SHA256 " CRED ", " SIG,
		"AWS4-HMAC-SHA256 " SH ", " SIG,
		"AWS4-HMAC-SHA256 " CRED ", " CRED ", " SH ", " SIG,
		"AWS4-HMAC-SHA256 " CRED ", " SH ", " SIG ", " SIG,
		"AWS4-HMAC-SHA256 " CRED ", " SH ", " SH ", " SIG,
		"AWS4-HMAC-SHA256 " CRED ", " SH ", " SIG "a",
		"AWS4-HMAC-SHA256 " CRED ", " SH ", Signature=B75D",
		"AWS4-HMAC-SHA256 " CRED ", " SH ", " SIG ", x=y",
		"AWS4-HMAC-SHA256 " CRED "/x, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260314/us-east-1/aws4_request, " SH
		", " SIG,
		"AWS4-HMAC-SHA256 Credential=/20260314/us-east-1/s/aws4_request, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=A/20260315/us-east-1/s/aws4_request, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=A/2026031/us-east-1/s/aws4_request, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=A/20260314/us-east-1/s/aws5_request, " SH ", " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=, " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host;host;x-amz-date, " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=x-amz-date;host, " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=Host;x-amz-date, " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host;;x-amz-date, " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host;, " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=;host, " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=ho st, " SIG,
		"AWS4-HMAC-SHA256 " CRED ", SignedHeaders=host%3Bx-amz-date, " SIG,
		"AWS4-HMAC-SHA256" CRED ", " SH ", " SIG, "aws4-hmac-sha256 " CRED ", " SH ", " SIG,
		"AWS4-HMAC-SHA256 " CRED " " SH " " SIG, "AWS4-HMAC-SHA256 " CRED ",, " SH ", " SIG,
		"AWS4-HMAC-SHA256 , " CRED ", " SH ", " SIG,
		"AWS4-HMAC-SHA256 " CRED ", " SH ", " SIG ",",
		"AWS4-HMAC-SHA256 credential=A/20260314/r/s/aws4_request, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential =A/20260314/r/s/aws4_request, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=A%2F20260314%2Fr%2Fs%2Faws4_request, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=A/20260314//s/aws4_request, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=A/20260314/r/s/aws4_requestx, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=A/20260314/r/s/aws4_request/, " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=\"A/20260314/r/s/aws4_request\", " SH ", " SIG,
		"AWS4-HMAC-SHA256 Credential=, " SH ", " SIG };
	struct asked a;

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		ask(&a, &vectors[POSTED]);
		a.headers[4].value = good[i];
		assert_int_equal(verdict(&a.r, NOW), SIGV4_OK);
	}
	for (size_t i = 0; i < COUNT(bad); i++) {
		ask(&a, &vectors[POSTED]);
		a.headers[4].value = bad[i];
		assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	}
	/* no claim, two, or no date */
	ask(&a, &vectors[POSTED]);
	a.r.n_headers--;
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	ask(&a, &vectors[POSTED]);
	a.headers[a.r.n_headers++] = a.headers[4];
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	ask(&a, &vectors[POSTED]);
	a.headers[a.r.n_headers++] = a.headers[3];
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	ask(&a, &vectors[POSTED]);
	a.headers[3].name = "Date";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	ask(&a, &vectors[POSTED]);
	a.r.query = "X-Amz-Signature=1";
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
}

static void
limits(void **state)
{
	/* goal: what is beyond the limits is refused, what is just within is not */
	static const char word[] =
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	char out[4096], query[2 * SIGV4_QUERY_MAX + 3], path[256], name[SIGV4_HEADERS_MAX][8];
	struct sigv4_key long_key = key;
	struct asked a;
	size_t n = 0;

	(void)state;
	ask(&a, &vectors[POSTED]);
	for (size_t i = 0; i < SIGV4_QUERY_MAX; i++)
		n += (size_t)snprintf(query + n, sizeof(query) - n, "a&");
	a.r.query = query;
	assert_true(sigv4_authorization(out, sizeof(out), &a.r, &key, DATE) > 0);
	assert_true(sigv4_presign(out, sizeof(out), &a.r, &key, DATE, 900) > 0);
	snprintf(query + n, sizeof(query) - n, "a");
	assert_int_equal(sigv4_authorization(out, sizeof(out), &a.r, &key, DATE), -1);
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	ask(&a, &vectors[POSTED]);
	for (n = 0; n < 130; n += 2)
		memcpy(path + n, "/a", 3);
	a.r.path = path;
	assert_int_equal(sigv4_authorization(out, sizeof(out), &a.r, &key, DATE), -1);
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
	ask(&a, &vectors[POSTED]);
	a.r.region = word;
	assert_int_equal(sigv4_authorization(out, sizeof(out), &a.r, &key, DATE), -1);
	ask(&a, &vectors[POSTED]);
	long_key.access_key_id = word;
	assert_int_equal(sigv4_authorization(out, sizeof(out), &a.r, &long_key, DATE), -1);
	while (a.r.n_headers < SIGV4_HEADERS_MAX) {
		snprintf(name[a.r.n_headers], sizeof(name[0]), "h%zu", a.r.n_headers);
		a.headers[a.r.n_headers] = (struct sigv4_header){ name[a.r.n_headers], "" };
		a.r.n_headers++;
	}
	assert_true(sigv4_authorization(out, sizeof(out), &a.r, &key, DATE) > 0);
	assert_int_equal(verdict(&a.r, NOW), SIGV4_OK);
	a.headers[a.r.n_headers++] = (struct sigv4_header){ "one-more", "" };
	assert_int_equal(sigv4_authorization(out, sizeof(out), &a.r, &key, DATE), -1);
	assert_int_equal(verdict(&a.r, NOW), SIGV4_MALFORMED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_ones),
		cmocka_unit_test(tampered),
		cmocka_unit_test(unsigned_ones),
		cmocka_unit_test(skew),
		cmocka_unit_test(presigned_ones),
		cmocka_unit_test(presigned_headers),
		cmocka_unit_test(malformed),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
