#include "auth/source/aws_credentials.h"

#include "auth/source/aws_clock.h"
#include "auth/source/aws_exchange.h"
#include "auth/source/aws_plan.h"
#include "proxy/base/log.h"
#include "proxy/base/loop.h"
#include "proxy/base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS     INT64_C(60000)
#define FILES_MS      MINUTE_MS /* shared files are looked at so often */
#define QUIET_MS      1000	/* a failure answers for everybody for so long */
#define QUIET_KEYS_MS 30000	/* and, while there are keys, to twice as long */
#define QUIET_MAX_MS  MINUTE_MS
#define NEVER	      INT64_MAX

enum state {
	IDLE,
	ORIGIN, /* the first keys of the plan are on their way */
	ROLE,	/* those of plan.roles[roles_left] */
	REGION
};

struct aws_credentials {
	struct list_node node; /* in all */
	int holders;
	struct secret_source_env env;
	char *profile, *role_arn; /* NULL = none */
	char region_hint[AWS_REGION_MAX];
	struct aws_plan plan; /* of the renewal under way, and the last one's surroundings */
	enum state state;
	size_t roles_left;
	struct aws_keys step; /* of a role on the way */
	struct aws_exchange exchange;

	struct aws_keys keys; /* access_key_id NULL = none */
	uint64_t serial;
	bool refused;
	int64_t renew_ms;	/* AWS's clock */
	int64_t quiet_until_ms; /* our clock */
	char region[AWS_REGION_MAX];
	int64_t region_quiet_ms;
	struct aws_failure failure; /* of the last renewal, SECRET_OK = it worked */
	struct list_node wants;
	struct deadline work;
};

/* Of the main thread. */
static struct list_node all = { &all, &all };

/* ---- time ---- */

static int64_t
uniform(int64_t from, int64_t to)
{
	uint32_t random = 0;

	if (secret_random(&random, sizeof(random)) == -1)
		random = UINT32_MAX / 2;
	return from + (int64_t)(((uint64_t)(to - from) * random) >> 32);
}

static int64_t
aws_now(const struct aws_credentials *c)
{
	return aws_clock_ms(c->env.unix_ms());
}

static bool
have_keys(const struct aws_credentials *c)
{
	return c->keys.access_key_id != NULL &&
	       (c->keys.expires_unix_ms == 0 || aws_now(c) < c->keys.expires_unix_ms);
}

static bool
due(const struct aws_credentials *c)
{
	return c->env.unix_ms() >= c->quiet_until_ms &&
	       (!have_keys(c) || c->refused || aws_now(c) >= c->renew_ms);
}

/* Instances are known to hand out keys in their last minutes when the service behind them is in
 * trouble; asking again and again would not help it. */
static void
set_renewal(struct aws_credentials *c)
{
	int64_t left = c->keys.expires_unix_ms - aws_now(c);

	if (c->keys.expires_unix_ms == 0)
		c->renew_ms = c->plan.from_files ? aws_now(c) + FILES_MS : NEVER;
	else if (left > 30 * MINUTE_MS)
		c->renew_ms = c->keys.expires_unix_ms - uniform(5 * MINUTE_MS, 15 * MINUTE_MS);
	else
		c->renew_ms = aws_now(c) + left * 4 / 5;
}

static void
set_timer(struct aws_credentials *c)
{
	int64_t wait = c->renew_ms - aws_now(c), quiet = c->quiet_until_ms - c->env.unix_ms();

	if (c->keys.access_key_id == NULL || c->keys.expires_unix_ms == 0 || c->state != IDLE)
		return; /* these are looked after when somebody wants them */
	if (wait < quiet)
		wait = quiet;
	if (wait < WHEEL_TICK_MS)
		wait = WHEEL_TICK_MS;
	loop_deadline(c->env.loop, &c->work, loop_now_ms(c->env.loop) + (uint64_t)wait);
}

/* ---- telling ---- */

static void
tell(struct aws_credentials *c)
{
	static const struct aws_failure ended = { .error = SECRET_TRANSIENT,
		.message = "the AWS keys have ended" };
	struct aws_given given = { .keys = have_keys(c) ? &c->keys : NULL,
		.serial = c->serial,
		.region = c->region,
		.endpoint_url = c->plan.endpoint_url,
		.failure = &c->failure };
	struct list_node now, *n;

	if (given.keys == NULL && c->failure.error == SECRET_OK)
		given.failure = &ended;
	list_init(&now);
	list_splice_back(&now, &c->wants);
	c->holders++;
	while ((n = list_pop(&now)) != NULL) {
		struct aws_want *w = list_entry(n, struct aws_want, node);

		w->ready(w, &given);
	}
	set_timer(c);
	aws_credentials_release(c);
}

static bool
region_wanted(const struct aws_credentials *c)
{
	if (c->region[0] != '\0' || c->env.unix_ms() < c->region_quiet_ms)
		return false;
	list_each(n, tmp, &c->wants) if (list_entry(n, struct aws_want, node)->region) return true;
	return false;
}

/* The renewal is over, or there was none to do. */
static void
settle(struct aws_credentials *c)
{
	aws_keys_wipe(&c->step);
	if (region_wanted(c)) {
		c->state = REGION;
		aws_imds_region(&c->exchange);
		return;
	}
	c->state = IDLE;
	tell(c);
}

/* ---- renewing ---- */

static void
renewed(struct aws_credentials *c, struct aws_keys *fresh)
{
	bool same = c->keys.access_key_id != NULL && aws_keys_same(&c->keys, fresh);

	if (c->plan.origin == AWS_FROM_IMDS && c->plan.n_roles == 0 &&
	    fresh->expires_unix_ms != 0 && fresh->expires_unix_ms <= aws_now(c)) {
		log_warning("AWS keys from %s have ended already; they are tried all the same",
		    c->plan.where);
		fresh->expires_unix_ms = aws_now(c) + uniform(2 * MINUTE_MS, 10 * MINUTE_MS);
	}
	if (!same) {
		aws_keys_move(&c->keys, fresh);
		c->serial++;
		log_debug("AWS keys from %s%s", c->plan.where,
		    c->plan.n_roles == 0 ? "" : ", then a role assumed");
	} else {
		c->keys.expires_unix_ms = fresh->expires_unix_ms;
		aws_keys_wipe(fresh);
	}
	if (c->failure.error != SECRET_OK)
		log_info("AWS keys from %s: available again", c->plan.where);
	c->failure = (struct aws_failure){ .error = SECRET_OK };
	c->refused = false;
	c->quiet_until_ms = 0;
	set_renewal(c);
	settle(c);
}

static void
not_renewed(struct aws_credentials *c, const struct aws_failure *f)
{
	int64_t quiet = have_keys(c) ? uniform(QUIET_KEYS_MS, 2 * QUIET_KEYS_MS) : QUIET_MS;

	if (c->failure.error == SECRET_OK)
		log_warning("AWS keys cannot be %s: %s",
		    have_keys(c) ? "renewed, the old ones stay in use" : "had", f->message);
	c->failure = *f;
	if (quiet < f->retry_after_ms)
		quiet = f->retry_after_ms < QUIET_MAX_MS ? f->retry_after_ms : QUIET_MAX_MS;
	c->quiet_until_ms = c->env.unix_ms() + quiet;
	settle(c);
}

/* Keys that step towards the last role of the plan are as good as any when there is none left. */
static void
next_role(struct aws_credentials *c, struct aws_keys *fresh)
{
	const char *region = c->region[0] != '\0' ? c->region : c->region_hint;

	if (c->roles_left == 0) {
		renewed(c, fresh);
		return;
	}
	aws_keys_move(&c->step, fresh);
	c->state = ROLE;
	c->roles_left--;
	aws_sts_assume(&c->exchange, &c->plan, &c->plan.roles[c->roles_left], &c->step, region);
}

static void
on_exchanged(struct aws_exchange *x, const struct aws_failure *why_not)
{
	struct aws_credentials *c = list_entry(x, struct aws_credentials, exchange);

	if (c->state != REGION) {
		if (why_not == NULL)
			next_role(c, &x->keys);
		else
			not_renewed(c, why_not);
		return;
	}
	if (why_not == NULL)
		snprintf(c->region, sizeof(c->region), "%s", x->region);
	else
		c->region_quiet_ms = c->env.unix_ms() + QUIET_MS;
	settle(c);
}

static void
fetch_origin(struct aws_credentials *c)
{
	c->state = ORIGIN;
	switch (c->plan.origin) {
	case AWS_FROM_KEYS:
		next_role(c, &c->plan.keys);
		return;
	case AWS_FROM_WEB_IDENTITY:
		aws_sts_web_identity(&c->exchange, &c->plan,
		    c->region[0] != '\0' ? c->region : c->region_hint);
		return;
	case AWS_FROM_PROCESS:
		aws_process_keys(&c->exchange, &c->plan);
		return;
	case AWS_FROM_CONTAINER:
		aws_container_keys(&c->exchange);
		return;
	case AWS_FROM_IMDS:
		aws_imds_keys(&c->exchange);
		return;
	}
}

/* The way is looked for anew each time: environment and files may have changed. */
static void
renew(struct aws_credentials *c)
{
	struct aws_failure f = { .error = SECRET_DENIED };
	int made;

	aws_plan_release(&c->plan);
	made = aws_plan_make(&c->plan, c->profile, c->role_arn, f.message, sizeof(f.message));
	if (c->plan.region[0] != '\0')
		snprintf(c->region, sizeof(c->region), "%s", c->plan.region);
	if (made == -1) {
		not_renewed(c, &f);
		return;
	}
	c->roles_left = c->plan.n_roles;
	fetch_origin(c);
}

/* Those who want get what is there at once when it is good, whatever is under way. */
static void
on_work(struct deadline *d)
{
	struct aws_credentials *c = list_entry(d, struct aws_credentials, work);

	c->holders++;
	if (c->state == IDLE && due(c))
		renew(c);
	else if (c->state == IDLE)
		settle(c);
	if (c->state != IDLE && c->state != REGION && have_keys(c) && !c->refused &&
	    !region_wanted(c))
		tell(c);
	aws_credentials_release(c);
}

void
aws_credentials_want(struct aws_credentials *c, struct aws_want *w)
{
	list_push_back(&c->wants, &w->node);
	loop_deadline(c->env.loop, &c->work, loop_now_ms(c->env.loop));
}

void
aws_credentials_unwant(struct aws_want *w)
{
	list_del(&w->node);
}

void
aws_credentials_refused(struct aws_credentials *c, uint64_t serial)
{
	if (serial == c->serial)
		c->refused = true;
}

/* ---- sharing ---- */

static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static struct aws_credentials *
find(const char *profile, const char *role_arn, const struct secret_source_env *env)
{
	list_each(n, tmp, &all)
	{
		struct aws_credentials *c = list_entry(n, struct aws_credentials, node);

		if (same(c->profile, profile) && same(c->role_arn, role_arn) &&
		    c->env.loop == env->loop && c->env.calls == env->calls)
			return c;
	}
	return NULL;
}

struct aws_credentials *
aws_credentials_open(const char *profile, const char *role_arn, const char *region,
    const struct secret_source_env *env)
{
	struct aws_credentials *c = find(profile, role_arn, env);

	if (c == NULL) {
		c = calloc(1, sizeof(*c));
		if (c == NULL)
			return NULL;
		c->profile = profile == NULL ? NULL : strdup(profile);
		c->role_arn = role_arn == NULL ? NULL : strdup(role_arn);
		if (!same(c->profile, profile) || !same(c->role_arn, role_arn)) {
			free(c->profile);
			free(c->role_arn);
			free(c);
			return NULL;
		}
		c->env = *env;
		list_init(&c->wants);
		deadline_init(&c->work, on_work);
		c->exchange.done = on_exchanged;
		c->exchange.env = &c->env;
		aws_exchange_init(&c->exchange);
		list_push_back(&all, &c->node);
	}
	c->holders++;
	if (c->region_hint[0] == '\0' && region != NULL)
		snprintf(c->region_hint, sizeof(c->region_hint), "%.*s", AWS_REGION_MAX - 1,
		    region);
	return c;
}

void
aws_credentials_release(struct aws_credentials *c)
{
	if (c == NULL || --c->holders != 0)
		return;
	aws_exchange_cancel(&c->exchange);
	loop_deadline_remove(c->env.loop, &c->work);
	aws_plan_release(&c->plan);
	aws_keys_wipe(&c->step);
	aws_keys_wipe(&c->keys);
	list_del(&c->node);
	free(c->profile);
	free(c->role_arn);
	free(c);
}
