#include "pool/params.h"

#include "proxy/base/buf.h"
#include "proxy/base/hmap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* `text` holds name NUL value NUL ..., sorted by name without regard to case. */
struct params {
	struct hnode node;
	atomic_uint refs;
	atomic_bool proven;
	unsigned n;
	size_t len;
	char text[];
};

static struct {
	pthread_mutex_t lock;
	struct hmap map;
	struct params empty;
} table = { .lock = PTHREAD_MUTEX_INITIALIZER, .empty = { .refs = 1, .proven = true } };

struct params *
params_empty(void)
{
	return &table.empty;
}

struct params *
params_ref(struct params *p)
{
	if (p != &table.empty)
		atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void
params_unref(struct params *p)
{
	unsigned refs;

	if (p == NULL || p == &table.empty)
		return;
	/* the last reference goes under the lock, where look-ups make new ones */
	refs = atomic_load_explicit(&p->refs, memory_order_relaxed);
	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(&p->refs, &refs, refs - 1,
			memory_order_release, memory_order_relaxed))
			return;
	pthread_mutex_lock(&table.lock);
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1) {
		hmap_del(&table.map, &p->node);
		free(p);
	}
	pthread_mutex_unlock(&table.lock);
}

static const char *
next_pair(const char *at)
{
	at += strlen(at) + 1;
	return at + strlen(at) + 1;
}

static const char *
value_of(const char *name)
{
	return name + strlen(name) + 1;
}

/* The one interned set that equals `p`, which is taken. */
static struct params *
intern(struct params *p)
{
	uint64_t hash;
	struct hnode *n;

	if (p->n == 0) {
		free(p);
		return &table.empty;
	}
	hash = hmap_hash(p->text, p->len);
	pthread_mutex_lock(&table.lock);
	for (n = hmap_find(&table.map, hash); n != NULL; n = hmap_next_same(n)) {
		struct params *q = hmap_entry(n, struct params, node);

		if (q->len == p->len && memcmp(q->text, p->text, p->len) == 0) {
			atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
			if (params_is_proven(p))
				params_set_proven(q);
			pthread_mutex_unlock(&table.lock);
			free(p);
			return q;
		}
	}
	atomic_init(&p->refs, 1);
	if (!hmap_add(&table.map, &p->node, hash)) {
		free(p);
		p = NULL;
	}
	pthread_mutex_unlock(&table.lock);
	return p;
}

static void
append(struct params *p, const char *name, const char *value)
{
	size_t n = strlen(name) + 1, v = strlen(value) + 1;

	memcpy(p->text + p->len, name, n);
	memcpy(p->text + p->len + n, value, v);
	p->len += n + v;
	p->n++;
}

struct params *
params_with(struct params *base, const char *name, const char *value)
{
	const char *at = base->text, *end = base->text + base->len, *had = params_get(base, name);
	size_t room = base->len + strlen(name) + (value != NULL ? strlen(value) : 0) + 2;
	struct params *p;
	bool put = value == NULL;

	if (had == NULL ? value == NULL : value != NULL && strcmp(had, value) == 0)
		return base;
	if (room > PARAMS_BYTES_MAX || base->n + 1 > PARAMS_MAX)
		return NULL;
	p = malloc(sizeof(*p) + room);
	if (p == NULL)
		return NULL;
	p->n = 0;
	p->len = 0;
	/* a set that differs in nothing that could be refused is as good as its base */
	atomic_init(&p->proven,
	    strcasecmp(name, "application_name") == 0 && params_is_proven(base));
	for (; at < end; at = next_pair(at)) {
		int order = strcasecmp(at, name);

		if (order >= 0 && !put) {
			/* the spelling that came first stays: sets that differ in it only are equal */
			append(p, order == 0 ? at : name, value);
			put = true;
		}
		if (order != 0)
			append(p, at, value_of(at));
	}
	if (!put)
		append(p, name, value);
	p = intern(p);
	if (p != NULL)
		params_unref(base);
	return p;
}

bool
params_is_proven(const struct params *p)
{
	return atomic_load_explicit(&p->proven, memory_order_relaxed);
}

void
params_set_proven(struct params *p)
{
	atomic_store_explicit(&p->proven, true, memory_order_relaxed);
}

const char *
params_get(const struct params *p, const char *name)
{
	for (const char *at = p->text; at < p->text + p->len; at = next_pair(at))
		if (strcasecmp(at, name) == 0)
			return value_of(at);
	return NULL;
}

size_t
params_count(const struct params *p)
{
	return p->n;
}

void
params_each(const struct params *p, void (*each)(void *arg, const char *name, const char *value),
    void *arg)
{
	for (const char *at = p->text; at < p->text + p->len; at = next_pair(at))
		each(arg, at, value_of(at));
}

bool
params_is_fixed(const char *name)
{
	static const char *const fixed[] = { "server_version", "server_encoding", "is_superuser",
		"in_hot_standby", "integer_datetimes" };

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcasecmp(name, fixed[i]) == 0)
			return true;
	return false;
}

void
params_quote(struct buf *sql, const char *text)
{
	/* E'' so that backslashes mean the same whatever standard_conforming_strings is */
	buf_put(sql, " E'", 3);
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\'' || *p == '\\')
			buf_put_u8(sql, (uint8_t)*p);
		buf_put_u8(sql, (uint8_t)*p);
	}
	buf_put_u8(sql, '\'');
}

static void
put_reset(struct buf *sql, const char *name)
{
	if (strcasecmp(name, "session_authorization") == 0) {
		buf_printf(sql, "RESET SESSION AUTHORIZATION;");
		return;
	}
	buf_put(sql, "RESET ", 6);
	for (const char *p = name; *p != '\0'; p++) {
		if (p == name)
			buf_put_u8(sql, '"');
		if (*p == '"')
			buf_put_u8(sql, '"');
		/* a dotted name is two identifiers */
		if (*p == '.')
			buf_put(sql, "\".\"", 3);
		else
			buf_put_u8(sql, (uint8_t)*p);
	}
	buf_put(sql, "\";", 2);
}

static void
put_set(struct buf *sql, const char *name, const char *value)
{
	/* that of the server's own login, see server_value() */
	if (value[0] == '\0' && strcasecmp(name, "session_authorization") == 0) {
		put_reset(sql, name);
		return;
	}
	buf_printf(sql, "SELECT pg_catalog.set_config(");
	params_quote(sql, name);
	buf_put_u8(sql, ',');
	params_quote(sql, value);
	buf_printf(sql, ",false);");
}

/* Who one is decides what one may set: these two go back first and are set last. */
static bool
is_identity(const char *name)
{
	return strcasecmp(name, "role") == 0 || strcasecmp(name, "session_authorization") == 0;
}

static bool
differs(const struct params *from, const char *name, const char *value)
{
	const char *had = params_get(from, name);

	return had == NULL || strcmp(had, value) != 0;
}

static void
put_changes(const struct params *from, const struct params *to, bool identity, struct buf *sql)
{
	for (const char *at = to->text; at < to->text + to->len; at = next_pair(at))
		if (is_identity(at) == identity && differs(from, at, value_of(at)))
			put_set(sql, at, value_of(at));
}

void
params_sql(const struct params *from, const struct params *to, struct buf *sql)
{
	if (from == to)
		return;
	for (const char *at = from->text; at < from->text + from->len; at = next_pair(at))
		if (is_identity(at) && differs(to, at, value_of(at)))
			put_reset(sql, at);
	for (const char *at = from->text; at < from->text + from->len; at = next_pair(at))
		if (!is_identity(at) && params_get(to, at) == NULL)
			put_reset(sql, at);
	put_changes(from, to, false, sql);
	put_changes(from, to, true, sql);
}
