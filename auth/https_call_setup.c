#include "auth/https_call_inside.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_TIMEOUT_MS 3000
#define TIMEOUT_MS	   8000
#define TIMEOUT_MAX_MS	   (10 * 60 * 1000)
#define HEAD_MAX	   (64 * 1024) /* all header lines of a response */
#define REQUEST_LINE_MAX   (32 * 1024) /* a URL or a header that we send */
#define CA_CACHE_S	   3600L       /* of the system's file: parsing it takes 10 ms */
#define IDLE_MAX_S	   60L
#define LIFE_MAX_S	   300L /* renewed CA files and client certificates take effect */

int64_t
https_call_timeout_ms(const struct https_request *r)
{
	if (r->timeout_ms <= 0)
		return TIMEOUT_MS;
	return r->timeout_ms < TIMEOUT_MAX_MS ? r->timeout_ms : TIMEOUT_MAX_MS;
}

static int64_t
connect_timeout_ms(const struct https_request *r)
{
	int64_t whole = https_call_timeout_ms(r),
		ms = r->connect_timeout_ms <= 0 ? CONNECT_TIMEOUT_MS : r->connect_timeout_ms;

	return ms < whole ? ms : whole;
}

/* libcurl would let programs that we start inherit it. */
static curl_socket_t
on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	(void)arg;
	(void)purpose;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* ---- what comes in ---- */

static size_t
on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct https_call *c = arg;

	/* one byte less than the cap: a NUL follows */
	if (size * n > HTTPS_RESPONSE_MAX - buf_len(&c->in))
		c->refusal = "the response is larger than 1 MiB";
	else
		buf_put(&c->in, bytes, size * n);
	if (buf_failed(&c->in))
		c->refusal = "out of memory";
	return c->refusal == NULL ? size * n : 0;
}

static size_t
on_head(char *bytes, size_t size, size_t n, void *arg)
{
	struct https_call *c = arg;

	(void)bytes;
	c->head_len += size * n;
	if (c->head_len <= HEAD_MAX)
		return size * n;
	c->refusal = "the response's headers are larger than 64 KiB";
	return 0;
}

/* ---- what may be sent ---- */

static bool
is_local(const char *host)
{
	size_t len = strlen(host);
	struct in_addr v4;
	struct in6_addr v6;
	char bare[INET6_ADDRSTRLEN];

	/* libcurl itself maps this name to loopback addresses, nobody is asked */
	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1) {
		uint32_t a = ntohl(v4.s_addr);

		return a >> 24 == 127 || a >> 16 == (169u << 8 | 254u);
	}
	if (len < 4 || host[0] != '[' || host[len - 1] != ']' || len - 2 >= sizeof(bare))
		return false;
	memcpy(bare, host + 1, len - 2);
	bare[len - 2] = '\0';
	return inet_pton(AF_INET6, bare, &v6) == 1 &&
	       (IN6_IS_ADDR_LOOPBACK(&v6) || IN6_IS_ADDR_LINKLOCAL(&v6));
}

/* Sets *https or a refusal. The parser is the one that libcurl connects by, so that both always see
 * the same host. */
static int
judge_url(struct https_call *c, const struct https_request *r, bool *https)
{
	CURLU *u = curl_url();
	CURLUcode rc = CURLUE_MALFORMED_INPUT;
	char *scheme = NULL, *host = NULL;
	int answer = 0;

	if (u == NULL)
		return -1;
	if (strnlen(r->url, REQUEST_LINE_MAX) < REQUEST_LINE_MAX)
		rc = curl_url_set(u, CURLUPART_URL, r->url, CURLU_DISALLOW_USER | CURLU_PATH_AS_IS);
	if (rc == CURLUE_OK)
		rc = curl_url_get(u, CURLUPART_SCHEME, &scheme, 0);
	if (rc == CURLUE_OK)
		rc = curl_url_get(u, CURLUPART_HOST, &host, 0);
	*https = scheme != NULL && strcmp(scheme, "https") == 0;
	if (rc == CURLUE_OUT_OF_MEMORY)
		answer = -1;
	else if (rc == CURLUE_USER_NOT_ALLOWED)
		c->refusal = "the URL holds a user name";
	else if (rc != CURLUE_OK || (!*https && strcmp(scheme, "http") != 0))
		c->refusal = "not an https URL";
	else if (!*https && !r->plain_http && !is_local(host))
		c->refusal = "http:// is for local addresses only";
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return answer;
}

static bool
is_name_char(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
	       (ch != '\0' && strchr("!#$%&'*+-.^_`|~", ch) != NULL);
}

/* Length of the name of "Name: value", 0 = not one line of that form. */
static size_t
header_name(const char *line)
{
	size_t n = 0, len = strnlen(line, REQUEST_LINE_MAX);

	while (is_name_char(line[n]))
		n++;
	if (len == REQUEST_LINE_MAX || line[n] != ':')
		return 0;
	for (size_t i = n; i < len; i++) {
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return 0;
	}
	return n;
}

static bool
is_method(const char *m)
{
	size_t n = strspn(m, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return n > 0 && n <= 16 && m[n] == '\0';
}

/* ---- the handle ---- */

static int
add_line(struct https_call *c, const char *line)
{
	struct curl_slist *longer = curl_slist_append(c->headers, line);

	if (longer == NULL)
		return -1;
	c->headers = longer;
	return 0;
}

/* A header without a value: libcurl would take "Name:" as an order to leave it out. */
static int
add_empty(struct https_call *c, const char *line, size_t name_len)
{
	char *s = strndup(line, name_len + 1);
	int rc;

	if (s == NULL)
		return -1;
	s[name_len] = ';';
	rc = add_line(c, s);
	free(s);
	return rc;
}

static bool
is_listed(const struct https_request *r, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < r->n_headers; i++) {
		if (strncasecmp(r->headers[i], name, len) == 0 && r->headers[i][len] == ':')
			return true;
	}
	return false;
}

static int
add_headers(struct https_call *c, const struct https_request *r)
{
	/* what libcurl would send of its own accord */
	static const char *const own[] = { "Accept", "Expect", "Content-Type", "User-Agent" };
	static const char *const order[] = { "Accept:", "Expect:", "Content-Type:", "User-Agent:" };

	for (size_t i = 0; i < r->n_headers; i++) {
		size_t n = r->n_headers > HTTPS_HEADERS_MAX ? 0 : header_name(r->headers[i]);
		const char *value = r->headers[i] + n + 1;

		if (n == 0) {
			c->refusal = "a request header is malformed";
			return 0;
		}
		if ((value[strspn(value, " \t")] == '\0' ? add_empty(c, r->headers[i], n)
							 : add_line(c, r->headers[i])) == -1)
			return -1;
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (!is_listed(r, own[i]) && add_line(c, order[i]) == -1)
			return -1;
	}
	return 0;
}

/* Every option that takes part in a decision is set, also where libcurl's default is the same.
 * SET() leaves the first failure in rc. */
#define SET(option, value) (rc = rc != CURLE_OK ? rc : curl_easy_setopt(c->easy, option, value))

static CURLcode
set_method(struct https_call *c, const struct https_request *r)
{
	bool sends = r->body != NULL || strcmp(r->method, "POST") == 0 ||
		     strcmp(r->method, "PUT") == 0;
	CURLcode rc = CURLE_OK;

	if (sends) {
		if (r->body != NULL && r->body_len > 0) {
			c->body = malloc(r->body_len);
			if (c->body == NULL)
				return CURLE_OUT_OF_MEMORY;
			memcpy(c->body, r->body, r->body_len);
			c->body_len = r->body_len;
		}
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
		SET(CURLOPT_POSTFIELDS, c->body_len > 0 ? c->body : "");
	} else if (strcmp(r->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else
		SET(CURLOPT_HTTPGET, 1L);
	SET(CURLOPT_CUSTOMREQUEST, r->method);
	SET(CURLOPT_HTTPHEADER, c->headers);
	SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	return rc;
}

static CURLcode
set_tls(struct https_call *c, const struct https_request *r)
{
	const char *system_file = curl_version_info(CURLVERSION_NOW)->cainfo;
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* a resumed session would outlive its CA file or client certificate */
	SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
	/* the built-in folder of the system's CAs would count beside the file, and forbid a cache */
	if (r->ca_file != NULL || system_file != NULL)
		SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_CA_CACHE_TIMEOUT, r->ca_file == NULL ? CA_CACHE_S : 0L);
	if (r->ca_file != NULL)
		SET(CURLOPT_CAINFO, r->ca_file);
	if (r->cert_file != NULL)
		SET(CURLOPT_SSLCERT, r->cert_file);
	if (r->key_file != NULL)
		SET(CURLOPT_SSLKEY, r->key_file);
	return rc;
}

static CURLcode
set_transport(struct https_call *c, const struct https_request *r, bool https)
{
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_URL, r->url);
	SET(CURLOPT_PATH_AS_IS, 1L); /* it may be signed */
	SET(CURLOPT_PROTOCOLS_STR, https ? "https" : "http");
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (!r->proxy || !https)
		SET(CURLOPT_NOPROXY, "*");
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
	SET(CURLOPT_NOSIGNAL, 1L);
	/* a name server that does not answer must not hold the loop when the call is given up:
	 * the resolving thread is left alone, not waited for */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms(r));
	SET(CURLOPT_TIMEOUT_MS, (long)https_call_timeout_ms(r));
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_MAXAGE_CONN, IDLE_MAX_S);
	SET(CURLOPT_MAXLIFETIME_CONN, LIFE_MAX_S);
	return rc;
}

static CURLcode
set_sinks(struct https_call *c)
{
	CURLcode rc = CURLE_OK;

	SET(CURLOPT_PRIVATE, c);
	SET(CURLOPT_ERRORBUFFER, c->error);
	SET(CURLOPT_NOPROGRESS, 1L);
	SET(CURLOPT_WRITEFUNCTION, on_body);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_HEADERFUNCTION, on_head);
	SET(CURLOPT_HEADERDATA, c);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)HTTPS_RESPONSE_MAX);
	return rc;
}

int
https_call_set_up(struct https_call *c, const struct https_request *r)
{
	bool https = true;
	CURLcode rc;

	if (!is_method(r->method)) {
		c->refusal = "not a method";
		return 0;
	}
	if (judge_url(c, r, &https) == -1 || (c->refusal == NULL && add_headers(c, r) == -1))
		return -1;
	if (c->refusal != NULL)
		return 0;
	rc = set_sinks(c);
	if (rc == CURLE_OK)
		rc = set_transport(c, r, https);
	if (rc == CURLE_OK)
		rc = set_tls(c, r);
	if (rc == CURLE_OK)
		rc = set_method(c, r);
	if (rc != CURLE_OK && rc != CURLE_OUT_OF_MEMORY)
		c->refusal = curl_easy_strerror(rc);
	return rc == CURLE_OUT_OF_MEMORY ? -1 : 0;
}
