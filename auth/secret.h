/* secret.h -- a secret of [secrets], as the rest of the program uses it: from any thread, without
 * waiting. What is not there yet is asked for in the background; `changed` of secrets.h tells when it
 * is worth looking again. A struct secret lives until the program ends. Must not know databases. */
#ifndef AUTH_SECRET_H
#define AUTH_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret;
struct secret_version;

/* ---- going out: logging in to PostgreSQL ---- */

/* The version to log in with now, a reference; NULL when there is none: nothing has been fetched yet,
 * or PostgreSQL has refused all there is and it is too early to try again. NULL asks the provider, as
 * far as it may be asked; the caller keeps its clients waiting and comes back. */
struct secret_version *secret_login(struct secret *);
/* PostgreSQL answered 28P01 or 28000 to it: it is not given out again for a while, and the provider is
 * asked, a bounded number of times, for a newer one. */
void secret_login_refused(struct secret *, struct secret_version *);
/* PostgreSQL let it in. */
void secret_login_worked(struct secret *, struct secret_version *);
/* Why secret_login() gives nothing, for messages; no secret in it. */
void secret_why_not(struct secret *, char *out, size_t size);

/* ---- coming in: clients that show the secret's user name and password ---- */

#define SECRET_CANDIDATES 3 /* current, pending, previous within its grace */

/* Every version that lets this user in now, a reference each; their number. */
size_t secret_candidates(struct secret *, const char *user,
    struct secret_version *out[SECRET_CANDIDATES]);
/* Nothing has been fetched yet (or what was fetched has ended), so nobody can say who may come in.
 * Asks for it. */
bool secret_is_cold(struct secret *);
/* A client's password fits no candidate: the provider is asked whether there are newer ones, unless that
 * was done too shortly ago. `changed` is called when it has answered, and secret_searches() has then moved
 * on from what is returned here. */
unsigned secret_client_refused(struct secret *);
unsigned secret_searches(const struct secret *);
/* PBKDF2 rounds of all verifiers of all candidates; their salt is scram_verifier_mock_salt(user). */
uint32_t secret_iterations(const struct secret *);

const char *secret_name(const struct secret *);

#endif
