/* login_auth_iam.c -- a token as for RDS with IAM authentication: "host:port/?Action=connect&DBUser=...&X-Amz-...",
 * a presigned request that is never sent. Whoever can sign it with the secret access key of iam_secret comes in, as
 * the user that it names, at the address that it names, for as long as it lives (15 minutes at most). */
#include "proxy/session/login_inside.h"

#include "auth/client_auth.h"
#include "auth/secret.h"
#include "auth/secret_version.h"
#include "auth/secrets.h"
#include "auth/sigv4.h"
#include "pool/pool.h"
#include "proxy/config/config.h"
#include "proxy/session/session.h"
#include "proxy/session/session_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define TOKEN_MAX  4096
#define SKEW_S	   300
#define LIFE_MAX_S 900
#define VALUE_MAX  256

/* A token taken apart. */
struct iam_token {
	char text[TOKEN_MAX]; /* the address ends where the / was */
	const char *query;
	struct sigv4_header host;
	struct sigv4_request request;
	struct sigv4_claim claim;
	char key_id[VALUE_MAX];
};

/* ---- one parameter of a query ---- */

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Length of the decoded text, or -1. */
static long
decode(char *out, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			if (i + 2 >= len || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
				return -1;
			c = hex(text[i + 1]) << 4 | hex(text[i + 2]);
			i += 2;
		}
		if (c == '\0' || c == '+' || n + 1 >= size)
			return -1;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return (long)n;
}

/* Is there exactly one parameter of that name, and is this its value? */
static bool
says(const char *query, const char *name, const char *value)
{
	char found_name[VALUE_MAX], found[VALUE_MAX];
	int times = 0;
	bool same = false;

	while (*query != '\0') {
		size_t len = strcspn(query, "&"), equals;

		for (equals = 0; equals < len && query[equals] != '=';)
			equals++;
		if (decode(found_name, sizeof(found_name), query, equals) >= 0 &&
		    strcmp(found_name, name) == 0) {
			times++;
			same = equals < len &&
			       decode(found, sizeof(found), query + equals + 1, len - equals - 1) >=
				   0 &&
			       strcmp(found, value) == 0;
		}
		query += len;
		query += *query == '&';
	}
	return times == 1 && same;
}

/* ---- what it has to say ---- */

/* Is "host:port" one of a list of such, or of hosts without a port when port is not 0? */
static bool
is_listed(const char *list, const char *address, int port)
{
	char one[300];

	while (*list != '\0') {
		size_t len;

		list += strspn(list, ", \t");
		len = strcspn(list, ", \t");
		if (port != 0)
			snprintf(one, sizeof(one), "%.*s:%d", (int)len, list, port);
		else
			snprintf(one, sizeof(one), "%.*s", (int)len, list);
		if (len > 0 && len < 256 && strcasecmp(one, address) == 0)
			return true;
		list += len;
	}
	return false;
}

static bool
is_for_us(const struct config *cfg, const char *address)
{
	if (cfg->iam_hosts != NULL)
		return is_listed(cfg->iam_hosts, address, 0);
	return cfg->listen_addr != NULL && is_listed(cfg->listen_addr, address, cfg->listen_port);
}

/* NULL, or why it cannot be good, whoever signed it. */
static const char *
take_apart(struct iam_token *t, const struct login *l)
{
	const char *text;
	size_t len;
	char *slash;

	text = client_auth_password(l->auth, &len);
	if (len >= sizeof(t->text))
		return "the token is too long";
	memcpy(t->text, text, len + 1);
	slash = strchr(t->text, '/');
	if (slash == NULL || slash[1] != '?')
		return "what was sent is no token";
	*slash = '\0';
	t->query = slash + 2;
	t->host = (struct sigv4_header){ "host", t->text };
	t->request = (struct sigv4_request){ .method = "GET",
		.path = "/",
		.query = t->query,
		.headers = &t->host,
		.n_headers = 1,
		.body = "",
		.service = "rds-db",
		.double_encode_path = true };
	if (sigv4_claim(&t->request, &t->claim) != SIGV4_OK || !t->claim.presigned ||
	    t->claim.access_key_id_len >= sizeof(t->key_id))
		return "what was sent is no token";
	memcpy(t->key_id, t->claim.access_key_id, t->claim.access_key_id_len);
	t->key_id[t->claim.access_key_id_len] = '\0';
	if (t->claim.expires_s > LIFE_MAX_S)
		return "the token lives too long";
	if (!says(t->query, "Action", "connect") || !says(t->query, "DBUser", l->asked.user))
		return "the token is not for this user";
	if (!is_for_us(l->env->cfg, t->text))
		return "the token is for another address (iam_hosts)";
	return NULL;
}

/* ---- who signed it ---- */

/* `known`: there is a key of that id. */
static enum sigv4_verdict
verify(struct secret *secret, const struct iam_token *t, bool *known)
{
	struct secret_version *v[SECRET_CANDIDATES];
	size_t n = secret_candidates(secret, t->key_id, v);
	enum sigv4_verdict best = SIGV4_MISMATCH;

	*known = n > 0;
	for (size_t i = 0; i < n; i++) {
		enum sigv4_verdict one = sigv4_verify(&t->request, &t->claim, v[i]->password,
		    (int64_t)time(NULL), SKEW_S);

		if (one == SIGV4_OK || best == SIGV4_MISMATCH)
			best = best == SIGV4_OK ? best : one;
		secret_version_unref(v[i]);
	}
	return best;
}

/* The provider of the secret may have a newer key: one question for each login, bounded for all. */
static bool
may_wait(struct login *l, struct secret *secret)
{
	if (secret_is_cold(secret))
		return true;
	if (!l->searched) {
		l->searched = true;
		l->searches = secret_client_refused(secret);
		return true;
	}
	return secret_searches(secret) == l->searches;
}

static bool
refuse(struct session *s, const char *why)
{
	login_auth_note(s, why);
	return login_auth_refuse(s);
}

bool
login_auth_iam(struct session *s)
{
	struct login *l = s->login;
	struct secrets *all = pool_worker(session_worker(s))->secrets;
	const char *name = l->env->cfg->iam_secret, *why;
	struct secret *secret = name != NULL && all != NULL ? secrets_find(all, name) : NULL;
	enum sigv4_verdict verdict;
	struct iam_token t;
	bool known;

	if (secret == NULL)
		return refuse(s, "there is no iam_secret to check tokens with");
	why = take_apart(&t, l);
	if (why != NULL) {
		explicit_bzero(t.text, sizeof(t.text));
		return refuse(s, why);
	}
	verdict = verify(secret, &t, &known);
	explicit_bzero(t.text, sizeof(t.text));
	if (verdict == SIGV4_OK)
		return login_authenticated(s);
	if (verdict == SIGV4_SKEWED)
		return refuse(s, "the token has expired, or clocks differ");
	if (verdict == SIGV4_MISMATCH && may_wait(l, secret)) {
		l->wait = LOGIN_WAITS_SECRET;
		return true;
	}
	return refuse(s, known ? "the signature of the token is wrong"
			       : "the access key of the token is not that of iam_secret");
}
