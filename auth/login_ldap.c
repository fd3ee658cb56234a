#include "auth/login_ldap.h"

#include "auth/login_ldap_name.h"
#include "auth/login_ldap_options.h"

#include <errno.h>
#include <lber.h>
#include <ldap.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#define DN_MAX	   2048
#define FILTER_MAX 8192

struct asking {
	const struct login_ldap_options *options;
	const struct login_attempt *attempt;
	uint64_t deadline_ms; /* for this server */
	LDAP *ld;
	struct ldap_conncb on_connect;
	char *why;
	size_t whylen;
};

static uint64_t
monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* What is left for this step; 0: nothing. */
static uint64_t
step_ms(const struct asking *a)
{
	uint64_t now = monotonic_ms(), ms = 0;

	if (now < a->deadline_ms)
		ms = a->deadline_ms - now;
	return ms < LOGIN_LDAP_STEP_MS ? ms : LOGIN_LDAP_STEP_MS;
}

static struct timeval
to_timeval(uint64_t ms)
{
	return (struct timeval){ .tv_sec = (time_t)(ms / 1000),
		.tv_usec = (suseconds_t)(ms % 1000 * 1000) };
}

/* ---- what an answer means ---- */

/* Codes that are about this user; all others are about the server or our settings. */
static bool
is_refusal(int code)
{
	switch (code) {
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_INAPPROPRIATE_AUTH: /* has no password */
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_INVALID_DN_SYNTAX:
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_UNWILLING_TO_PERFORM: /* locked */
	case LDAP_CONSTRAINT_VIOLATION: /* too many tries */
		return true;
	default:
		return false;
	}
}

static enum login_result
unavailable(struct asking *a, const char *doing, int code)
{
	snprintf(a->why, a->whylen, "LDAP: %s: %s", doing, ldap_err2string(code));
	return LOGIN_UNAVAILABLE;
}

static enum login_result
refused(struct asking *a, const char *why)
{
	snprintf(a->why, a->whylen, "LDAP: %s", why);
	return LOGIN_REFUSED;
}

/* ---- the connection ---- */

/* libldap's own limits do not cover the TLS handshake (with GnuTLS it waits for good, or spins), nor
 * a record that stops in its middle. So each read and write goes through this layer beneath TLS, which
 * fails when the time is up. */
static bool
wait_for(Sockbuf_IO_Desc *io, short events)
{
	const struct asking *a = io->sbiod_pvt;
	struct pollfd p = { .fd = -1, .events = events };
	int n;

	if (ber_sockbuf_ctrl(io->sbiod_sb, LBER_SB_OPT_GET_FD, &p.fd) != 1)
		return false;
	do {
		n = poll(&p, 1, (int)step_ms(a));
	} while (n == -1 && errno == EINTR);
	if (n == 0)
		errno = ETIMEDOUT;
	return n > 0;
}

static int
io_setup(Sockbuf_IO_Desc *io, void *arg)
{
	io->sbiod_pvt = arg;
	return 0;
}

static int
io_nothing(Sockbuf_IO_Desc *io)
{
	(void)io;
	return 0;
}

static int
io_ctrl(Sockbuf_IO_Desc *io, int opt, void *arg)
{
	return LBER_SBIOD_CTRL_NEXT(io, opt, arg);
}

static ber_slen_t
io_read(Sockbuf_IO_Desc *io, void *buf, ber_len_t len)
{
	return wait_for(io, POLLIN) ? LBER_SBIOD_READ_NEXT(io, buf, len) : -1;
}

static ber_slen_t
io_write(Sockbuf_IO_Desc *io, void *buf, ber_len_t len)
{
	return wait_for(io, POLLOUT) ? LBER_SBIOD_WRITE_NEXT(io, buf, len) : -1;
}

/* Called by libldap after connect() and before TLS. */
static int
limit_socket(LDAP *ld, Sockbuf *sb, LDAPURLDesc *url, struct sockaddr *addr, struct ldap_conncb *cb)
{
	static Sockbuf_IO io = { io_setup, io_nothing, io_ctrl, io_read, io_write, io_nothing };

	(void)ld;
	(void)url;
	(void)addr;
	return ber_sockbuf_add_io(sb, &io, LBER_SBIOD_LEVEL_PROVIDER + 5, cb->lc_arg);
}

static void
forget_socket(LDAP *ld, Sockbuf *sb, struct ldap_conncb *cb)
{
	(void)ld;
	(void)sb;
	(void)cb;
}

/* Before each step. False: no time is left. */
static bool
limit_step(struct asking *a)
{
	uint64_t ms = step_ms(a);
	struct timeval tv = to_timeval(ms);

	return ms > 0 &&
	       ldap_set_option(a->ld, LDAP_OPT_NETWORK_TIMEOUT, &tv) == LDAP_OPT_SUCCESS &&
	       ldap_set_option(a->ld, LDAP_OPT_TIMEOUT, &tv) == LDAP_OPT_SUCCESS;
}

static int
set_tls(struct asking *a)
{
	int demand = LDAP_OPT_X_TLS_DEMAND, client = 0, rc = LDAP_OPT_SUCCESS;

	if (login_ldap_options_are_plain(a->options))
		return 0;
	if (a->options->cafile != NULL)
		rc = ldap_set_option(a->ld, LDAP_OPT_X_TLS_CACERTFILE, a->options->cafile);
	if (rc == LDAP_OPT_SUCCESS)
		rc = ldap_set_option(a->ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
	/* the handle's own context, made of what was just set */
	if (rc == LDAP_OPT_SUCCESS)
		rc = ldap_set_option(a->ld, LDAP_OPT_X_TLS_NEWCTX, &client);
	return rc == LDAP_OPT_SUCCESS ? 0 : -1;
}

static enum login_result
connect_to(struct asking *a, const char *uri)
{
	int version = LDAP_VERSION3, code = ldap_initialize(&a->ld, uri);

	if (code != LDAP_SUCCESS)
		return unavailable(a, "ldapserver", code);
	a->on_connect = (struct ldap_conncb){ .lc_add = limit_socket,
		.lc_del = forget_socket,
		.lc_arg = a };
	if (ldap_set_option(a->ld, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(a->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(a->ld, LDAP_OPT_CONNECT_CB, &a->on_connect) != LDAP_OPT_SUCCESS)
		return unavailable(a, "settings", LDAP_PARAM_ERROR);
	if (set_tls(a) == -1)
		return unavailable(a, "TLS settings (ldapcafile)", LDAP_PARAM_ERROR);
	if (!limit_step(a))
		return unavailable(a, "connecting", LDAP_TIMEOUT);
	if (a->options->start_tls) {
		code = ldap_start_tls_s(a->ld, NULL, NULL);
		if (code != LDAP_SUCCESS)
			return unavailable(a, "StartTLS", code);
	}
	return LOGIN_OK;
}

/* LOGIN_OK, or as the answer says. */
static int
bind_as(struct asking *a, const char *dn, const char *password, size_t len)
{
	struct berval cred = { .bv_len = len, .bv_val = (char *)password };

	if (!limit_step(a))
		return LDAP_TIMEOUT;
	return ldap_sasl_bind_s(a->ld, dn, LDAP_SASL_SIMPLE, &cred, NULL, NULL, NULL);
}

/* ---- search ---- */

static enum login_result
take_only_dn(struct asking *a, LDAPMessage *found, char dn[DN_MAX])
{
	int n = ldap_count_entries(a->ld, found);
	char *text;
	bool fits;

	if (n != 1)
		return refused(a, n < 1 ? "no such user" : "more than one entry is found");
	text = ldap_get_dn(a->ld, ldap_first_entry(a->ld, found));
	/* a bind as "" would be an anonymous one */
	fits = text != NULL && *text != '\0' && strlen(text) < DN_MAX;
	if (fits)
		snprintf(dn, DN_MAX, "%s", text);
	ldap_memfree(text);
	return fits ? LOGIN_OK : refused(a, "the entry found has no usable name");
}

static enum login_result
search(struct asking *a, char dn[DN_MAX])
{
	const struct login_ldap_options *o = a->options;
	int scope = o->scope == LOGIN_LDAP_BASE	 ? LDAP_SCOPE_BASE
		    : o->scope == LOGIN_LDAP_ONE ? LDAP_SCOPE_ONELEVEL
						 : LDAP_SCOPE_SUBTREE;
	char no_attrs[] = LDAP_NO_ATTRS, *attrs[] = { no_attrs, NULL };
	const char *binddn = o->binddn != NULL ? o->binddn : "";
	const char *passwd = o->bindpasswd != NULL ? o->bindpasswd : "";
	LDAPMessage *found = NULL;
	char filter[FILTER_MAX];
	enum login_result r;
	struct timeval tv;
	int code = bind_as(a, binddn, passwd, strlen(passwd));

	if (code != LDAP_SUCCESS)
		return unavailable(a, "bind as ldapbinddn", code);
	if (login_ldap_name_filter(filter, sizeof(filter), o->filter,
		o->attribute != NULL ? o->attribute : "uid", a->attempt->user) == -1)
		return refused(a, "the user name is too long");
	if (!limit_step(a))
		return unavailable(a, "search", LDAP_TIMEOUT);
	tv = to_timeval(step_ms(a) + 1); /* zero would be an error */
	/* two are enough to know that it is not one */
	code = ldap_search_ext_s(a->ld, o->basedn, scope, filter, attrs, 0, NULL, NULL, &tv, 2,
	    &found);
	if (code == LDAP_SIZELIMIT_EXCEEDED)
		r = refused(a, "more than one entry is found");
	else if (code != LDAP_SUCCESS)
		r = unavailable(a, "search", code);
	else
		r = take_only_dn(a, found, dn);
	ldap_msgfree(found);
	return r;
}

/* ---- one server, and all ---- */

static enum login_result
ask(struct asking *a, const char *uri)
{
	const struct login_ldap_options *o = a->options;
	enum login_result r = connect_to(a, uri);
	char dn[DN_MAX];
	int code;

	if (r != LOGIN_OK)
		return r;
	if (o->search)
		r = search(a, dn);
	else if (login_ldap_name_dn(dn, sizeof(dn), o->prefix != NULL ? o->prefix : "",
		     a->attempt->user, o->suffix != NULL ? o->suffix : "") == -1)
		r = refused(a, "no such user can be named");
	if (r != LOGIN_OK)
		return r;
	code = bind_as(a, dn, a->attempt->password, a->attempt->password_len);
	if (code == LDAP_SUCCESS)
		return LOGIN_OK;
	return is_refusal(code) ? refused(a, ldap_err2string(code)) : unavailable(a, "bind", code);
}

static enum login_result
check(const void *settings, const struct login_attempt *attempt, char *why, size_t whylen)
{
	const struct login_ldap_options *o = settings;
	struct asking a = { .options = o, .attempt = attempt, .why = why, .whylen = whylen };
	enum login_result r = LOGIN_UNAVAILABLE;

	if (attempt->password_len == 0)
		return refused(&a, "empty password");
	if (*attempt->user == '\0')
		return refused(&a, "empty user name");
	for (int i = 0; i < o->n_uris && r == LOGIN_UNAVAILABLE; i++) {
		uint64_t now = monotonic_ms();

		if (now >= attempt->deadline_ms)
			return unavailable(&a, "all servers", LDAP_TIMEOUT);
		/* a server that hangs must leave time for those after it */
		a.deadline_ms = now + (attempt->deadline_ms - now) / (uint64_t)(o->n_uris - i);
		r = ask(&a, o->uris[i]);
		if (a.ld != NULL)
			ldap_unbind_ext_s(a.ld, NULL, NULL);
		a.ld = NULL;
	}
	return r;
}

static void *
ref(void *settings)
{
	return login_ldap_options_ref(settings);
}

static void
unref(void *settings)
{
	login_ldap_options_unref(settings);
}

const struct login_method login_ldap = { "ldap", check, ref, unref };
