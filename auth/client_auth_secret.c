/* client_auth_secret.c -- users who are not on the list but in the database's secret. */
#include "auth/client_auth_inside.h"

#include "auth/secret.h"
#include "auth/secret_version.h"
#include "proxy/base/secret.h"

#include <string.h>

static bool
candidate_fits(const struct client_auth *a, const struct secret_version *v,
    char server_final[SCRAM_SERVER_FINAL_LEN + 1])
{
	if (a->answer != NULL)
		return secret_equal_text(a->answer, a->answer_len, v->password, v->password_len);
	return scram_check(a->scram, v->verifier, server_final);
}

/* Old or new password: any version that is accepted now. */
static bool
try_candidates(struct client_auth *a, struct buf *out)
{
	char text[SCRAM_SERVER_FINAL_LEN + 1], server_final[SCRAM_SERVER_FINAL_LEN + 1];
	struct secret_version *v[SECRET_CANDIDATES];
	size_t n = secret_candidates(a->secret, a->name, v);
	bool fits = false;

	for (size_t i = 0; i < n; i++) {
		if (candidate_fits(a, v[i], text) && !fits) {
			fits = true;
			memcpy(server_final, text, sizeof(text));
		}
		secret_version_unref(v[i]);
	}
	if (fits && a->answer == NULL)
		client_auth_put(out, R_SASL_FINAL, server_final, SCRAM_SERVER_FINAL_LEN);
	return fits;
}

/* No version fits: the provider may have a newer one. */
enum auth_verdict
client_auth_secret_decide(struct client_auth *a, struct buf *out)
{
	a->step = STEP_DONE;
	if (try_candidates(a, out))
		return AUTH_OK;
	if (secret_is_cold(a->secret)) {
		a->step = STEP_WAIT;
		return AUTH_WAIT;
	}
	if (!a->asked) {
		a->asked = true;
		a->searches = secret_client_refused(a->secret);
	} else if (secret_searches(a->secret) != a->searches) {
		return AUTH_FAILED;
	}
	a->step = STEP_WAIT;
	return AUTH_WAIT;
}

enum auth_verdict
client_auth_secret_name(struct client_auth *a)
{
	struct secret_version *v[SECRET_CANDIDATES];
	size_t n = secret_candidates(a->secret, a->name, v);

	for (size_t i = 0; i < n; i++)
		secret_version_unref(v[i]);
	a->step = STEP_DONE;
	if (n > 0)
		return AUTH_OK;
	if (!secret_is_cold(a->secret))
		return AUTH_FAILED;
	a->step = STEP_WAIT;
	return AUTH_WAIT;
}
