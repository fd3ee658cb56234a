/* sigv4_vectors.h -- signed requests for the tests of Signature Version 4: AWS's published examples,
 * and requests that botocore signed, an independent signer (1.29.27: SigV4Auth.add_auth() and
 * RequestSigner.generate_presigned_url(), with its clock held at the dates below). */
#ifndef TESTS_UNIT_AUTH_SIGV4_VECTORS_H
#define TESTS_UNIT_AUTH_SIGV4_VECTORS_H

#include "auth/sigv4.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define NOW	 INT64_C(1773453566) /* 2026-03-14 01:59:26 */
#define DATE	 "20260314T015926Z"
#define TOKEN	 "IQoJb3JpZ2luX2VjEA==/+token"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct sigv4_key key = { "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	NULL };

#define SECRETS_HOST                                                                               \
	{                                                                                          \
		"Host", "secretsmanager.us-east-1.amazonaws.com"                                   \
	}
#define JSON_TYPE                                                                                  \
	{                                                                                          \
		"Content-Type", "application/x-amz-json-1.1"                                       \
	}
#define JSON_TARGET                                                                                \
	{                                                                                          \
		"X-Amz-Target", "secretsmanager.GetSecretValue"                                    \
	}
#define EXAMPLE                                                                                    \
	{                                                                                          \
		"Host", "example.amazonaws.com"                                                    \
	}
#define THEN                                                                                       \
	{                                                                                          \
		"X-Amz-Date", "20150830T123600Z"                                                   \
	}

struct vector {
	const char *method, *path, *query, *body, *region, *service, *date;
	struct sigv4_header headers[8];
	const char *names, *signature;
};

static const struct vector vectors[] = {
	/* the example of AWS's documentation, and of its test suite: get-vanilla,
	 * get-vanilla-query-order-key-case, -order-value, post-x-www-form-urlencoded, get-header-value-*,
	 * get-relative */
	{ "GET", "/", "Action=ListUsers&Version=2010-05-08", "", "us-east-1", "iam",
	    "20150830T123600Z",
	    { { "Host", "iam.amazonaws.com" },
		{ "Content-Type", "application/x-www-form-urlencoded; charset=utf-8" }, THEN },
	    "content-type;host;x-amz-date",
	    "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7" },
	{ "GET", "/", NULL, "", "us-east-1", "service", "20150830T123600Z", { EXAMPLE, THEN },
	    "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	{ "GET", "/", "Param2=value2&Param1=value1", "", "us-east-1", "service", "20150830T123600Z",
	    { EXAMPLE, THEN }, "host;x-amz-date",
	    "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
	{ "GET", "/", "Param1=value2&Param1=Value1", "", "us-east-1", "service", "20150830T123600Z",
	    { EXAMPLE, THEN }, "host;x-amz-date",
	    "eedbc4e291e521cf13422ffca22be7d2eb8146eecf653089df300a15b2382bd1" },
	{ "POST", "/", "", "Param1=value1", "us-east-1", "service", "20150830T123600Z",
	    { { "Content-Type", "application/x-www-form-urlencoded" }, EXAMPLE, THEN },
	    "content-type;host;x-amz-date",
	    "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
	{ "GET", "/", NULL, "", "us-east-1", "service", "20150830T123600Z",
	    { EXAMPLE, { "My-Header1", "value1" }, THEN, { "my-header1", " value2" } },
	    "host;my-header1;x-amz-date",
	    "9590afeaf4009e02883f5c81eb6e001e70f2a8e449c38908665b437c002314af" },
	{ "GET", "/", NULL, "", "us-east-1", "service", "20150830T123600Z",
	    { EXAMPLE, { "My-Header1", " value1 " }, { "My-Header2", " \"a   b   c\" " }, THEN },
	    "host;my-header1;my-header2;x-amz-date",
	    "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736" },
	{ "GET", "/example/..", NULL, "", "us-east-1", "service", "20150830T123600Z",
	    { EXAMPLE, THEN }, "host;x-amz-date",
	    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
	/* botocore's */
	{ "GET", "/%E1%88%B4", NULL, "", "us-east-1", "service", "20150830T123600Z",
	    { EXAMPLE, THEN }, "host;x-amz-date",
	    "697b34846207a3f72246f99d74ae1ee4fe54f44bb06730c58a0d339eb079596d" },
	{ "POST", "/", NULL, "{\"SecretId\":\"prod/db\",\"VersionStage\":\"AWSCURRENT\"}",
	    "us-east-1", "secretsmanager", DATE,
	    { SECRETS_HOST, JSON_TYPE, JSON_TARGET, { "X-Amz-Date", DATE } },
	    "content-type;host;x-amz-date;x-amz-target",
	    "b75d5fd15907e73d9100c656059d757100d13520b974e88bcff8ab5df5a2e08a" },
	{ "POST", "/", NULL, "{\"SecretId\":\"prod/db\"}", "us-east-1", "secretsmanager", DATE,
	    { { "X-Amz-Security-Token", TOKEN }, SECRETS_HOST, JSON_TYPE, JSON_TARGET,
		{ "X-Amz-Date", DATE } },
	    "content-type;host;x-amz-date;x-amz-security-token;x-amz-target",
	    "48b5f82a73c7164be999c4d0daa1ca65872e038f998a09b0b764a461720c1f82" },
	/* names that begin like others, a path and a query that need to be tidied */
	{ "GET", "/a%20b//./c/../d%2Fe/", "b=2&a=2&a=1&A=&c%20d=%2F&a-b=x", "", "us-east-1",
	    "service", DATE,
	    { { "X-Amz-Meta-A", "1" }, { "X-Amz-Meta", "  two   words " }, { "X-Amz", "y" },
		{ "Host", "example.amazonaws.com:8443" }, { "X-Amz-Date", DATE } },
	    "host;x-amz;x-amz-date;x-amz-meta;x-amz-meta-a",
	    "ae90552970b5563df7525fac6c7af902a5337e4d7685b4522e77e73d97e0ca16" },
	/* the same, less well encoded */
	{ "GET", "/a%20b//./c/../d%2Fe/", "&b=2&a=2&a=1&A&c%20d=/&&a%2db=%78", "", "us-east-1",
	    "service", DATE,
	    { { "X-Amz-Meta-A", "1" }, { "X-Amz-Meta", "two\twords" }, { "X-AMZ", "y" },
		{ "Host", "example.amazonaws.com:8443" }, { "X-Amz-Date", DATE } },
	    "host;x-amz;x-amz-date;x-amz-meta;x-amz-meta-a",
	    "ae90552970b5563df7525fac6c7af902a5337e4d7685b4522e77e73d97e0ca16" },
};

static inline struct sigv4_request
request_of(const struct vector *v)
{
	struct sigv4_request r = { .method = v->method,
		.path = v->path,
		.query = v->query,
		.headers = v->headers,
		.body = v->body,
		.body_len = strlen(v->body),
		.region = v->region,
		.service = v->service,
		.double_encode_path = true };

	while (r.n_headers < 8 && v->headers[r.n_headers].name != NULL)
		r.n_headers++;
	return r;
}

static inline struct sigv4_request
connect_request(const struct sigv4_header *host)
{
	return (struct sigv4_request){ .method = "GET",
		.path = "/",
		.query = "DBUser=app%20user%40x&Action=connect",
		.headers = host,
		.n_headers = 1,
		.region = "eu-west-1",
		.service = "rds-db",
		.double_encode_path = true };
}

#define PRESIGNED                                                                                  \
	"Action=connect&DBUser=app%20user%40x&X-Amz-Algorithm=AWS4-HMAC-SHA256&"                   \
	"X-Amz-Credential=AKIDEXAMPLE%2F20260314%2Feu-west-1%2Frds-db%2Faws4_request&"             \
	"X-Amz-Date=20260314T015926Z&X-Amz-Expires=900&"

static const struct sigv4_header db_host = { "Host", "db.abc.eu-west-1.rds.amazonaws.com:5432" };

#endif
