/* RDS IAM authentication: the password is a request to the database, presigned by us. Nobody is asked
 * for it but, now and then, for the keys that sign. The server asks for it in the clear: whoever logs
 * in with it must have TLS with a verified certificate. */
#include "auth/source/secret_source.h"

#include "auth/sigv4.h"
#include "auth/source/aws_clock.h"
#include "auth/source/aws_credentials.h"
#include "auth/source/aws_entry.h"
#include "auth/source/aws_plan.h"
#include "auth/source/source_entry.h"
#include "auth/source/source_text.h"
#include "proxy/base/buf.h"
#include "proxy/base/loop.h"
#include "proxy/config/config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIFE_S	     900
#define REFRESH_MS   INT64_C(600000)
#define DEFAULT_PORT 5432

struct source_rds_iam {
	struct secret_source base;
	struct secret_source_env env;
	struct aws_credentials *credentials;
	struct aws_want want;
	char user[SECRET_USER_MAX + 1], host[SECRET_HOST_MAX + 1], dbname[SECRET_USER_MAX + 1];
	int port;
	char region[AWS_REGION_MAX]; /* "" = by the environment, profile or instance */
	secret_fetched *done;
	void *arg;
	struct deadline later; /* for stages that do not exist */
};

static void
answer(struct source_rds_iam *s, const struct secret_answer *a)
{
	secret_fetched *done = s->done;

	s->done = NULL;
	done(s->arg, a);
}

static void
on_later(struct deadline *d)
{
	struct source_rds_iam *s = list_entry(d, struct source_rds_iam, later);
	struct secret_answer a = { .error = SECRET_NOT_SERVED, .message = "tokens have no stages" };

	answer(s, &a);
}

/* ---- signing ---- */

/* HOST:PORT/?QUERY into the value's password. 0, or -1: it does not fit. */
static int
presign(const struct source_rds_iam *s, const struct aws_keys *keys, const char *region,
    const char date[SIGV4_DATE_LEN + 1], struct secret_value *v)
{
	char address[SECRET_HOST_MAX + 16], query[256];
	struct sigv4_header host = { .name = "host", .value = address };
	struct sigv4_request r = { .method = "GET",
		.path = "/",
		.query = query,
		.headers = &host,
		.n_headers = 1,
		.body = "",
		.region = region,
		.service = "rds-db",
		.double_encode_path = true };
	struct sigv4_key key = { .access_key_id = keys->access_key_id,
		.secret_access_key = keys->secret_access_key,
		.session_token = keys->session_token };
	struct buf b;
	int n, len;

	buf_init(&b, sizeof(query));
	buf_printf(&b, "Action=connect&DBUser=");
	source_text_encode(&b, s->user, strlen(s->user), false);
	snprintf(query, sizeof(query), "%.*s", buf_failed(&b) ? 0 : (int)buf_len(&b),
	    buf_failed(&b) ? "" : (const char *)buf_data(&b));
	buf_release(&b);
	snprintf(address, sizeof(address), "%s:%d", s->host, s->port);
	n = snprintf(v->password, sizeof(v->password), "%s/?", address);
	len = sigv4_presign(v->password + n, sizeof(v->password) - (size_t)n, &r, &key, date,
	    LIFE_S);
	if (query[0] == '\0' || len < 0)
		return -1;
	v->password_len = (size_t)(n + len);
	return 0;
}

/* A token is no better than the keys that signed it. */
static void
set_times(struct secret_answer *a, int64_t now_ms, int64_t keys_left_ms)
{
	int64_t life = LIFE_S * 1000, refresh = REFRESH_MS;

	if (keys_left_ms >= 0 && keys_left_ms < life) {
		life = keys_left_ms;
		if (refresh > life * 2 / 3)
			refresh = life * 2 / 3;
	}
	a->expires_unix_ms = now_ms + life;
	a->refresh_unix_ms = now_ms + refresh;
}

static void
give(struct source_rds_iam *s, const struct aws_keys *keys, const char *region)
{
	struct secret_answer a = { .error = SECRET_BAD_VALUE,
		.message = "the token is longer than a password may be" };
	int64_t now_ms = s->env.unix_ms(), aws_ms = aws_clock_ms(now_ms);
	char date[SIGV4_DATE_LEN + 1];
	struct secret_value v;

	memset(&v, 0, sizeof(v));
	sigv4_date(date, aws_ms / 1000);
	if (presign(s, keys, region, date, &v) == 0) {
		memcpy(v.user, s->user, sizeof(v.user));
		memcpy(v.host, s->host, sizeof(v.host));
		memcpy(v.dbname, s->dbname, sizeof(v.dbname));
		v.port = s->port;
		a = (struct secret_answer){ .value = &v, .version = date };
		set_times(&a, now_ms,
		    keys->expires_unix_ms == 0 ? -1 : keys->expires_unix_ms - aws_ms);
		v.expires_unix_ms = a.expires_unix_ms;
	}
	answer(s, &a);
	secret_value_wipe(&v);
}

static void
on_ready(struct aws_want *w, const struct aws_given *given)
{
	struct source_rds_iam *s = list_entry(w, struct source_rds_iam, want);
	const char *region = s->region[0] != '\0' ? s->region : given->region;
	struct secret_answer a = { .error = given->failure->error,
		.message = given->failure->message,
		.retry_after_ms = given->failure->retry_after_ms };

	if (given->keys != NULL && *region != '\0') {
		give(s, given->keys, region);
		return;
	}
	if (given->keys != NULL)
		a = (struct secret_answer){
			.error = SECRET_DENIED,
			.message =
			    "no AWS region: neither region=, the host's name, AWS_REGION, the profile nor the instance says one"
		};
	answer(s, &a);
}

static void
source_rds_iam_fetch(struct secret_source *base, enum secret_stage stage, secret_fetched *done,
    void *arg)
{
	struct source_rds_iam *s = (struct source_rds_iam *)base;

	s->done = done;
	s->arg = arg;
	if (stage == SECRET_CURRENT)
		aws_credentials_want(s->credentials, &s->want);
	else
		loop_deadline(s->env.loop, &s->later, loop_now_ms(s->env.loop));
}

/* ---- opening ---- */

static void
source_rds_iam_close(struct secret_source *base)
{
	struct source_rds_iam *s = (struct source_rds_iam *)base;

	loop_deadline_remove(s->env.loop, &s->later);
	aws_credentials_unwant(&s->want);
	aws_credentials_release(s->credentials);
	free(s);
}

static int
check_entry(const struct config_secret *c, char *err, size_t errlen)
{
	static const char *const taken[] = { "region", "profile", "role_arn", NULL };

	if (source_entry_check(c, taken, err, errlen) == -1 ||
	    aws_entry_check(c, err, errlen) == -1)
		return -1;
	if (c->host == NULL || *c->host == '\0')
		snprintf(err, errlen,
		    "host: missing (the endpoint of the database, no alias: it is part of the signature)");
	else if (strlen(c->host) > SECRET_HOST_MAX || !source_text_plain(c->host) ||
		 strpbrk(c->host, "/:?#@,") != NULL)
		snprintf(err, errlen, "host=%.100s: must be one host name", c->host);
	else if (c->user == NULL || *c->user == '\0')
		snprintf(err, errlen, "user: missing (the database user with rds_iam)");
	else if (strlen(c->user) > SECRET_USER_MAX)
		snprintf(err, errlen, "user: longer than %d bytes", SECRET_USER_MAX);
	else if (c->dbname != NULL && strlen(c->dbname) > SECRET_USER_MAX)
		snprintf(err, errlen, "dbname: longer than %d bytes", SECRET_USER_MAX);
	else
		return 0;
	return -1;
}

/* NAME.ID.REGION.rds.amazonaws.com[.cn] says where it is. */
static void
region_of_host(struct source_rds_iam *s)
{
	const char *rds = strstr(s->host, ".rds.amazonaws.com"), *at = rds;

	if (rds == NULL)
		return;
	while (at > s->host && at[-1] != '.')
		at--;
	if (rds - at < AWS_REGION_MAX)
		snprintf(s->region, sizeof(s->region), "%.*s", (int)(rds - at), at);
	if (!aws_region_ok(s->region))
		s->region[0] = '\0';
}

static struct secret_source *
source_rds_iam_open(const struct config_secret *c, const struct secret_source_env *env, char *err,
    size_t errlen)
{
	struct source_rds_iam *s;

	if (check_entry(c, err, errlen) == -1)
		return NULL;
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		goto no_memory;
	s->base.ops = &source_rds_iam;
	s->env = *env;
	snprintf(s->user, sizeof(s->user), "%s", c->user);
	snprintf(s->dbname, sizeof(s->dbname), "%s", c->dbname == NULL ? "" : c->dbname);
	for (size_t i = 0; c->host[i] != '\0'; i++)
		s->host[i] = (char)tolower((unsigned char)c->host[i]);
	s->port = c->port <= 0 ? DEFAULT_PORT : c->port;
	if (c->region != NULL)
		snprintf(s->region, sizeof(s->region), "%s", c->region);
	else
		region_of_host(s);
	s->want.region = s->region[0] == '\0';
	s->want.ready = on_ready;
	list_init(&s->want.node);
	deadline_init(&s->later, on_later);
	s->credentials = aws_credentials_open(c->profile, c->role_arn,
	    s->region[0] == '\0' ? NULL : s->region, env);
	if (s->credentials != NULL)
		return &s->base;
	source_rds_iam_close(&s->base);
no_memory:
	snprintf(err, errlen, "out of memory");
	return NULL;
}

const struct secret_source_ops source_rds_iam = {
	.name = "rds-iam",
	.open = source_rds_iam_open,
	.fetch = source_rds_iam_fetch,
	.close = source_rds_iam_close,
};
