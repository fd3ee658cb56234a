#include "auth/jwks_source.h"

#include "auth/hmac.h"
#include "auth/https_call.h"
#include "auth/jwks.h"
#include "proxy/base/log.h"
#include "proxy/base/secret.h"
#include "proxy/base/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct jwks_source {
	atomic_uint refs;
	struct worker *main;
	struct letter letter; /* of unknown_kid, on its way while `asked`; holds a reference then */
	char *name, *from, *ca_file;

	/* main thread only */
	struct https_calls *calls;
	struct https_call *call;
	struct deadline next;
	int64_t refresh_ms, early_ms, file_ms, retry_ms;
	uint64_t early_at; /* loop time from which an early look is allowed */
	bool is_url, closed;
	bool has_digest;
	uint8_t digest[HMAC_LEN]; /* of the text of the set in use */
	struct stat seen;	  /* of the file when it was last read */
	bool has_seen;

	pthread_mutex_t lock; /* what follows; all is written by the main thread, but `asked` */
	struct jwks *keys;
	struct jwks_source_status status;
	bool asked;
};

static int64_t
unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Many of us must not ask at the same moment: 90 to 100 % of it. */
static uint64_t
jittered(int64_t ms)
{
	uint32_t r;

	if (ms < 10 || secret_random(&r, sizeof(r)) == -1)
		return (uint64_t)ms;
	return (
	    uint64_t)(ms - (int64_t)(r % (uint32_t)(ms / 10 < UINT32_MAX ? ms / 10 : UINT32_MAX)));
}

static void
arm(struct jwks_source *s, uint64_t ms)
{
	struct loop *l = &s->main->loop;

	loop_deadline(l, &s->next, loop_now_ms(l) + ms);
}

/* ---- what a look has found ---- */

/* Logs a failure when it is another one than last time. */
static void
failed(struct jwks_source *s, const char *why)
{
	bool news = strcmp(s->status.error, why) != 0, have = s->keys != NULL;

	pthread_mutex_lock(&s->lock);
	s->status.looks++;
	s->status.failures++;
	snprintf(s->status.error, sizeof(s->status.error), "%s", why);
	pthread_mutex_unlock(&s->lock);
	if (news)
		log_warning("JWKS \"%s\": %s%s", s->name, why,
		    have ? "; the last good keys stay in use" : "; there are no keys yet");
}

static void
hear_left_out(void *arg, const char *text)
{
	const struct jwks_source *s = arg;

	log_info("JWKS \"%s\": left out: %s", s->name, text);
}

/* Takes over the set, NULL = the one in use is current. */
static void
succeeded(struct jwks_source *s, struct jwks *keys)
{
	bool was_failing = s->status.error[0] != '\0';
	struct jwks *old = NULL;

	pthread_mutex_lock(&s->lock);
	if (keys != NULL) {
		old = s->keys;
		s->keys = keys;
		s->status.keys = jwks_count(keys);
	}
	s->status.looks++;
	s->status.loaded_unix_ms = unix_ms();
	s->status.error[0] = '\0';
	pthread_mutex_unlock(&s->lock);
	jwks_unref(old);
	if (keys != NULL || was_failing)
		log_info("JWKS \"%s\": %zu keys%s", s->name, s->status.keys,
		    keys != NULL ? "" : ", unchanged, can be read again");
}

/* 0, or -1 after failed(). */
static int
take_text(struct jwks_source *s, const char *text, size_t len)
{
	uint8_t digest[HMAC_LEN];
	char why[200];
	struct jwks *keys;

	hmac_digest(text, len, digest);
	if (s->has_digest && memcmp(digest, s->digest, sizeof(digest)) == 0) {
		succeeded(s, NULL);
		return 0;
	}
	keys = jwks_parse(text, len, hear_left_out, s, why, sizeof(why));
	if (keys == NULL) {
		failed(s, why);
		return -1;
	}
	memcpy(s->digest, digest, sizeof(digest));
	s->has_digest = true;
	succeeded(s, keys);
	return 0;
}

/* ---- file ---- */

/* All of the file into text[size]; its length, or -1 with errno. */
static ssize_t
slurp(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, size - len)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		len += (size_t)n;
		if (len == size) {
			errno = EFBIG;
			return -1;
		}
	}
	return (ssize_t)len;
}

static void
read_file(struct jwks_source *s)
{
	size_t size = JWKS_TEXT_MAX + 1;
	int fd = open(s->from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = malloc(size), why[200];
	ssize_t len = -1;

	/* the stat of what is read: a swap in between shows at the next look */
	s->has_seen = fd != -1 && fstat(fd, &s->seen) == 0;
	if (s->has_seen && !S_ISREG(s->seen.st_mode))
		errno = EINVAL;
	else if (s->has_seen && text != NULL)
		len = slurp(fd, text, size);
	if (len >= 0) {
		take_text(s, text, (size_t)len);
	} else {
		snprintf(why, sizeof(why), "cannot read the file: %s",
		    text != NULL ? strerror(errno) : "out of memory");
		failed(s, why);
	}
	if (fd != -1)
		close(fd);
	free(text);
}

static bool
file_changed(const struct jwks_source *s)
{
	struct stat now;

	if (stat(s->from, &now) == -1)
		return s->has_seen;
	return !s->has_seen || now.st_ino != s->seen.st_ino || now.st_dev != s->seen.st_dev ||
	       now.st_size != s->seen.st_size || now.st_mtim.tv_sec != s->seen.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != s->seen.st_mtim.tv_nsec;
}

/* ---- URL ---- */

static void
schedule_url(struct jwks_source *s, bool good, int64_t retry_after_ms)
{
	int64_t wait = s->refresh_ms;

	if (good) {
		s->retry_ms = JWKS_SOURCE_RETRY_MS;
	} else {
		wait = s->retry_ms < s->refresh_ms ? s->retry_ms : s->refresh_ms;
		s->retry_ms = wait * 2;
		wait = wait < retry_after_ms ? retry_after_ms : wait;
	}
	arm(s, jittered(wait));
}

static void
on_response(void *arg, const struct https_response *r)
{
	struct jwks_source *s = arg;
	char why[200];
	bool good = false;

	s->call = NULL;
	if (r->status == 200) {
		good = take_text(s, r->body, r->len) == 0;
	} else {
		if (r->status == 0)
			snprintf(why, sizeof(why), "cannot fetch: %s", r->error);
		else
			snprintf(why, sizeof(why), "cannot fetch: HTTP status %d", r->status);
		failed(s, why);
	}
	schedule_url(s, good, r->status != 0 ? https_retry_after_ms(r) : 0);
}

static void
fetch(struct jwks_source *s)
{
	struct https_request req = {
		.method = "GET",
		.url = s->from,
		.headers = { "Accept: application/jwk-set+json, application/json" },
		.n_headers = 1,
		.ca_file = s->ca_file,
		.proxy = true,
	};

	if (s->call != NULL)
		return;
	loop_deadline_remove(&s->main->loop, &s->next);
	s->call = https_call(s->calls, &req, on_response, s);
	if (s->call == NULL) {
		failed(s, "out of memory");
		schedule_url(s, false, 0);
	}
}

/* ---- when to look ---- */

static void
on_time(struct deadline *d)
{
	struct jwks_source *s = list_entry(d, struct jwks_source, next);

	if (s->is_url) {
		fetch(s);
		return;
	}
	if (file_changed(s))
		read_file(s);
	arm(s, (uint64_t)s->file_ms);
}

void
jwks_source_refresh(struct jwks_source *s)
{
	if (s->closed)
		return;
	if (s->is_url)
		fetch(s);
	else
		read_file(s);
}

static void
deliver_asked(struct worker *w, struct letter *l)
{
	struct jwks_source *s = list_entry(l, struct jwks_source, letter);
	uint64_t now = loop_now_ms(&w->loop);

	pthread_mutex_lock(&s->lock);
	s->asked = false;
	pthread_mutex_unlock(&s->lock);
	if (!s->closed && now >= s->early_at) {
		s->early_at = now + (uint64_t)s->early_ms;
		jwks_source_refresh(s);
	}
	jwks_source_unref(s);
}

void
jwks_source_unknown_kid(struct jwks_source *s)
{
	bool post;

	pthread_mutex_lock(&s->lock);
	post = !s->asked;
	s->asked = true;
	pthread_mutex_unlock(&s->lock);
	if (!post)
		return;
	jwks_source_ref(s);
	s->letter.deliver = deliver_asked;
	list_init(&s->letter.node);
	worker_post(s->main, &s->letter);
}

/* ---- beginning, end, what others see ---- */

struct jwks_source *
jwks_source_open(struct worker *main, struct https_calls *calls,
    const struct jwks_source_settings *set)
{
	struct jwks_source *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	s->main = main;
	s->calls = calls;
	s->name = strdup(set->name);
	s->from = strdup(set->from);
	s->ca_file = set->ca_file != NULL ? strdup(set->ca_file) : NULL;
	if (s->name == NULL || s->from == NULL || (set->ca_file != NULL && s->ca_file == NULL)) {
		jwks_source_unref(s);
		return NULL;
	}
	s->is_url = strncmp(s->from, "https://", 8) == 0 || strncmp(s->from, "http://", 7) == 0;
	s->refresh_ms = set->refresh_ms > 0 ? set->refresh_ms : JWKS_SOURCE_REFRESH_MS;
	s->early_ms = set->early_ms > 0 ? set->early_ms : JWKS_SOURCE_EARLY_MS;
	s->file_ms = set->file_ms > 0 ? set->file_ms : JWKS_SOURCE_FILE_MS;
	s->retry_ms = JWKS_SOURCE_RETRY_MS;
	deadline_init(&s->next, on_time);
	jwks_source_refresh(s);
	if (!s->is_url)
		arm(s, (uint64_t)s->file_ms);
	return s;
}

void
jwks_source_close(struct jwks_source *s)
{
	if (s == NULL)
		return;
	s->closed = true;
	if (s->call != NULL)
		https_cancel(s->call);
	s->call = NULL;
	loop_deadline_remove(&s->main->loop, &s->next);
	jwks_source_unref(s);
}

struct jwks_source *
jwks_source_ref(struct jwks_source *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void
jwks_source_unref(struct jwks_source *s)
{
	if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	jwks_unref(s->keys);
	pthread_mutex_destroy(&s->lock);
	free(s->name);
	free(s->from);
	free(s->ca_file);
	free(s);
}

struct jwks *
jwks_source_get(struct jwks_source *s)
{
	struct jwks *keys;

	pthread_mutex_lock(&s->lock);
	keys = s->keys != NULL ? jwks_ref(s->keys) : NULL;
	pthread_mutex_unlock(&s->lock);
	return keys;
}

void
jwks_source_status(struct jwks_source *s, struct jwks_source_status *out)
{
	pthread_mutex_lock(&s->lock);
	*out = s->status;
	pthread_mutex_unlock(&s->lock);
}
