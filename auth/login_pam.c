#include "auth/login_pam.h"

#include <errno.h>
#include <security/pam_appl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct login_pam_settings {
	atomic_uint refs;
	char *service, *confdir;
};

/* What the conversation may give away. */
struct talk {
	const char *password;
	bool given;
};

static void *
ref(void *settings)
{
	struct login_pam_settings *s = settings;

	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

static void
unref(void *settings)
{
	struct login_pam_settings *s = settings;

	if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(s->service);
	free(s->confdir);
	free(s);
}

struct login_pam_settings *
login_pam_settings_new(const char *service, const char *confdir)
{
	struct login_pam_settings *s;

	service = service != NULL ? service : LOGIN_PAM_SERVICE;
	/* it names a file; PAM itself would cut at the last slash */
	if (*service == '\0' || *service == '.' || strchr(service, '/') != NULL) {
		errno = EINVAL;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	atomic_init(&s->refs, 1);
	s->service = strdup(service);
	s->confdir = confdir != NULL ? strdup(confdir) : NULL;
	if (s->service == NULL || (confdir != NULL && s->confdir == NULL)) {
		unref(s);
		errno = ENOMEM;
		return NULL;
	}
	return s;
}

/* ---- the conversation ---- */

/* The answer to one message into *out, malloc()ed as PAM frees it; NULL where none is due. */
static int
answer(struct talk *t, const struct pam_message *msg, char **out)
{
	switch (msg->msg_style) {
	case PAM_PROMPT_ECHO_OFF:
		/* a second question is about something else: a code, a new password */
		if (t->given)
			return PAM_CONV_ERR;
		t->given = true;
		*out = strdup(t->password);
		return *out != NULL ? PAM_SUCCESS : PAM_BUF_ERR;
	case PAM_TEXT_INFO:
	case PAM_ERROR_MSG:
		return PAM_SUCCESS;
	default:
		return PAM_CONV_ERR;
	}
}

static void
free_answers(struct pam_response *r, int n)
{
	for (int i = 0; i < n; i++) {
		if (r[i].resp != NULL)
			explicit_bzero(r[i].resp, strlen(r[i].resp));
		free(r[i].resp);
	}
	free(r);
}

static int
converse(int n, const struct pam_message **msgs, struct pam_response **out, void *arg)
{
	struct pam_response *r;

	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	r = calloc((size_t)n, sizeof(*r));
	if (r == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		int code = answer(arg, msgs[i], &r[i].resp);

		if (code != PAM_SUCCESS) {
			free_answers(r, n);
			return code;
		}
	}
	*out = r;
	return PAM_SUCCESS;
}

/* ---- the check ---- */

/* Modules delay after a failure, to slow guessing down; here that would cost a helper thread. The
 * time that a client waits after a failure is not PAM's to decide. */
static void
no_delay(int code, unsigned usec, void *arg)
{
	(void)code;
	(void)usec;
	(void)arg;
}

static int
set_items(pam_handle_t *h, const struct login_attempt *attempt)
{
	union {
		void (*fn)(int, unsigned, void *);
		const void *item;
	} delay = { .fn = no_delay };
	int code = pam_set_item(h, PAM_FAIL_DELAY, delay.item);

	if (code == PAM_SUCCESS && *attempt->peer != '\0')
		code = pam_set_item(h, PAM_RHOST, attempt->peer);
	/* modules like pam_access want one where there is no host */
	if (code == PAM_SUCCESS)
		code = pam_set_item(h, PAM_TTY, LOGIN_PAM_SERVICE);
	return code;
}

static enum login_result
result_of(pam_handle_t *h, int code, const char *doing, char *why, size_t whylen)
{
	if (code == PAM_SUCCESS)
		return LOGIN_OK;
	snprintf(why, whylen, "PAM: %s: %s", doing, pam_strerror(h, code));
	/* PAM_SYSTEM_ERR is not among them: pam_exec says so when its command says no */
	switch (code) {
	case PAM_ABORT:
	case PAM_AUTHINFO_UNAVAIL:
	case PAM_BUF_ERR:
	case PAM_MODULE_UNKNOWN:
	case PAM_OPEN_ERR:
	case PAM_SERVICE_ERR:
	case PAM_SYMBOL_ERR:
		return LOGIN_UNAVAILABLE;
	default:
		return LOGIN_REFUSED;
	}
}

/* A module may map the user to another one; that one was not asked for. */
static bool
is_still(pam_handle_t *h, const char *user)
{
	const void *now = NULL;

	return pam_get_item(h, PAM_USER, &now) == PAM_SUCCESS && now != NULL &&
	       strcmp(now, user) == 0;
}

static enum login_result
ask(pam_handle_t *h, const struct login_attempt *attempt, int *code, char *why, size_t whylen)
{
	enum login_result r;

	*code = set_items(h, attempt);
	r = result_of(h, *code, "start", why, whylen);
	if (r != LOGIN_OK)
		return r;
	*code = pam_authenticate(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	r = result_of(h, *code, "authentication", why, whylen);
	if (r != LOGIN_OK)
		return r;
	*code = pam_acct_mgmt(h, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	r = result_of(h, *code, "account", why, whylen);
	if (r == LOGIN_OK && !is_still(h, attempt->user)) {
		snprintf(why, whylen, "PAM: a module has changed the user's name");
		r = LOGIN_REFUSED;
	}
	return r;
}

static enum login_result
check(const void *settings, const struct login_attempt *attempt, char *why, size_t whylen)
{
	const struct login_pam_settings *s = settings;
	struct talk talk = { .password = attempt->password };
	struct pam_conv conv = { .conv = converse, .appdata_ptr = &talk };
	pam_handle_t *h = NULL;
	enum login_result r;
	int code;

	/* modules cut longer ones, which would make the beginning of a password as good as the whole */
	if (attempt->password_len == 0 || attempt->password_len >= PAM_MAX_RESP_SIZE ||
	    strlen(attempt->password) != attempt->password_len || *attempt->user == '\0') {
		snprintf(why, whylen,
		    "PAM: the password is empty or too long, or the user name empty");
		return LOGIN_REFUSED;
	}
	code = s->confdir != NULL
		   ? pam_start_confdir(s->service, attempt->user, &conv, s->confdir, &h)
		   : pam_start(s->service, attempt->user, &conv, &h);
	if (code != PAM_SUCCESS) {
		snprintf(why, whylen, "PAM: cannot start service \"%.64s\": %s", s->service,
		    pam_strerror(NULL, code));
		return LOGIN_UNAVAILABLE;
	}
	r = ask(h, attempt, &code, why, whylen);
	pam_end(h, code);
	return r;
}

const struct login_method login_pam = { "pam", check, ref, unref };
