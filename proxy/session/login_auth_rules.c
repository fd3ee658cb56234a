#include "proxy/session/login_auth_rules.h"

#include "auth/hba.h"
#include "auth/hba_token.h"
#include "auth/jwks_source.h"
#include "auth/login_ldap.h"
#include "auth/login_ldap_options.h"
#include "auth/login_pam.h"
#include "auth/user_map.h"
#include "proxy/config/config.h"
#include "proxy/config/config_arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loading {
	struct login_auth_rules *rules;
	const struct config *cfg;
	login_auth_say *say;
	void *arg;
	bool ok;
};

static void
fault(struct loading *g, const char *file, int line, const char *text)
{
	g->say(g->arg, true, file, line, text);
	g->ok = false;
}

static void
no_memory(struct loading *g)
{
	fault(g, NULL, 0, "out of memory");
}

/* ---- whom to ask ---- */

/* Takes the settings, NULL included. */
static void
add_way(struct loading *g, const struct hba_line *line, const struct login_method *method,
    void *settings)
{
	struct login_auth_rules *r = g->rules;
	struct login_auth_way *ways = reallocarray(r->ways, r->n_ways + 1, sizeof(*ways));

	if (ways != NULL)
		r->ways = ways;
	if (ways == NULL || settings == NULL) {
		if (settings != NULL)
			method->unref(settings);
		no_memory(g);
		return;
	}
	ways[r->n_ways++] = (struct login_auth_way){ line, method, settings };
}

static void
add_ldap(struct loading *g, const struct hba_line *line)
{
	const char *file = line != NULL ? line->file : g->cfg->conffile;
	const char *text = line != NULL ? line->ldap : g->cfg->auth_ldap_options;
	int number = line != NULL ? line->number : 0;
	char why[256], message[320];
	struct login_ldap_options *o;

	o = login_ldap_options_parse(text != NULL ? text : "", why, sizeof(why));
	if (o == NULL) {
		snprintf(message, sizeof(message), "%s: %s",
		    line != NULL ? "ldap" : "auth_ldap_options", why);
		fault(g, file, number, message);
		return;
	}
	if (login_ldap_options_are_plain(o))
		g->say(g->arg, false, file, number,
		    "ldap: passwords go to the LDAP server unencrypted: use ldaptls=1 or ldaps");
	add_way(g, line, &login_ldap, o);
}

static void
add_pam(struct loading *g, const struct hba_line *line)
{
	const char *service = line != NULL && line->pam_service != NULL ? line->pam_service
									: g->cfg->auth_pam_service;
	struct login_pam_settings *s;

	s = login_pam_settings_new(service, g->cfg->auth_pam_config_dir);
	if (s == NULL) {
		fault(g, line != NULL ? line->file : g->cfg->conffile,
		    line != NULL ? line->number : 0,
		    "auth_pam_service: found what is not the name of a service");
		return;
	}
	add_way(g, line, &login_pam, s);
}

const struct login_auth_way *
login_auth_rules_way(const struct login_auth_rules *r, const struct hba_line *line)
{
	for (size_t i = 0; r != NULL && i < r->n_ways; i++)
		if (r->ways[i].line == line)
			return &r->ways[i];
	return NULL;
}

/* ---- lines ---- */

/* What can be seen only in the words of a line. */
static void
on_record(void *arg, const struct hba_record *r)
{
	struct loading *g = arg;
	bool plain = r->n > 3 && (hba_token_is(r->fields[0].tokens, "host") ||
				     hba_token_is(r->fields[0].tokens, "hostnossl") ||
				     hba_token_is(r->fields[0].tokens, "hostnogssenc"));
	static const char *const clear[] = { "password", "plain", "ldap", "pam" };
	bool member = false;
	size_t i, k;

	for (k = 0; r->n > 1 && k < r->fields[1].n; k++)
		member |= hba_token_is(&r->fields[1].tokens[k], "samerole") ||
			  hba_token_is(&r->fields[1].tokens[k], "samegroup");
	for (k = 0; r->n > 2 && k < r->fields[2].n; k++)
		member |= !r->fields[2].tokens[k].quoted && r->fields[2].tokens[k].text[0] == '+';
	if (member)
		fault(g, r->at.file, r->at.line,
		    "+role and samerole need auth_user, to ask the database who is a member, which is not "
		    "served yet: list the users instead");
	if (!plain || g->cfg->client_tls_sslmode >= TLS_REQUIRE)
		return;
	/* the method stands behind an address, or behind an address and a mask */
	for (i = 4; i < r->n && i < 6; i++)
		for (k = 0; k < sizeof(clear) / sizeof(clear[0]); k++)
			if (r->fields[i].n == 1 && hba_token_is(r->fields[i].tokens, clear[k]))
				g->say(g->arg, false, r->at.file, r->at.line,
				    "clients may send their password unencrypted: use hostssl, or "
				    "client_tls_sslmode=require");
}

static void
look_at_words(struct loading *g)
{
	struct config_report quiet = { .say = NULL }; /* hba_load() has told of faults */
	struct config_arena *arena = config_arena_new();

	if (arena == NULL) {
		no_memory(g);
		return;
	}
	hba_token_read(g->cfg->auth_hba_file, arena, &quiet, on_record, g);
	config_arena_free(arena);
}

static void
need(struct loading *g, const struct hba_line *line, const char *value, const char *text)
{
	if (value == NULL)
		fault(g, line->file, line->number, text);
}

static void
check_line(struct loading *g, const struct hba_line *line)
{
	char message[200];

	if (line->map != NULL && !user_map_has(g->rules->maps, line->map)) {
		snprintf(message, sizeof(message), "map=%.100s: found no such map in %s", line->map,
		    g->cfg->auth_ident_file != NULL ? "auth_ident_file"
						    : "auth_ident_file, which is not set");
		fault(g, line->file, line->number, message);
	}
	if (line->cert != HBA_CERT_NONE && g->cfg->client_tls_sslmode < TLS_VERIFY_CA)
		fault(g, line->file, line->number,
		    "client certificates are asked for only with client_tls_sslmode=verify-ca or "
		    "verify-full");
	switch (line->method) {
	case HBA_LDAP:
		add_ldap(g, line);
		break;
	case HBA_PAM:
		add_pam(g, line);
		break;
	case HBA_JWT:
		g->rules->tokens = true;
		need(g, line, g->cfg->jwt_keys,
		    "jwt: found no jwt_keys, expected whose tokens are good");
		need(g, line, g->cfg->jwt_issuer,
		    "jwt: found no jwt_issuer, expected the claim iss");
		need(g, line, g->cfg->jwt_audience,
		    "jwt: found no jwt_audience, expected the claim aud");
		break;
	case HBA_IAM:
		need(g, line, g->cfg->iam_secret,
		    "iam: found no iam_secret, expected whose tokens are good");
		break;
	default:
		break;
	}
}

static void
load_hba(struct loading *g)
{
	const struct config *cfg = g->cfg;

	if (cfg->auth_ident_file != NULL) {
		g->rules->maps = user_map_load(cfg->auth_ident_file, g->say, g->arg);
		g->ok &= g->rules->maps != NULL;
	}
	g->rules->hba = hba_load(cfg->auth_hba_file, g->say, g->arg);
	g->ok &= g->rules->hba != NULL;
	if (!g->ok)
		return;
	look_at_words(g);
	for (size_t i = 0; i < hba_count(g->rules->hba); i++)
		check_line(g, hba_line_at(g->rules->hba, i));
}

/* ---- all of it ---- */

struct login_auth_rules *
login_auth_rules_load(const struct config *cfg, login_auth_say *say, void *arg)
{
	struct loading g = { calloc(1, sizeof(*g.rules)), cfg, say, arg, true };

	if (g.rules == NULL) {
		no_memory(&g);
		return NULL;
	}
	g.rules->jwt = (struct jwt_rules){ cfg->jwt_issuer, cfg->jwt_audience,
		cfg->jwt_leeway / 1000 };
	g.rules->tokens = cfg->auth_type == AUTH_JWT;
	if (cfg->auth_type == AUTH_HBA)
		load_hba(&g);
	else if (cfg->auth_type == AUTH_LDAP)
		add_ldap(&g, NULL);
	else if (cfg->auth_type == AUTH_PAM)
		add_pam(&g, NULL);
	if (g.ok)
		return g.rules;
	login_auth_rules_free(g.rules);
	return NULL;
}

void
login_auth_rules_free(struct login_auth_rules *r)
{
	if (r == NULL)
		return;
	hba_unref(r->hba);
	user_map_unref(r->maps);
	for (size_t i = 0; i < r->n_ways; i++)
		r->ways[i].method->unref(r->ways[i].settings);
	free(r->ways);
	jwks_source_unref(r->keys);
	free(r);
}
