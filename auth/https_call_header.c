#include "auth/https_call_inside.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RETRY_MAX_S 3600

const char *
https_header(const struct https_response *r, const char *name)
{
	struct curl_header *h;

	/* of the last answer, should there have been a 100 (Continue); libcurl trims */
	if (r->call == NULL || r->status == 0 ||
	    curl_easy_header(r->call->easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	return h->value;
}

int64_t
https_date(const struct https_response *r)
{
	const char *text = https_header(r, "Date");
	time_t t = text == NULL ? -1 : curl_getdate(text, NULL);

	return t > 0 ? t : 0;
}

/* Seconds in decimal, RETRY_MAX_S at most; -1 = something else. */
static int64_t
read_seconds(const char *text)
{
	int64_t s = 0;
	size_t n = strspn(text, "0123456789");

	if (n == 0 || text[n] != '\0')
		return -1;
	for (size_t i = 0; i < n && s < RETRY_MAX_S; i++)
		s = s * 10 + (text[i] - '0');
	return s < RETRY_MAX_S ? s : RETRY_MAX_S;
}

int64_t
https_retry_after_ms(const struct https_response *r)
{
	const char *text = https_header(r, "Retry-After");
	int64_t s, now;
	time_t t;

	if (text == NULL)
		return 0;
	s = read_seconds(text);
	if (s == -1) {
		t = curl_getdate(text, NULL);
		/* their clock, where they tell it: the wait is right although ours may not be */
		now = https_date(r);
		if (now == 0)
			now = time(NULL);
		s = t > now ? t - now : 0;
	}
	return (s < RETRY_MAX_S ? s : RETRY_MAX_S) * 1000;
}
