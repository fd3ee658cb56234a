#include "auth/userlist.h"

#include "auth/scram_verifier.h"
#include "proxy/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX   (256u << 20) /* bytes of auth_file */
#define FAULTS_MAX 20		/* a file of another kind should not fill the log */

struct userlist {
	atomic_uint refs;
	uint64_t seed;
	size_t count, slots; /* slots: a power of two, at least twice the count */
	size_t kinds[AUTH_SECRET_KINDS];
	uint32_t iterations;
	struct auth_user **table;
};

struct reader {
	const char *file, *p, *end;
	int line, faults;
	userlist_say *say;
	void *arg;
	char *field; /* room for one unquoted field */
};

static void
tell(struct reader *r, bool error, const char *text)
{
	if (error)
		r->faults++;
	if (r->say == NULL || r->faults > FAULTS_MAX)
		return;
	r->say(r->arg, error, r->file, r->line,
	    r->faults < FAULTS_MAX ? text : "too many errors, the rest is not reported");
}

/* ---- the table ---- */

static size_t
slot_of(const struct userlist *l, const char *name)
{
	uint64_t h = l->seed;

	for (; *name != '\0'; name++) {
		h = (h ^ (uint8_t)*name) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 29;
	}
	h ^= h >> 32;
	return (size_t)h & (l->slots - 1);
}

/* The place of a name, or the free one where it belongs. */
static struct auth_user **
place_of(const struct userlist *l, const char *name)
{
	size_t i = slot_of(l, name);

	while (l->table[i] != NULL && strcmp(auth_user_name(l->table[i]), name) != 0)
		i = (i + 1) & (l->slots - 1);
	return &l->table[i];
}

static int
grow(struct userlist *l)
{
	struct auth_user **old = l->table;
	size_t old_slots = l->slots;

	l->table = calloc(old_slots * 2, sizeof(*l->table));
	if (l->table == NULL) {
		l->table = old;
		return -1;
	}
	l->slots = old_slots * 2;
	for (size_t i = 0; i < old_slots; i++) {
		if (old[i] != NULL)
			*place_of(l, auth_user_name(old[i])) = old[i];
	}
	free(old);
	return 0;
}

static struct userlist *
create(void)
{
	struct userlist *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->slots = 16;
	l->table = calloc(l->slots, sizeof(*l->table));
	if (l->table == NULL || secret_random(&l->seed, sizeof(l->seed)) == -1) {
		free(l->table);
		free(l);
		return NULL;
	}
	atomic_init(&l->refs, 1);
	return l;
}

static void
add(struct userlist *l, struct reader *r, struct auth_user *u)
{
	const struct scram_verifier *v;
	struct auth_user **at;

	if (l->count * 2 >= l->slots && grow(l) == -1) {
		tell(r, true, "out of memory");
		auth_user_free(u);
		return;
	}
	at = place_of(l, auth_user_name(u));
	if (*at != NULL) {
		tell(r, false, "this user has an earlier line, which no longer counts");
		l->kinds[auth_user_kind(*at)]--;
		auth_user_free(*at);
	} else {
		l->count++;
	}
	*at = u;
	l->kinds[auth_user_kind(u)]++;
	v = auth_user_verifier(u);
	if (l->iterations == 0 && v != NULL)
		l->iterations = v->iterations;
}

/* ---- the file ---- */

static void
skip_blanks(struct reader *r)
{
	while (r->p < r->end &&
	       (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\f' || *r->p == '\v'))
		r->p++;
}

/* Unquotes one field into r->field; -1 when it is malformed, which has been told. */
static int
quoted(struct reader *r, const char *what, size_t max, size_t *len)
{
	const char *problem = "must begin with a double quote";
	char text[80];

	skip_blanks(r);
	if (r->p == r->end || *r->p != '"')
		goto fail;
	*len = 0;
	for (r->p++; r->p < r->end && *r->p != '\n'; r->p++) {
		if (*r->p == '"') {
			if (r->end - r->p < 2 || r->p[1] != '"') {
				r->p++;
				return 0;
			}
			r->p++;
		}
		problem = "contains a NUL byte";
		if (*r->p == '\0')
			goto fail;
		problem = "is too long";
		if (*len == max)
			goto fail;
		r->field[(*len)++] = *r->p;
	}
	problem = "lacks its closing quote";
fail:
	snprintf(text, sizeof(text), "the %s %s", what, problem);
	tell(r, true, text);
	return -1;
}

static void
user_line(struct userlist *l, struct reader *r)
{
	char name[AUTH_USER_NAME_MAX + 1];
	size_t name_len, secret_len;
	struct auth_user *u;
	bool malformed;

	if (quoted(r, "user name", AUTH_USER_NAME_MAX, &name_len) == -1)
		return;
	if (name_len == 0) {
		tell(r, true, "the user name is empty");
		return;
	}
	memcpy(name, r->field, name_len);
	if (quoted(r, "secret", AUTH_USER_SECRET_MAX, &secret_len) == -1)
		return;
	u = auth_user_new(name, name_len, r->field, secret_len, &malformed);
	if (u != NULL)
		add(l, r, u);
	else
		tell(r, true,
		    malformed ? "the SCRAM-SHA-256 secret is malformed" : "out of memory");
}

struct userlist *
userlist_parse(const char *file, const char *text, size_t len, userlist_say *say, void *arg)
{
	struct reader r = { .file = file, .p = text, .end = text + len, .say = say, .arg = arg };
	struct userlist *l = create();

	r.field = malloc(AUTH_USER_SECRET_MAX + 1);
	if (l == NULL || r.field == NULL) {
		tell(&r, true, "out of memory");
		goto done;
	}
	while (r.p < r.end && r.faults < FAULTS_MAX) {
		const char *newline;

		r.line++;
		skip_blanks(&r);
		if (r.p < r.end && *r.p != ';' && *r.p != '\n')
			user_line(l, &r);
		newline = r.p < r.end ? memchr(r.p, '\n', (size_t)(r.end - r.p)) : NULL;
		r.p = newline != NULL ? newline + 1 : r.end;
	}
done:
	secret_free(r.field, AUTH_USER_SECRET_MAX + 1);
	if (r.faults != 0) {
		userlist_unref(l);
		return NULL;
	}
	return l;
}

/* The whole file, in memory to be wiped (*size bytes of it); NULL with errno. */
static char *
slurp(int fd, size_t *len, size_t *size)
{
	char *mem = NULL, *more;

	*len = *size = 0;
	for (;;) {
		ssize_t n;

		if (*len == *size) {
			size_t want = *size == 0 ? 65536 : *size * 2;

			more = want <= FILE_MAX ? malloc(want) : NULL;
			if (more == NULL) {
				errno = want <= FILE_MAX ? ENOMEM : EFBIG;
				goto fail;
			}
			if (*len != 0)
				memcpy(more, mem, *len);
			secret_free(mem, *size);
			mem = more;
			*size = want;
		}
		n = read(fd, mem + *len, *size - *len);
		if (n == 0)
			return mem;
		if (n > 0)
			*len += (size_t)n;
		else if (errno != EINTR)
			goto fail;
	}
fail:
	secret_free(mem, *size);
	return NULL;
}

struct userlist *
userlist_load(const char *path, userlist_say *say, void *arg)
{
	struct userlist *l = NULL;
	size_t len = 0, size = 0;
	char *text = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd != -1)
		text = slurp(fd, &len, &size);
	if (text != NULL)
		l = userlist_parse(path, text, len, say, arg);
	else if (say != NULL)
		say(arg, true, path, 0, strerror(errno));
	if (fd != -1)
		close(fd);
	secret_free(text, size);
	return l;
}

struct userlist *
userlist_ref(struct userlist *l)
{
	atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
	return l;
}

void
userlist_unref(struct userlist *l)
{
	if (l == NULL || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < l->slots; i++)
		auth_user_free(l->table[i]);
	free(l->table);
	free(l);
}

const struct auth_user *
userlist_find(const struct userlist *l, const char *name)
{
	return *place_of(l, name);
}

size_t
userlist_count(const struct userlist *l)
{
	return l->count;
}

size_t
userlist_count_kind(const struct userlist *l, enum auth_secret kind)
{
	return l->kinds[kind];
}

uint32_t
userlist_iterations(const struct userlist *l)
{
	return l->iterations;
}
