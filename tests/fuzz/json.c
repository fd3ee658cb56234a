/* json.c -- fuzz harness: any bytes are either refused with a message or give a tape whose tokens lie
 * inside each other and inside the text; strings that can be unescaped are the same after they were
 * written and read again; numbers agree with strtod(). */
#include "proxy/wire/json.h"

#include "proxy/base/buf.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
expect(bool truth)
{
	if (!truth)
		abort();
}

static void
check_string(const struct json *j, size_t i, size_t len)
{
	char *out = malloc(len + 1), *again = malloc(len + 1), err[128];
	struct json_token tok[1];
	struct json copy;
	struct buf b;
	long n;

	expect(out != NULL && again != NULL);
	n = json_string(j, i, out, len + 1);
	expect(n <= (long)len);
	if (n >= 0) {
		expect(strlen(out) == (size_t)n && json_equals(j, i, out));
		expect(json_string(j, i, again, (size_t)n) == -1);
		buf_init(&b, BUF_CAP_MAX);
		json_put_string(&b, out, (size_t)n);
		expect(!buf_failed(&b));
		expect(json_parse(&copy, (const char *)buf_data(&b), buf_len(&b), tok, 1, err,
			   sizeof(err)) == 0);
		expect(json_string(&copy, 0, again, len + 1) == n);
		expect(memcmp(again, out, (size_t)n) == 0);
		buf_release(&b);
	}
	free(out);
	free(again);
}

static void
check_number(const struct json *j, size_t i, const struct json_token *t)
{
	char *text = strndup(j->text + t->at, t->len);
	double want, got;
	int64_t whole;

	expect(text != NULL);
	want = strtod(text, NULL);
	if (json_double(j, i, &got) == 0)
		expect(got == want);
	else
		expect(isinf(want));
	if (json_int(j, i, &whole) == 0)
		expect(got == (double)whole);
	free(text);
}

static void
check_container(const struct json *j, size_t at)
{
	size_t end = j->tok[at].next, i = json_first(j, at), last = at;

	for (; i != JSON_NONE; i = json_next(j, at, i)) {
		expect(i > last && i < end && j->tok[i].depth == j->tok[at].depth + 1);
		last = i;
		if (j->tok[at].type == JSON_OBJECT) {
			expect(json_is(j, i, JSON_STRING) && i + 1 < end);
			last = i + 1;
		}
	}
	expect(last == at ? end == at + 1 : j->tok[last].next == end);
	expect(json_member(j, at, "a") != at);
}

static void
check(const struct json *j, size_t size)
{
	expect(j->n > 0 && j->n <= size / 2 + 1 && j->tok[0].next == j->n);
	for (size_t i = 0; i < j->n; i++) {
		const struct json_token *t = &j->tok[i];

		expect((size_t)t->at + t->len <= size && t->next > i && t->next <= j->n);
		expect(t->depth < JSON_DEPTH_MAX || t->type > JSON_ARRAY);
		if (t->type == JSON_STRING)
			check_string(j, i, t->len);
		else if (t->type == JSON_NUMBER)
			check_number(j, i, t);
		else if (t->type <= JSON_ARRAY)
			check_container(j, i);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t max = size / 2 + 1;
	struct json_token *tok = calloc(max, sizeof(*tok));
	struct json j;
	struct buf b;
	char err[128] = "";

	expect(tok != NULL);
	if (json_parse(&j, (const char *)data, size, tok, max, err, sizeof(err)) == 0)
		check(&j, size);
	else
		expect(err[0] != '\0' && strpbrk(err, "\r\n") == NULL && j.n == 0);
	/* what is no text can be written, too */
	buf_init(&b, BUF_CAP_MAX);
	json_put_string(&b, (const char *)data, size);
	expect(json_parse(&j, (const char *)buf_data(&b), buf_len(&b), tok, max, err,
		   sizeof(err)) == 0);
	buf_release(&b);
	free(tok);
	return 0;
}
