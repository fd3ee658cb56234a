#include "auth/source/aws_post.h"

#include "auth/sigv4.h"
#include "auth/source/aws_clock.h"
#include "auth/source/aws_plan.h"
#include "auth/source/source_text.h"
#include "proxy/base/buf.h"

#include <stdio.h>
#include <string.h>

#define AUTHORIZATION_MAX 1024
#define HEADERS_MAX	  32768

/* A request on its way. */
struct sending {
	const struct aws_post *post;
	char host[300], path[512], url[1024], date[SIGV4_DATE_LEN + 1];
	struct sigv4_header headers[5];
	size_t n;
	char authorization[AUTHORIZATION_MAX];
};

/* ---- addresses ---- */

bool
aws_endpoint_ok(const char *url)
{
	const char *host = NULL;

	if (strncmp(url, "https://", 8) == 0)
		host = url + 8;
	else if (strncmp(url, "http://", 7) == 0)
		host = url + 7;
	return host != NULL && *host != '\0' && *host != '/' && strlen(url) < 512 &&
	       source_text_plain(url) && strpbrk(url, "?#@") == NULL;
}

int
aws_endpoint(char *out, size_t size, const char *variable, const char *profile_url,
    const char *service, const char *region)
{
	const char *url = aws_env(variable);
	int n;

	if (url == NULL)
		url = aws_env("AWS_ENDPOINT_URL");
	if (url == NULL)
		url = profile_url;
	if (url != NULL)
		n = aws_endpoint_ok(url) ? snprintf(out, size, "%s", url) : -1;
	else
		n = snprintf(out, size, "https://%s%s%s.amazonaws.com%s", service,
		    *region == '\0' ? "" : ".", region,
		    strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	return n < 0 || (size_t)n >= size ? -1 : 0;
}

/* The Host header as libcurl sends it, without the scheme's own port; the path; and the URL. */
static int
split_endpoint(struct sending *s, const char *url)
{
	bool tls = strncmp(url, "https://", 8) == 0;
	const char *host = url + (tls ? 8 : 7), *port = tls ? ":443" : ":80";
	int n = (int)strcspn(host, "/"), path_len = (int)strlen(host + n);
	int before_path = (int)(host - url) + n, port_len = (int)strlen(port);
	const char *path = host + n;

	while (path_len != 0 && path[path_len - 1] == '/')
		path_len--;
	if (n > port_len && memcmp(host + n - port_len, port, (size_t)port_len) == 0)
		n -= port_len;
	if (snprintf(s->host, sizeof(s->host), "%.*s", n, host) >= (int)sizeof(s->host) ||
	    snprintf(s->path, sizeof(s->path), "%.*s/", path_len, path) >= (int)sizeof(s->path))
		return -1;
	return snprintf(s->url, sizeof(s->url), "%.*s%s", before_path, url, s->path) >=
		       (int)sizeof(s->url)
		   ? -1
		   : 0;
}

/* ---- signing ---- */

static void
add(struct sending *s, const char *name, const char *value)
{
	if (value != NULL)
		s->headers[s->n++] = (struct sigv4_header){ .name = name, .value = value };
}

static int
sign(struct sending *s, int64_t now_ms)
{
	const struct aws_post *p = s->post;
	struct sigv4_request r = { .method = "POST",
		.path = s->path,
		.headers = s->headers,
		.body = p->body,
		.body_len = p->body_len,
		.region = p->region,
		.service = p->service,
		.double_encode_path = true };
	struct sigv4_key key;

	if (p->keys == NULL)
		return 0;
	key = (struct sigv4_key){ .access_key_id = p->keys->access_key_id,
		.secret_access_key = p->keys->secret_access_key,
		.session_token = p->keys->session_token };
	sigv4_date(s->date, aws_clock_ms(now_ms) / 1000);
	add(s, "X-Amz-Date", s->date);
	add(s, "X-Amz-Security-Token", p->keys->session_token);
	r.n_headers = s->n;
	return sigv4_authorization(s->authorization, sizeof(s->authorization), &r, &key, s->date) <
		       0
		   ? -1
		   : 0;
}

/* The texts of all headers, one after the other with a NUL behind each, in b: host is not among them,
 * it is libcurl's. */
static void
put_headers(const struct sending *s, struct buf *b, struct https_request *r)
{
	for (size_t i = 1; i < s->n; i++) {
		buf_printf(b, "%s: %s", s->headers[i].name, s->headers[i].value);
		buf_put_u8(b, 0);
	}
	if (s->post->keys != NULL) {
		buf_printf(b, "Authorization: %s", s->authorization);
		buf_put_u8(b, 0);
	}
	for (uint32_t at = 0; !buf_failed(b) && at < buf_len(b);) {
		const char *text = (const char *)buf_data(b) + at;

		r->headers[r->n_headers++] = text;
		at += (uint32_t)strlen(text) + 1;
	}
}

struct https_call *
aws_post(const struct secret_source_env *env, const struct aws_post *p, https_done *done, void *arg)
{
	struct sending s = { .post = p };
	struct https_request r = { .method = "POST",
		.url = s.url,
		.body = p->body,
		.body_len = p->body_len,
		.ca_file = p->ca_file == NULL ? aws_env("AWS_CA_BUNDLE") : p->ca_file,
		.timeout_ms = p->timeout_ms,
		.proxy = true };
	struct https_call *call = NULL;
	struct buf b;

	buf_init(&b, HEADERS_MAX);
	b.wipe = 1;
	if (split_endpoint(&s, p->endpoint) == -1)
		return NULL;
	add(&s, "Host", s.host);
	add(&s, "Content-Type", p->content_type);
	add(&s, "X-Amz-Target", p->target);
	if (sign(&s, env->unix_ms()) == 0) {
		put_headers(&s, &b, &r);
		if (!buf_failed(&b))
			call = https_call(env->calls, &r, done, arg);
	}
	buf_release(&b);
	return call;
}
